package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"fanfare/handlers/auth"
	"fanfare/models"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// claims are those of ada, who may listen to everything.
func claims() jwt.MapClaims {
	return jwt.MapClaims{
		"sub": "ada", "exp": time.Now().Add(time.Hour).Unix(),
		"fanfare": map[string]any{"subscribe": []string{">"}, "publish": []string{"a", "b.*"}, "admin": true},
	}
}

func sign(t *testing.T, algorithm string, key any, kid string) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(algorithm), claims())
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func publicPEM(t *testing.T, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// keys are one of each kind.
type keys struct {
	secret              []byte
	rsa                 *rsa.PrivateKey
	es256, es384, es512 *ecdsa.PrivateKey
	ed                  ed25519.PrivateKey
}

func newKeys() keys {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	return keys{
		secret: []byte(strings.Repeat("0123456789abcdef", 4)),
		rsa:    must(rsa.GenerateKey(rand.Reader, 2048)),
		es256:  must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
		es384:  must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		es512:  must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
		ed:     must(ed, err),
	}
}

// of gives the private key for an algorithm, and what verifies it.
func (k keys) of(t *testing.T, algorithm string) (private any, verifies []byte) {
	t.Helper()
	switch algorithm {
	case "ES256":
		return k.es256, publicPEM(t, k.es256.Public())
	case "ES384":
		return k.es384, publicPEM(t, k.es384.Public())
	case "ES512":
		return k.es512, publicPEM(t, k.es512.Public())
	case "EdDSA":
		return k.ed, publicPEM(t, k.ed.Public())
	}
	if strings.HasPrefix(algorithm, "HS") {
		return k.secret, k.secret
	}
	return k.rsa, publicPEM(t, k.rsa.Public())
}

// TestAlgorithms: a token of each is taken where that is allowed, and nowhere else.
func TestAlgorithms(t *testing.T) {
	k := newKeys()
	tokens := make(map[string]string)
	for _, algorithm := range auth.Algorithms() {
		private, _ := k.of(t, algorithm)
		tokens[algorithm] = sign(t, algorithm, private, "")
	}
	for _, algorithm := range auth.Algorithms() {
		t.Run(algorithm, func(t *testing.T) {
			_, key := k.of(t, algorithm)
			a, err := auth.New(auth.Options{Tokens: &auth.TokenOptions{Algorithms: []string{algorithm}, Key: key}})
			if err != nil {
				t.Fatal(err)
			}
			for of, token := range tokens {
				by, err := a.Authenticate(token)
				if of != algorithm {
					if reason(err) != auth.ReasonAlgorithm {
						t.Errorf("a token of %s: %+v, %v", of, by, err)
					}
					continue
				}
				want := &models.Scopes{Publish: []models.Pattern{"a", "b.*"}, Subscribe: []models.Pattern{">"}, Admin: true}
				if diff := cmp.Diff(want, by.Scopes); err != nil || by.User != "ada" || time.Until(by.Expires) < 59*time.Minute || diff != "" {
					t.Errorf("%+v, %v (-want +got):\n%s", by, err, diff)
				}
			}
		})
	}
}

func reason(err error) auth.Reason {
	if e, ok := errors.AsType[*auth.Error](err); ok {
		return e.Reason
	}
	return ""
}

// TestParseKey: a key is one for its algorithms, of the right kind and long enough.
func TestParseKey(t *testing.T) {
	k := newKeys()
	small := must(rsa.GenerateKey(rand.Reader, 1024)) //nolint:gosec // which is what is refused
	rsaPEM := publicPEM(t, k.rsa.Public())
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(k.rsa))})
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey)})
	for name, c := range map[string]struct {
		algorithms []string
		key        []byte
		want       string // of the error
	}{
		"a secret":               {[]string{"HS256", "HS512"}, k.secret, ""},
		"a secret and a newline": {[]string{"HS256"}, []byte(strings.Repeat("x", 32) + "\n"), ""},
		"a short secret":         {[]string{"HS256"}, []byte(strings.Repeat("x", 31) + "\n"), "32 bytes or more for HS256, this has 31"},
		"short for one of them":  {[]string{"HS256", "HS384"}, []byte(strings.Repeat("x", 47)), "48 bytes or more for HS384"},
		"a public key as secret": {[]string{"HS256"}, rsaPEM, "no shared secret"},
		"several of a kind":      {[]string{"RS256", "PS512"}, rsaPEM, ""},
		"several kinds":          {[]string{"RS256", "HS256"}, rsaPEM, "several kinds"},
		"no algorithm":           {nil, k.secret, "at least one"},
		"none":                   {[]string{"none"}, nil, "unknown algorithm"},
		"PKCS 1":                 {[]string{"RS256"}, pkcs1, ""},
		"a private key":          {[]string{"RS256"}, private, "cannot be read as one"},
		"no PEM":                 {[]string{"RS256"}, k.secret, "want a public key in PEM"},
		"a small RSA key":        {[]string{"RS256"}, publicPEM(t, small.Public()), "2048 bits or more, this has 1024"},
		"another kind":           {[]string{"ES256"}, rsaPEM, "not one for ES256"},
		"another curve":          {[]string{"ES256"}, publicPEM(t, k.es384.Public()), "not one for ES256"},
		"two curves":             {[]string{"ES256", "ES384"}, publicPEM(t, k.es384.Public()), "not one for ES256, ES384"},
		"EdDSA for RSA":          {[]string{"RS256"}, publicPEM(t, k.ed.Public()), "not one for RS256"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := auth.ParseKey(c.algorithms, c.key)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "0123456789abcdef") {
				t.Errorf("it repeats the key: %v", err)
			}
		})
	}
}

