package auth_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"fanfare/handlers/auth"
)

// TestClaimsAreCaseSensitive: RFC 7519, section 4. Whoever may put claims of other names into a token,
// as identity providers let users do, must not become somebody else by that.
func TestClaimsAreCaseSensitive(t *testing.T) {
	secret := newKeys().secret
	a, err := auth.New(auth.Options{Tokens: &auth.TokenOptions{Algorithms: []string{"HS256"}, Key: secret}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for name, claims := range map[string]jwt.MapClaims{
		"user":   {"sub": "ada", "exp": now.Add(time.Hour).Unix()},
		"expiry": {"sub": "ada", "exp": now.Add(-time.Hour).Unix()},
		"grant":  {"sub": "ada", "exp": now.Add(time.Hour).Unix()},
	} {
		// encoding/json sorts the names, and so capitals come first: these are behind the true ones.
		claims["ſub"], claims["fanfare"] = "root", map[string]any{}
		claims["ſUB"] = "root"
		if name == "expiry" {
			claims["exP"] = now.Add(time.Hour).Unix()
			delete(claims, "exp")
		}
		if name == "grant" {
			claims["fanfare"] = map[string]any{"ADMIN": true}
		}
		text := must(jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret))
		by, err := a.Authenticate(text)
		if err == nil && (by.User != "ada" || by.Scopes.Admin || name == "expiry") {
			t.Errorf("%s: %+v, admin %v", name, by, by.Scopes.Admin)
		}
	}
}

// TestKeysThatAreNotForTokens: a token that names no key is not taken for that with a key that is for
// something else, or too short. And one key that is broken is no reason to know none.
func TestKeysThatAreNotForTokens(t *testing.T) {
	long, short := must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 1024)) //nolint:gosec // that is the test
	of := func(key *rsa.PrivateKey, more map[string]string) map[string]string {
		more["kty"], more["n"] = "RSA", base64.RawURLEncoding.EncodeToString(key.N.Bytes())
		more["e"] = base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes())
		return more
	}
	for name, test := range map[string]struct {
		keys  []map[string]string
		token string
		good  bool
	}{
		"for encryption":  {[]map[string]string{of(long, map[string]string{"kid": "k", "use": "enc", "alg": "RSA-OAEP"})}, sign(t, "RS256", long, ""), false},
		"for another use": {[]map[string]string{of(long, map[string]string{"kid": "k", "alg": "RSA-OAEP"})}, sign(t, "RS256", long, ""), false},
		"a private key": {[]map[string]string{of(long, map[string]string{
			"kid": "k", "d": base64.RawURLEncoding.EncodeToString(long.D.Bytes()),
			"p": base64.RawURLEncoding.EncodeToString(long.Primes[0].Bytes()), "q": base64.RawURLEncoding.EncodeToString(long.Primes[1].Bytes()),
			"dp": base64.RawURLEncoding.EncodeToString(long.Precomputed.Dp.Bytes()), "dq": base64.RawURLEncoding.EncodeToString(long.Precomputed.Dq.Bytes()),
			"qi": base64.RawURLEncoding.EncodeToString(long.Precomputed.Qinv.Bytes()),
		})}, sign(t, "RS256", long, "k"), false},
		"of 1024 bits":     {[]map[string]string{of(short, map[string]string{"kid": "k", "use": "sig"})}, sign(t, "RS256", short, "k"), false},
		"beside a bad one": {[]map[string]string{{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, of(long, map[string]string{"kid": "k"})}, sign(t, "RS256", long, "k"), true},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_ = json.NewEncoder(w).Encode(map[string]any{"keys": test.keys})
			}))
			defer server.Close()
			defer http.DefaultTransport.(*http.Transport).CloseIdleConnections() //nolint:forcetypeassert // it is one
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			a, err := auth.New(auth.Options{Tokens: &auth.TokenOptions{
				Algorithms: []string{"RS256"}, JWKS: server.URL, Context: ctx, Logger: slog.New(slog.DiscardHandler),
			}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Authenticate(test.token); (err == nil) != test.good {
				t.Errorf("%v", err)
			}
		})
	}
}
