package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"fanfare/models"
)

const (
	// jwksTimeout is how long a JWKS URL may take to answer.
	jwksTimeout = 10 * time.Second
	// jwksInterval is how often it is asked, and jwksRetry how often at most for a key that is
	// not known yet.
	jwksInterval = 5 * time.Minute
	jwksRetry    = 10 * time.Second
	// maxVerified is how many tokens are remembered that were good, and verifiedFor for how long,
	// since to verify one takes longer than all the rest of a publish.
	maxVerified = 10_000
	verifiedFor = time.Minute
	// minRSABits is the shortest RSA key (RFC 7518, section 3.3).
	minRSABits = 2048
)

// Algorithms gives the names of those that tokens may be signed with (RFC 7518, section 3.1;
// RFC 8037, section 3.1).
func Algorithms() []string {
	return []string{
		"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
	}
}

// IsSymmetric tells whether who can verify tokens of an algorithm can also make them.
func IsSymmetric(algorithm string) bool { return strings.HasPrefix(algorithm, "HS") }

// TokenOptions says which tokens are taken. There is either a Key or a JWKS.
type TokenOptions struct {
	// Algorithms are those that are allowed, whatever a token says of itself.
	Algorithms []string
	// Key verifies the tokens: the shared secret, or a public key in PEM.
	Key []byte
	// JWKS is the URL of a JSON Web Key Set (RFC 7517, section 5).
	JWKS string
	// Issuer and Audience have to be the token's, if they are set.
	Issuer, Audience string
	// Leeway is how far clocks may be apart.
	Leeway time.Duration
	// Context ends the refreshing of a JWKS, Logger is told when it fails. Both are for a JWKS
	// only.
	Context context.Context //nolint:containedctx // it is the refreshing's own life
	Logger  *slog.Logger
}

// claims are those of a token that count here.
type claims struct {
	jwt.RegisteredClaims
	Fanfare Grant `json:"fanfare"`
}

// UnmarshalJSON implements json.Unmarshaler. Names are case-sensitive (RFC 7519, section 4), and none
// comes twice: encoding/json would take "SUB" and "ſub" for "sub", and the last of them.
func (c *claims) UnmarshalJSON(text []byte) error {
	type plain claims
	return json.Unmarshal(text, (*plain)(c))
}

// Grant is the claim "fanfare": the scopes as text.
type Grant struct {
	Publish   []string `json:"publish,omitempty"`
	Subscribe []string `json:"subscribe,omitempty"`
	Admin     bool     `json:"admin,omitempty"`
}

// Scopes parses the grant.
func (g Grant) Scopes() (scopes models.Scopes, err error) {
	scopes.Admin = g.Admin
	if scopes.Publish, err = parsePatterns(g.Publish); err == nil {
		scopes.Subscribe, err = parsePatterns(g.Subscribe)
	}
	return scopes, err
}

func parsePatterns(texts []string) (patterns []models.Pattern, err error) {
	for _, text := range texts {
		pattern, err := models.ParsePattern(text)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		patterns = append(patterns, pattern)
	}
	return patterns, nil
}

// verifier verifies tokens.
type verifier struct {
	parser     *jwt.Parser
	algorithms []string
	key        jwt.Keyfunc
	leeway     time.Duration
	// verified has the tokens that were good, by their hashes.
	verified *lru.Cache[[sha256.Size]byte, verified]
}

// verified is what a token was found to be. Until then it need not be looked at again: a key may
// have been withdrawn.
type verified struct {
	caller models.Caller
	until  time.Time
}

