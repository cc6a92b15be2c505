package auth

import "fanfare/models"

// maxCredential bounds a token or API key, in bytes. No honest one comes near.
const maxCredential = 8 << 10

// Authenticator knows the callers of a server. Its methods may be called concurrently.
type Authenticator struct {
	// Set by New, never changed. tokens is nil if there are only keys.
	tokens    *verifier
	keys      keyring
	anonymous *models.Scopes
}

// Options configures an Authenticator.
type Options struct {
	// Tokens is how tokens are verified, nil if none are taken.
	Tokens *TokenOptions
	// TokensOf, in place of Tokens, is whose tokens are taken: those of another Authenticator, with the keys that it knows
	// and goes on asking for.
	TokensOf *Authenticator
	// Keys are the API keys.
	Keys []Key
	// Anonymous is what strangers may do.
	Anonymous models.Scopes
}

// New makes an Authenticator. With a JWKS URL it asks for the keys before it returns, and goes
// on asking until TokenOptions.Context ends; that the keys cannot be had is no error.
func New(options Options) (*Authenticator, error) {
	keys, err := newKeyring(options.Keys)
	if err != nil {
		return nil, err
	}
	a := &Authenticator{keys: keys, anonymous: &options.Anonymous}
	if options.TokensOf != nil {
		a.tokens = options.TokensOf.tokens
	}
	if options.Tokens != nil {
		if a.tokens, err = newVerifier(*options.Tokens); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Stranger is a caller without credentials.
func (a *Authenticator) Stranger() models.Caller { return models.Caller{Scopes: a.anonymous} }

// WaitsForNames tells that strangers may do nothing, so that they have to say who they are.
func (a *Authenticator) WaitsForNames() bool {
	return len(a.anonymous.Publish) == 0 && len(a.anonymous.Subscribe) == 0
}

// Authenticate gives the caller whose token or API key this is. The error is an *Error, which is
// for the log and for whoever owns the token, not for whoever sent it.
func (a *Authenticator) Authenticate(credential string) (models.Caller, error) {
	if len(credential) > maxCredential {
		return models.Caller{}, &Error{ReasonMalformed}
	}
	if caller, found := a.keys.find(credential); found {
		return caller, nil
	}
	if a.tokens == nil {
		return models.Caller{}, &Error{ReasonUnknownKey}
	}
	return a.tokens.verify(credential)
}

// Reason is what is wrong with a credential. It has nothing of the credential itself.
type Reason string

// The reasons.
const (
	ReasonMalformed   Reason = "malformed"
	ReasonUnknownKey  Reason = "unknown_key"
	ReasonAlgorithm   Reason = "algorithm_not_allowed"
	ReasonSignature   Reason = "wrong_signature"
	ReasonExpired     Reason = "expired"
	ReasonNotYetValid Reason = "not_yet_valid"
	ReasonIssuer      Reason = "wrong_issuer"
	ReasonAudience    Reason = "wrong_audience"
	ReasonClaims      Reason = "claims_missing_or_invalid"
)

// Error says why a credential is refused.
type Error struct{ Reason Reason }

// Error implements error.
func (e *Error) Error() string { return "the token is refused: " + string(e.Reason) }