// TestKeys: an API key is known by its hash, in either case.
func TestKeys(t *testing.T) {
	scopes := models.Scopes{Publish: []models.Pattern{"a"}}
	a, err := auth.New(auth.Options{Keys: []auth.Key{
		{Name: "one", Hash: auth.HashKey("the first key"), Scopes: scopes},
		{Name: "two", Hash: strings.ToUpper(auth.HashKey("the second key"))},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if by, err := a.Authenticate("the first key"); err != nil || by.User != "one" || !by.Expires.IsZero() || !by.Scopes.MayPublish("a") {
		t.Errorf("%+v, %v", by, err)
	}
	if by, err := a.Authenticate("the second key"); err != nil || by.User != "two" || by.Scopes.MayPublish("a") {
		t.Errorf("%+v, %v", by, err)
	}
	for _, key := range []string{"", "the third key", auth.HashKey("the first key"), strings.Repeat("x", 1<<20)} {
		if by, err := a.Authenticate(key); reason(err) == "" {
			t.Errorf("%+v, %v", by, err)
		}
	}
	for _, hash := range []string{"", "0a", strings.Repeat("x", 64), strings.Repeat("0", 66)} {
		if _, err := auth.New(auth.Options{Keys: []auth.Key{{Name: "one", Hash: hash}}}); err == nil || auth.IsHash(hash) {
			t.Errorf("%q is taken for a hash", hash)
		}
	}
}

// provider is a JWKS that tests may change.
type provider struct {
	*httptest.Server
	mu    sync.Mutex
	keys  map[string]*rsa.PrivateKey
	away  bool
	asked int
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{keys: make(map[string]*rsa.PrivateKey)}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asked++
		if p.away {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		list := []map[string]string{{"kty": "oct", "kid": "symmetric", "k": base64.RawURLEncoding.EncodeToString([]byte("public"))}}
		for kid, key := range p.keys {
			list = append(list, map[string]string{
				"kty": "RSA", "kid": kid, "alg": "RS256", "use": "sig",
				"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
				"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
			})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": list})
	}))
	t.Cleanup(func() {
		p.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections() //nolint:forcetypeassert // it is one
	})
	return p
}

func (p *provider) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *provider) authenticator(t *testing.T) *auth.Authenticator {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	a, err := auth.New(auth.Options{Tokens: &auth.TokenOptions{
		Algorithms: []string{"RS256"}, JWKS: p.URL, Context: ctx, Logger: slog.New(slog.DiscardHandler),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestJWKS: the keys are those of the provider; one that is new is asked for when a token names it,
// and what is known is good while the provider is away.
func TestJWKS(t *testing.T) {
	p := newProvider(t)
	first, second := must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 2048))
	p.set(func() { p.keys["first"] = first })
	a := p.authenticator(t)
	good := sign(t, "RS256", first, "first")
	if by, err := a.Authenticate(good); err != nil || by.User != "ada" {
		t.Errorf("%+v, %v", by, err)
	}
	if by, err := a.Authenticate(sign(t, "RS256", first, "")); err != nil || by.User != "ada" {
		t.Errorf("a token that names no key: %+v, %v", by, err)
	}
	for name, token := range map[string]string{
		"another key of that name": sign(t, "RS256", second, "first"),
		"a public secret":          sign(t, "HS256", []byte("public"), "symmetric"),
	} {
		if _, err := a.Authenticate(token); reason(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.set(func() { p.keys["second"] = second })
	if by, err := a.Authenticate(sign(t, "RS256", second, "second")); err != nil || by.User != "ada" {
		t.Errorf("a new key: %+v, %v", by, err)
	}
	p.set(func() { p.away = true })
	if by, err := a.Authenticate(good); err != nil || by.User != "ada" {
		t.Errorf("while the provider is away: %+v, %v", by, err)
	}
	// Who invents names of keys can neither wait nor have the provider asked every time.
	begin, asked := time.Now(), p.asked
	for range 100 {
		if _, err := a.Authenticate(sign(t, "RS256", second, rand.Text())); reason(err) == "" {
			t.Fatal(err)
		}
	}
	t.Logf("100 unknown keys took %v", time.Since(begin))
	if p.asked > asked+1 {
		t.Errorf("the provider was asked %d times", p.asked-asked)
	}
}

// TestJWKSIsAwayAtTheStart: the server starts, and knows the keys when they are to be had.
func TestJWKSIsAwayAtTheStart(t *testing.T) {
	p := newProvider(t)
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	p.away = true
	a := p.authenticator(t)
	p.set(func() { p.away, p.keys["late"] = false, key })
	if by, err := a.Authenticate(sign(t, "RS256", key, "late")); err != nil || by.User != "ada" {
		t.Errorf("%+v, %v", by, err)
	}
}

// TestVerifiedTokensAreLookedAtAgain: a token that was good counts no longer than it says, and a
// withdrawn key no longer than a minute more.
func TestVerifiedTokensAreLookedAtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret := newKeys().secret
		a, err := auth.New(auth.Options{Tokens: &auth.TokenOptions{Algorithms: []string{"HS256"}, Key: secret, Leeway: 5 * time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		token := sign(t, "HS256", secret, "") // for an hour
		begin := time.Now()
		for i := range 2 * 3600 {
			by, err := a.Authenticate(token)
			if good := time.Since(begin) < time.Hour+5*time.Second; good != (err == nil) || good && by.User != "ada" || !good && reason(err) != auth.ReasonExpired {
				t.Fatalf("after %v: %+v, %v", time.Since(begin), by, err)
			}
			time.Sleep(time.Second + time.Duration(i)) // not always at the full second
		}
	})
}

// TestJWKSThatIsSlow: a provider on the Internet takes longer than 100 ms, and its new keys count all
// the same when a token names them.
func TestJWKSThatIsSlow(t *testing.T) {
	p := newProvider(t)
	handle := p.Config.Handler
	p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(200 * time.Millisecond)
		handle.ServeHTTP(w, r)
	})
	a := p.authenticator(t)
	key := must(rsa.GenerateKey(rand.Reader, 2048))
	p.set(func() { p.keys["new"] = key })
	if by, err := a.Authenticate(sign(t, "RS256", key, "new")); err != nil || by.User != "ada" {
		t.Errorf("%+v, %v", by, err)
	}
}