func newVerifier(options TokenOptions) (*verifier, error) {
	parserOptions := []jwt.ParserOption{
		jwt.WithValidMethods(options.Algorithms), jwt.WithExpirationRequired(), jwt.WithLeeway(options.Leeway), jwt.WithStrictDecoding(),
	}
	if options.Issuer != "" {
		parserOptions = append(parserOptions, jwt.WithIssuer(options.Issuer))
	}
	if options.Audience != "" {
		parserOptions = append(parserOptions, jwt.WithAudience(options.Audience))
	}
	cache, err := lru.New[[sha256.Size]byte, verified](maxVerified)
	if err != nil {
		return nil, err
	}
	v := &verifier{parser: jwt.NewParser(parserOptions...), algorithms: options.Algorithms, leeway: options.Leeway, verified: cache}
	if options.JWKS != "" {
		set, err := keyfunc.NewDefaultOverrideCtx(options.Context, []string{options.JWKS}, keyfunc.Override{
			Client:            newJWKSClient(),
			HTTPTimeout:       jwksTimeout,
			RefreshInterval:   jwksInterval,
			RefreshUnknownKID: rate.NewLimiter(rate.Inf, 1), // retry, below, is the limit
			RateLimitWaitMax:  jwksTimeout,                  // in truth for the whole request
			RefreshErrorHandlerFunc: func(string) func(context.Context, error) {
				return func(_ context.Context, err error) { options.Logger.Warn("jwks_failed", "error", err) }
			},
		})
		if err != nil {
			return nil, err
		}
		retry := rate.NewLimiter(rate.Every(jwksRetry), 1)
		v.key = func(token *jwt.Token) (any, error) {
			if kid, named := token.Header["kid"].(string); named && !knows(options.Context, set, kid) && !retry.Allow() {
				return nil, jwt.ErrTokenUnverifiable
			}
			return set.Keyfunc(token)
		}
		return v, nil
	}
	key, err := ParseKey(options.Algorithms, options.Key)
	if err != nil {
		return nil, err
	}
	v.key = func(*jwt.Token) (any, error) { return key, nil }
	return v, nil
}

// knows tells whether a key of that name is there, without asking the provider.
func knows(ctx context.Context, set keyfunc.Keyfunc, kid string) bool {
	keys, _ := set.Storage().KeyReadAll(ctx)
	for _, key := range keys {
		if key.Marshal().KID == kid {
			return true
		}
	}
	return false
}

// verify gives the caller of a token.
func (v *verifier) verify(text string) (models.Caller, error) {
	hash, now := sha256.Sum256([]byte(text)), time.Now()
	if known, found := v.verified.Get(hash); found && now.Before(known.until) {
		return known.caller, nil
	}
	caller, err := v.read(text)
	if err == nil {
		until := now.Add(verifiedFor)
		if caller.Expires.Before(until) {
			until = caller.Expires
		}
		v.verified.Add(hash, verified{caller, until})
	}
	return caller, err
}

// read is verify for a token that is not known.
func (v *verifier) read(text string) (models.Caller, error) {
	var c claims
	token, err := v.parser.ParseWithClaims(text, &c, v.key)
	unheardOf := errors.Is(err, jwt.ErrTokenUnverifiable) && token.Method == nil
	if unheardOf || token != nil && token.Method != nil && !slices.Contains(v.algorithms, token.Method.Alg()) {
		return models.Caller{}, &Error{ReasonAlgorithm}
	}
	if err != nil {
		return models.Caller{}, &Error{explain(err)}
	}
	// What is critical and not understood makes a token invalid (RFC 7515, section 4.1.11).
	if _, critical := token.Header["crit"]; critical {
		return models.Caller{}, &Error{ReasonMalformed}
	}
	scopes, err := c.Fanfare.Scopes()
	if err != nil || models.CheckUser(c.Subject) != nil {
		return models.Caller{}, &Error{ReasonClaims}
	}
	return models.Caller{User: c.Subject, Scopes: &scopes, Expires: c.ExpiresAt.Add(v.leeway)}, nil
}

