package auth

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Token is what a token says.
type Token struct {
	// Algorithm and KeyID are in its header.
	Algorithm, KeyID string
	// User is its subject.
	User     string
	Issuer   string
	Audience []string
	// Issued, NotBefore and Expires are zero where it says nothing. They are in whole seconds.
	Issued, NotBefore, Expires time.Time
	Grant                      Grant
}

// Sign makes a token with the shared secret or a private key in PEM: PKCS #8, PKCS #1 or SEC 1.
func Sign(t Token, key []byte) (string, error) {
	signing, err := parseSigningKey(t.Algorithm, key)
	if err != nil {
		return "", err
	}
	token := jwt.NewWithClaims(jwt.GetSigningMethod(t.Algorithm), claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Subject:   t.User,
			Issuer:    t.Issuer,
			Audience:  t.Audience,
			IssuedAt:  toDate(t.Issued),
			NotBefore: toDate(t.NotBefore),
			ExpiresAt: toDate(t.Expires),
		},
		Fanfare: t.Grant,
	})
	if t.KeyID != "" {
		token.Header["kid"] = t.KeyID
	}
	return token.SignedString(signing)
}

// Inspect reads what a token says, be it true or not. Its error has ReasonMalformed.
func Inspect(text string) (Token, error) {
	var c claims
	token, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(text, &c)
	// An algorithm that is not known is no reason not to read the rest.
	if err != nil && !errors.Is(err, jwt.ErrTokenUnverifiable) {
		return Token{}, &Error{ReasonMalformed}
	}
	t := Token{
		User:      c.Subject,
		Issuer:    c.Issuer,
		Audience:  c.Audience,
		Issued:    fromDate(c.IssuedAt),
		NotBefore: fromDate(c.NotBefore),
		Expires:   fromDate(c.ExpiresAt),
		Grant:     c.Fanfare,
	}
	t.Algorithm, _ = token.Header["alg"].(string)
	t.KeyID, _ = token.Header["kid"].(string)
	return t, nil
}

func toDate(t time.Time) *jwt.NumericDate {
	if t.IsZero() {
		return nil
	}
	return jwt.NewNumericDate(t)
}

func fromDate(date *jwt.NumericDate) time.Time {
	if date == nil {
		return time.Time{}
	}
	return date.Time
}

// parseSigningKey is ParseKey for the other side.
func parseSigningKey(algorithm string, text []byte) (any, error) {
	algorithms := []string{algorithm}
	kind, err := kindOf(algorithms)
	if err != nil {
		return nil, err
	}
	if kind == "HS" {
		return parseSecret(algorithms, text)
	}
	key, err := parsePrivate(text)
	if err != nil {
		return nil, err
	}
	return key, checkPublic(kind, algorithms, key.Public())
}

// parsePrivate reads the first private key there is: openssl writes others' blocks before it.
func parsePrivate(text []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		}
		if signer, ok := key.(crypto.Signer); ok && err == nil {
			return signer, nil
		}
	}
	return nil, errors.New("want a private key in PEM, without a passphrase: -----BEGIN PRIVATE KEY-----")
}
