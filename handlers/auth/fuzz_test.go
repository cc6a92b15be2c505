package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"fanfare/handlers/auth"
)

// FuzzAuthenticate: nothing but the tokens and keys that were given out is taken, byte for byte.
func FuzzAuthenticate(f *testing.F) {
	const key = "an API key of some length"
	secret := []byte(strings.Repeat("0123456789abcdef", 2))
	a, err := auth.New(auth.Options{
		Tokens: &auth.TokenOptions{Algorithms: []string{"HS256"}, Key: secret},
		Keys:   []auth.Key{{Name: "program", Hash: auth.HashKey(key)}},
	})
	if err != nil {
		f.Fatal(err)
	}
	good, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "ada", "exp": time.Now().Add(24 * time.Hour).Unix(), "fanfare": auth.Grant{Subscribe: []string{">"}},
	}).SignedString(secret)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{good, key, "", "..", good + ".", good + "=", " " + good, strings.ToUpper(good), strings.Repeat("a.", 1000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, credential string) {
		by, err := a.Authenticate(credential)
		if given := credential == good || credential == key; given != (err == nil) {
			t.Errorf("%q: %+v, %v", credential, by, err)
		}
		if err != nil && (by.User != "" || by.Scopes != nil || reason(err) == "") {
			t.Errorf("%q is refused with %+v, %v", credential, by, err)
		}
	})
}
