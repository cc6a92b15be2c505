package auth_test

import (
	"testing"

	"fanfare/handlers/auth"
)

// BenchmarkAuthenticate measures what a credential costs a request.
func BenchmarkAuthenticate(b *testing.B) {
	k := newKeys()
	t := &testing.T{}
	for _, algorithm := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
		private, key := k.of(t, algorithm)
		a, err := auth.New(auth.Options{Tokens: &auth.TokenOptions{Algorithms: []string{algorithm}, Key: key}})
		if err != nil {
			b.Fatal(err)
		}
		token := sign(t, algorithm, private, "")
		b.Run(algorithm, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Authenticate(token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	a, err := auth.New(auth.Options{Keys: []auth.Key{{Name: "program", Hash: auth.HashKey("an API key of some length")}}})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("key", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Authenticate("an API key of some length"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
