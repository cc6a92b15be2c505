package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"fanfare/models"
)

// Key is an API key, known by its hash alone.
type Key struct {
	// Name is the user's name.
	Name string
	// Hash is the SHA-256 of the key in hexadecimal digits, as HashKey gives it.
	Hash   string
	Scopes models.Scopes
}

// minKey is the shortest API key, in bytes: whoever has the hash could try all shorter ones.
const minKey = 20

// NewKey makes a random API key. Its prefix is for programs that look for secrets where none
// should be.
func NewKey() string { return "ff_" + rand.Text() }

// CheckKey tells what makes a text unfit for an API key. It does not repeat it.
func CheckKey(key string) error {
	switch {
	case key == "":
		return errors.New("the key is empty")
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("a key is sent in a header: want ASCII without spaces and control characters")
	case len(key) < minKey:
		return fmt.Errorf("the key has %d characters: want %d or more, since a short one can be guessed from its hash", len(key), minKey)
	case len(key) > maxCredential:
		return fmt.Errorf("the key has %d characters: want %d at most", len(key), maxCredential)
	default:
		return nil
	}
}

// HashKey gives the hash of an API key. Keys are long and random, so it need not be slow.
func HashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// IsHash tells whether a text is what HashKey gives.
func IsHash(text string) bool {
	hash, err := hex.DecodeString(text)
	return err == nil && len(hash) == sha256.Size
}

// keyring has the callers of API keys by the keys' hashes: how long it takes to find one says
// nothing of a key, only of its hash.
type keyring map[[sha256.Size]byte]models.Caller

func newKeyring(keys []Key) (keyring, error) {
	ring := make(keyring, len(keys))
	for _, key := range keys {
		hash, err := hex.DecodeString(key.Hash)
		if err != nil || len(hash) != sha256.Size {
			return nil, fmt.Errorf("the hash of the API key %q has to be 64 hexadecimal digits", key.Name)
		}
		ring[[sha256.Size]byte(hash)] = models.Caller{User: key.Name, Scopes: &key.Scopes}
	}
	return ring, nil
}

func (r keyring) find(key string) (models.Caller, bool) {
	if len(r) == 0 {
		return models.Caller{}, false
	}
	caller, found := r[sha256.Sum256([]byte(key))]
	return caller, found
}
