package app

import (
	"context"
	"errors"
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

// reloadWhen reads the configuration again whenever it is asked to, until ctx ends, and applies what can be. What is wrong
// changes nothing.
func (a *App) reloadWhen(ctx context.Context, asked <-chan os.Signal, load func() (Config, error)) {
	current, stopKeys := a.config, a.stopKeys
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
		}
		loaded, err := load()
		if err != nil {
			a.logger.Error("configuration_not_reloaded", "error", err)
			continue
		}
		next := current.with(loaded)
		keys, stop := context.WithCancel(ctx)
		if err := a.reload(keys, current, next, difference(next, loaded)); err != nil {
			stop()
			a.logger.Error("configuration_not_reloaded", "error", err)
			continue
		}
		stopKeys()
		current, stopKeys = next, stop
	}
}

// reload goes on with another configuration, and says which keys wait for a restart. The refreshing of keys for tokens ends
// with ctx.
func (a *App) reload(ctx context.Context, current, next Config, waiting []string) error {
	if err := errors.Join(next.validate()...); err != nil {
		return err
	}
	authenticator, err := newAuthenticator(ctx, next.Auth, a.logger)
	if err != nil {
		return err
	}
	if a.certificate != nil {
		a.certificate.reload()
	}
	a.apply(settings(next, authenticator))
	a.logger.Info("configuration_reloaded", "changed", difference(current, next), "needs_restart", waiting)
	a.level.Set(logLevel(next.Log.Level))
	for _, key := range current.Auth.APIKeys {
		if !slices.ContainsFunc(next.Auth.APIKeys, func(k APIKeyConfig) bool { return reflect.DeepEqual(k, key) }) {
			// Who still has a key comes back with it, and may do what it says now.
			everything := models.Caller{Scopes: models.AllScopes()}
			clients, _ := a.pubsub.DisconnectUser(ctx, everything, key.Name, models.CloseTokenExpired)
			a.logger.Info("key_changed", "user", key.Name, "clients", clients)
		}
	}
	return nil
}
