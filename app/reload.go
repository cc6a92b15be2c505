package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"reflect"
	"slices"

	"fanfare/handlers"
	"fanfare/handlers/auth"
	"fanfare/models"
)

// settings is what of a configuration may change while the routes serve.
func settings(c Config, authenticator *auth.Authenticator) handlers.Settings {
	return handlers.Settings{
		Auth:           authenticator,
		LocalHosts:     c.isLocal(),
		AllowedOrigins: c.Server.AllowedOrigins,
		TrustedProxies: parseProxies(c.Server.TrustedProxies),
		Requests:       newRate(c.Limits.RequestRate, c.Limits.RequestBurst),
		Publishes:      newRate(c.Limits.PublishRate, c.Limits.PublishBurst),
	}
}

// with gives the configuration with all of another that may change while the server runs. Whether there is
// authentication at all may not: on its address, that was decided at the start.
func (c Config) with(other Config) Config {
	c.Log.Level = other.Log.Level
	c.Server.AllowedOrigins, c.Server.TrustedProxies = other.Server.AllowedOrigins, other.Server.TrustedProxies
	c.Limits.RequestRate, c.Limits.RequestBurst = other.Limits.RequestRate, other.Limits.RequestBurst
	c.Limits.PublishRate, c.Limits.PublishBurst = other.Limits.PublishRate, other.Limits.PublishBurst
	if c.Auth.isOn() == other.Auth.isOn() {
		c.Auth = other.Auth
	}
	return c
}

// difference gives the keys that two configurations differ in, in their order in config.yaml.
func difference(a, b Config) []string {
	return differentKeys("", reflect.ValueOf(a), reflect.ValueOf(b))
}

func differentKeys(prefix string, a, b reflect.Value) (keys []string) {
	for i := range a.NumField() {
		key := prefix + a.Type().Field(i).Tag.Get("koanf")
		switch x, y := a.Field(i), b.Field(i); {
		case x.Kind() == reflect.Struct:
			keys = append(keys, differentKeys(key+".", x, y)...)
		case !reflect.DeepEqual(x.Interface(), y.Interface()):
			keys = append(keys, key)
		}
	}
	return keys
}

// reloaded is what a server runs with since it was last told to read its configuration.
type reloaded struct {
	config        Config
	authenticator *auth.Authenticator
	// stopKeys ends the refreshing of its keys for tokens.
	stopKeys context.CancelFunc
}

// reloadWhen reads the configuration again whenever it is asked to, until ctx ends, and applies what can be. What is wrong
// changes nothing.
func (a *App) reloadWhen(ctx context.Context, asked <-chan os.Signal, load func() (Config, error)) {
	current := reloaded{config: a.config, authenticator: a.authenticator, stopKeys: a.stopKeys}
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
		}
		loaded, err := load()
		if err == nil {
			current, err = a.reload(ctx, current, loaded)
		}
		if err != nil {
			a.logger.Error("configuration_not_reloaded", "error", err)
		}
	}
}

// reload goes on with what may change of another configuration, and says which keys wait for a restart. With an error it goes
// on as it is.
func (a *App) reload(ctx context.Context, current reloaded, loaded Config) (reloaded, error) {
	next := reloaded{config: current.config.with(loaded), stopKeys: current.stopKeys}
	err := errors.Join(next.config.validate()...)
	if err == nil {
		err = next.authenticate(ctx, current, a.logger)
	}
	if err != nil {
		return current, err
	}
	if a.certificate != nil {
		a.certificate.reload()
	}
	a.apply(settings(next.config, next.authenticator))
	a.level.Set(logLevel(next.config.Log.Level))
	// Who still has a credential comes back with it, and may do what it says now.
	disconnected := a.pubsub.DisconnectWhere(losers(current.config.Auth, next.config.Auth), models.CloseTokenExpired)
	a.logger.Info("configuration_reloaded", "changed", difference(current.config, next.config),
		"needs_restart", difference(next.config, loaded), "disconnected", disconnected)
	return next, nil
}

// authenticate makes the authenticator. Keys that come from elsewhere are kept, unless it is another place, since they may
// not be had at the moment. Others are read anew.
func (r *reloaded) authenticate(ctx context.Context, before reloaded, logger *slog.Logger) error {
	now, was := r.config.Auth, before.config.Auth
	if now.JWT.JWKSURL != "" && reflect.DeepEqual(now.JWT, was.JWT) {
		options, err := now.withoutTokens()
		if err == nil {
			options.TokensOf = before.authenticator
			r.authenticator, err = auth.New(options)
		}
		return err
	}
	keys, stop := context.WithCancel(ctx)
	var err error
	if r.authenticator, err = newAuthenticator(keys, now, logger); err != nil {
		stop()
		return err
	}
	before.stopKeys()
	r.stopKeys = stop
	return nil
}

// losers tells of whoever is connected whether another configuration may have taken something from him. Whoever has come with
// a token goes on until that expires.
func losers(before, after AuthConfig) func(models.Caller) bool {
	strangers := !reflect.DeepEqual(before.Anonymous, after.Anonymous)
	users := make(map[string]bool)
	for _, key := range before.APIKeys {
		if !slices.ContainsFunc(after.APIKeys, func(k APIKeyConfig) bool { return reflect.DeepEqual(k, key) }) {
			users[key.Name] = true
		}
	}
	return func(by models.Caller) bool {
		if by.User == "" {
			return strangers
		}
		return users[by.User]
	}
}
