package auth_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"fanfare/handlers/auth"
)

func privatePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// TestSign: what is signed is taken, and says what it was to say, for each algorithm and each kind
// of PEM.
func TestSign(t *testing.T) {
	k := newKeys()
	for _, algorithm := range auth.Algorithms() {
		private, verifies := k.of(t, algorithm)
		forms := map[string][]byte{}
		if auth.IsSymmetric(algorithm) {
			forms["the secret"] = append(k.secret, '\n')
		} else {
			forms["PKCS 8"] = privatePEM("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(private)))
		}
		switch key := private.(type) {
		case *rsa.PrivateKey:
			forms["PKCS 1"] = privatePEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
		case *ecdsa.PrivateKey:
			sec1 := privatePEM("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(key)))
			forms["SEC 1"] = sec1
			forms["SEC 1 as openssl writes it"] = append(privatePEM("EC PARAMETERS", []byte{6, 0}), sec1...)
		}
		a := must(auth.New(auth.Options{Tokens: &auth.TokenOptions{Algorithms: []string{algorithm}, Key: verifies, Issuer: "me", Audience: "two"}}))
		for form, key := range forms {
			t.Run(algorithm+", "+form, func(t *testing.T) {
				now := time.Now().Truncate(time.Second)
				want := auth.Token{
					Algorithm: algorithm, KeyID: "k", User: "ada", Issuer: "me", Audience: []string{"one", "two"},
					Issued: now, NotBefore: now.Add(-time.Minute), Expires: now.Add(time.Hour),
					Grant: auth.Grant{Publish: []string{"a"}, Subscribe: []string{"b.*", ">"}, Admin: true},
				}
				text, err := auth.Sign(want, key)
				if err != nil {
					t.Fatal(err)
				}
				got, err := auth.Inspect(text)
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
				if by, err := a.Authenticate(text); err != nil || by.User != "ada" || !by.Scopes.MayPublish("a") || !by.Expires.Equal(want.Expires) {
					t.Errorf("%+v, %v", by, err)
				}
			})
		}
	}
}

func TestSignErrors(t *testing.T) {
	k := newKeys()
	small := must(rsa.GenerateKey(rand.Reader, 1024)) //nolint:gosec // it is to be refused
	rsaPEM := privatePEM("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(k.rsa)))
	for name, c := range map[string]struct {
		algorithm string
		key       []byte
		want      string
	}{
		"no algorithm":     {"", k.secret, "unknown algorithm"},
		"none":             {"none", nil, "unknown algorithm"},
		"a short secret":   {"HS512", k.secret[:63], "want a secret of 64 bytes or more"},
		"a key as secret":  {"HS256", rsaPEM, "no shared secret"},
		"a secret as key":  {"RS256", k.secret, "want a private key in PEM"},
		"a public key":     {"RS256", publicPEM(t, k.rsa.Public()), "want a private key in PEM"},
		"with passphrase":  {"RS256", privatePEM("ENCRYPTED PRIVATE KEY", []byte("x")), "without a passphrase"},
		"broken":           {"RS256", privatePEM("RSA PRIVATE KEY", []byte("x")), "want a private key in PEM"},
		"another kind":     {"ES256", rsaPEM, "not one for ES256"},
		"another curve":    {"ES256", privatePEM("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(k.es384))), "not one for ES256"},
		"a small RSA key":  {"RS256", privatePEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small)), "2048 bits or more"},
		"Ed25519 for PS":   {"PS256", privatePEM("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(k.ed))), "not one for PS256"},
		"nothing at all":   {"EdDSA", nil, "want a private key in PEM"},
		"ECDH, not EdDSA":  {"EdDSA", privatePEM("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(must(k.es256.ECDH())))), "not one for EdDSA"},
		"a broken EC key":  {"ES256", privatePEM("EC PRIVATE KEY", nil), "want a private key in PEM"},
		"a broken PKCS #8": {"ES256", privatePEM("PRIVATE KEY", nil), "want a private key in PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := auth.Sign(auth.Token{Algorithm: c.algorithm, User: "ada"}, c.key)
			if err == nil || !strings.Contains(err.Error(), c.want) || text != "" {
				t.Errorf("%q, %v, want %q", text, err, c.want)
			}
		})
	}
}

// TestInspect: it reads what nobody has signed, and no more than there is.
func TestInspect(t *testing.T) {
	k := newKeys()
	token := sign(t, "HS256", k.secret, "")
	header, rest, _ := strings.Cut(token, ".")
	// {"alg":"HS1","kid":7}
	unheardOf := "eyJhbGciOiJIUzEiLCJraWQiOjd9." + rest
	a := must(auth.New(auth.Options{Tokens: &auth.TokenOptions{Algorithms: []string{"HS256"}, Key: k.secret}}))
	if got, err := auth.Inspect(unheardOf); err != nil || got.Algorithm != "HS1" || got.KeyID != "" || got.User != "ada" || !got.Issued.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := a.Authenticate(unheardOf); reason(err) != auth.ReasonAlgorithm {
		t.Errorf("an algorithm that is not known: %v", err)
	}
	for name, text := range map[string]string{
		"empty":          "",
		"an API key":     auth.NewKey(),
		"two parts":      header + "." + rest[:20],
		"no base64":      header + ".%." + rest,
		"no JSON":        header + "." + header[1:] + ".",
		"padding":        token + "=",
		"with its name":  "Bearer " + token,
		"scopes as text": must(jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"fanfare": "x"}).SignedString(k.secret)),
	} {
		if got, err := auth.Inspect(text); reason(err) != auth.ReasonMalformed || !cmp.Equal(got, auth.Token{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// TestCheckKey: what is made is fit, and what is not is not repeated.
func TestCheckKey(t *testing.T) {
	if one, other := auth.NewKey(), auth.NewKey(); auth.CheckKey(one) != nil || one == other || !strings.HasPrefix(one, "ff_") {
		t.Errorf("%s, %s: %v", one, other, auth.CheckKey(one))
	}
	for name, c := range map[string]struct{ key, want string }{
		"long enough":     {"abcdefghijklmnopqrst", ""},
		"one too few":     {"abcdefghijklmnopqrs", "the key has 19 characters: want 20 or more"},
		"empty":           {"", "the key is empty"},
		"a space":         {"abcdefghij klmnopqrstuvwxyz", "without spaces"},
		"not ASCII":       {"abcdefghijöklmnopqrstuvwxyz", "want ASCII"},
		"no honest one":   {strings.Repeat("abcdefghij", 1000), "want 8192 at most"},
		"a whole newline": {"abcdefghijklmnopqrst\n", "control characters"},
	} {
		err := auth.CheckKey(c.key)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "abcdef")) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
