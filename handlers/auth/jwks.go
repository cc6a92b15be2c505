package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/MicahParks/jwkset"
)

// maxJWKS bounds a key set, in bytes.
const maxJWKS = 1 << 20

// newJWKSClient makes the client that asks for a key set. It is not led from https to http.
func newJWKSClient() *http.Client {
	return &http.Client{
		Transport: signingKeys{http.DefaultTransport},
		CheckRedirect: func(request *http.Request, via []*http.Request) error {
			if len(via) > 3 || via[0].URL.Scheme == "https" && request.URL.Scheme != "https" {
				return errors.New("redirected too often, or to http")
			}
			return nil
		},
	}
}

// signingKeys passes on what a provider answers, but of a key set only the keys that tokens may be
// signed with: one key that cannot be read would be a reason to know none, and a token that names no
// key is tried with all there are.
type signingKeys struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (s signingKeys) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := s.RoundTripper.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusOK {
		return response, err
	}
	defer func() { _ = response.Body.Close() }()
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxJWKS)).Decode(&set); err != nil {
		return nil, err
	}
	good := make([]json.RawMessage, 0, len(set.Keys))
	for _, key := range set.Keys {
		if isSigningKey(key) {
			good = append(good, key)
		}
	}
	set.Keys = good
	text, err := json.Marshal(set)
	if err != nil {
		return nil, err
	}
	response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return response, nil
}

// isSigningKey tells whether a JSON Web Key (RFC 7517, section 4) is a public one that tokens may be
// signed with.
func isSigningKey(text json.RawMessage) bool {
	key, err := jwkset.NewJWKFromRawJSON(text, jwkset.JWKMarshalOptions{Private: true}, jwkset.JWKValidateOptions{})
	if err != nil {
		return false
	}
	says := key.Marshal()
	if says.USE != "" && says.USE != jwkset.UseSig || says.ALG != "" && !slices.Contains(Algorithms(), says.ALG.String()) ||
		len(says.KEYOPS) > 0 && !slices.Contains(says.KEYOPS, jwkset.KeyOpsVerify) {
		return false
	}
	// Secrets and private keys, which everybody can read there, are none.
	switch public := key.Key().(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	default:
		return false
	}
}