// explain gives the reason for an error of the parser, whose text may quote the token.
func explain(err error) Reason {
	for _, e := range []struct {
		is     error
		reason Reason
	}{
		{jwt.ErrTokenMalformed, ReasonMalformed},
		{jwt.ErrTokenExpired, ReasonExpired},
		{jwt.ErrTokenNotValidYet, ReasonNotYetValid},
		{jwt.ErrTokenUsedBeforeIssued, ReasonNotYetValid},
		{jwt.ErrTokenInvalidAudience, ReasonAudience},
		{jwt.ErrTokenInvalidIssuer, ReasonIssuer},
		{jwt.ErrTokenInvalidClaims, ReasonClaims},
		{jwt.ErrTokenSignatureInvalid, ReasonSignature},
		{jwt.ErrTokenUnverifiable, ReasonUnknownKey},
	} {
		if errors.Is(err, e.is) {
			return e.reason
		}
	}
	return ReasonMalformed
}

// ParseKey reads the key that verifies tokens of these algorithms, which are all of one kind:
// shared secrets are bytes, public keys PEM. So no public key is ever taken for a secret.
func ParseKey(algorithms []string, text []byte) (any, error) {
	kind, err := kindOf(algorithms)
	if err != nil {
		return nil, err
	}
	if kind == "HS" {
		return parseSecret(algorithms, text)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("want a public key in PEM: -----BEGIN PUBLIC KEY-----")
	}
	key, err := parsePublic(block)
	if err != nil {
		return nil, errors.New("want a public key in PEM: this cannot be read as one")
	}
	if err := checkPublic(kind, algorithms, key); err != nil {
		return nil, err
	}
	return key, nil
}

// checkPublic wants a public key that is for these algorithms, which are of one kind.
func checkPublic(kind string, algorithms []string, key crypto.PublicKey) error {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSABits {
			return fmt.Errorf("want an RSA key of %d bits or more, this has %d", minRSABits, k.N.BitLen())
		}
		if kind == "RS" {
			return nil
		}
	case *ecdsa.PublicKey:
		if kind == "ES" && len(algorithms) == 1 && curves()[algorithms[0]] == k.Params().BitSize {
			return nil
		}
	case ed25519.PublicKey:
		if kind == "Ed" {
			return nil
		}
	}
	return fmt.Errorf("the key is not one for %s", strings.Join(algorithms, ", "))
}

// curves has the sizes of the curves, in bits.
func curves() map[string]int { return map[string]int{"ES256": 256, "ES384": 384, "ES512": 521} }

func parseSecret(algorithms []string, text []byte) (any, error) {
	secret := bytes.TrimRight(text, "\r\n")
	if bytes.Contains(secret, []byte("-----BEGIN")) {
		return nil, errors.New("a key in PEM is no shared secret: name the algorithm that it is for")
	}
	for _, name := range algorithms {
		// RFC 7518, section 3.2.
		if want := jwt.GetSigningMethod(name).(*jwt.SigningMethodHMAC).Hash.Size(); len(secret) < want { //nolint:forcetypeassert // all HS* are
			return nil, fmt.Errorf("want a secret of %d bytes or more for %s, this has %d", want, name, len(secret))
		}
	}
	return secret, nil
}

func parsePublic(block *pem.Block) (crypto.PublicKey, error) {
	switch block.Type {
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return certificate.PublicKey, nil
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	default:
		return x509.ParsePKIXPublicKey(block.Bytes)
	}
}

// kindOf gives what kind of key the algorithms need: HS, RS (and PS), ES or Ed.
func kindOf(algorithms []string) (kind string, err error) {
	for _, name := range algorithms {
		if !slices.Contains(Algorithms(), name) {
			return "", fmt.Errorf("unknown algorithm %q", name)
		}
		k := name[:2]
		if k == "PS" {
			k = "RS"
		}
		if kind != "" && k != kind {
			return "", errors.New("one key cannot be for algorithms of several kinds")
		}
		kind = k
	}
	if kind == "" {
		return "", errors.New("want at least one algorithm")
	}
	return kind, nil
}
