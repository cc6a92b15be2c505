package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"

	"fanfare/handlers/auth"
	"fanfare/models"
)

// isOn tells whether anything is said of who may do what.
func (c AuthConfig) isOn() bool {
	return c.JWT.isOn() || len(c.APIKeys) > 0 || len(c.Anonymous.Subscribe) > 0 || len(c.Anonymous.Publish) > 0
}

// isLocal tells whether the server is for this machine alone: nothing reaches it from elsewhere, not
// by a proxy either.
func (c Config) isLocal() bool {
	host, _, err := net.SplitHostPort(c.Server.Address)
	return err == nil && isLoopback(host) && len(c.Server.TrustedProxies) == 0
}

func (c JWTConfig) isOn() bool {
	return len(c.Algorithms) > 0 || c.Key != "" || c.KeyFile != "" || c.JWKSURL != ""
}

// readKey gives the key that verifies tokens, nil with a JWKS.
func (c JWTConfig) readKey() ([]byte, error) {
	if c.KeyFile != "" {
		return os.ReadFile(c.KeyFile)
	}
	if c.Key != "" {
		return []byte(c.Key), nil
	}
	return nil, nil
}

// newAuthenticator makes that of the configuration, nil if it has none. The refreshing of a JWKS
// ends with ctx.
func newAuthenticator(ctx context.Context, c AuthConfig, logger *slog.Logger) (*auth.Authenticator, error) {
	if !c.isOn() {
		return nil, nil //nolint:nilnil // no authentication
	}
	options, err := c.withoutTokens()
	if err != nil {
		return nil, err
	}
	if c.JWT.isOn() {
		key, err := c.JWT.readKey()
		if err != nil {
			return nil, err
		}
		options.Tokens = &auth.TokenOptions{
			Algorithms: c.JWT.Algorithms,
			Key:        key,
			JWKS:       c.JWT.JWKSURL,
			Issuer:     c.JWT.Issuer,
			Audience:   c.JWT.Audience,
			Leeway:     c.JWT.Leeway,
			Context:    ctx,
			Logger:     logger,
		}
	}
	return auth.New(options)
}

// withoutTokens is all of the configuration but what is said of tokens.
func (c AuthConfig) withoutTokens() (options auth.Options, err error) {
	if options.Anonymous, err = scopes(c.Anonymous.Publish, c.Anonymous.Subscribe, false); err != nil {
		return options, err
	}
	for _, k := range c.APIKeys {
		key := auth.Key{Name: k.Name, Hash: k.Hash}
		if key.Scopes, err = scopes(k.Publish, k.Subscribe, k.Admin); err != nil {
			return options, err
		}
		options.Keys = append(options.Keys, key)
	}
	return options, nil
}

func scopes(publish, subscribe []string, admin bool) (models.Scopes, error) {
	return auth.Grant{Publish: publish, Subscribe: subscribe, Admin: admin}.Scopes()
}

// auth checks who may do what.
func (v *validator) auth(c AuthConfig) {
	if c.JWT.isOn() {
		v.jwt(c.JWT)
	}
	names := make(map[string]bool)
	hashes := make(map[string]bool)
	for i, k := range c.APIKeys {
		key := fmt.Sprintf("auth.api_keys[%d]", i)
		if models.CheckUser(k.Name) != nil || names[k.Name] {
			v.want(key+".name", k.Name, "a name of its own, of 1 to 255 bytes without control characters")
		}
		hash := strings.ToLower(k.Hash)
		if !auth.IsHash(hash) || hashes[hash] {
			v.mistake(key+".hash", errors.New(`want a hash of its own, of 64 hexadecimal digits: "fanfare key hash" prints it`))
		}
		names[k.Name], hashes[hash] = true, true
		v.patterns(key+".publish", k.Publish)
		v.patterns(key+".subscribe", k.Subscribe)
	}
	v.patterns("auth.anonymous.publish", c.Anonymous.Publish)
	v.patterns("auth.anonymous.subscribe", c.Anonymous.Subscribe)
}

// jwt never repeats a key.
func (v *validator) jwt(c JWTConfig) {
	sources := 0
	for _, source := range []string{c.Key, c.KeyFile, c.JWKSURL} {
		if source != "" {
			sources++
		}
	}
	if sources != 1 {
		v.mistake("auth.jwt", errors.New("want one of key, key_file and jwks_url"))
	}
	if len(c.Algorithms) == 0 {
		v.mistake("auth.jwt.algorithms", errors.New("want the algorithms that tokens may be signed with, such as [HS256]"))
		return
	}
	for _, name := range c.Algorithms {
		v.oneOf("auth.jwt.algorithms", name, auth.Algorithms()...)
	}
	if c.Leeway < 0 {
		v.want("auth.jwt.leeway", c.Leeway, "0s or more")
	}
	if c.JWKSURL != "" {
		v.jwks(c)
		return
	}
	key, err := c.readKey()
	if err != nil {
		v.mistake("auth.jwt.key_file", err)
		return
	}
	if _, err := auth.ParseKey(c.Algorithms, key); err != nil && sources == 1 {
		v.mistake("auth.jwt", err)
	}
}

func (v *validator) jwks(c JWTConfig) {
	u, err := url.Parse(c.JWKSURL)
	if safe := err == nil && (u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())); !safe || u.Host == "" {
		v.mistake("auth.jwt.jwks_url", errors.New("want a URL that begins with https://, or is of this machine"))
	}
	for _, name := range c.Algorithms {
		if auth.IsSymmetric(name) {
			v.want("auth.jwt.algorithms", name, "algorithms with public keys, since anybody can read a JWKS")
		}
	}
}

func (v *validator) patterns(key string, texts []string) {
	for _, text := range texts {
		if _, err := models.ParsePattern(text); err != nil {
			v.want(key, text, "topics or patterns, such as news.>")
		}
	}
}

func (v *validator) mistake(key string, err error) {
	v.mistakes = append(v.mistakes, fmt.Errorf("%s: %w", key, err))
}
