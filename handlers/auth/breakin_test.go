package auth_test

import (
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
