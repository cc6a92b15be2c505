package app

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"
)

// TestReloadWithoutJWKS: while the provider of keys for tokens is away, other changes are applied, and its tokens stay good.
func TestReloadWithoutJWKS(t *testing.T) {
	provider, private := startProvider(t)
	config := DefaultConfig()
	config.Server.Address = "127.0.0.1:0"
	config.Auth.JWT = JWTConfig{Algorithms: []string{"RS256"}, JWKSURL: provider.URL}
	a, err := New(t.Context(), config, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	asked, loaded := make(chan os.Signal), make(chan Config)
	var serving errgroup.Group
	serving.Go(func() error { return a.Run(ctx) })
	serving.Go(func() error {
		a.reloadWhen(ctx, asked, func() (Config, error) { return <-loaded, nil })
		return nil
	})
	status := func() int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url()+"/topics/a/messages", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+signedWith(t, "RS256", private, "k"))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		return response.StatusCode
	}

	const known, allowed = http.StatusForbidden, http.StatusOK
	if got := status(); got != known {
		t.Errorf("a token without scopes: %d", got)
	}
	provider.Close()
	next := config
	next.Auth.Anonymous.Subscribe = []string{">"}
	asked <- syscall.SIGHUP
	loaded <- next
	asked <- syscall.SIGHUP // it is taken when the first is done
	loaded <- next
	if got := status(); got != known {
		t.Errorf("a token, while the provider is away: %d", got)
	}
	response, err := http.Get(a.url() + "/topics/a/messages") //nolint:noctx // it has answered before
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != allowed {
		t.Errorf("a stranger, who may now: %d", response.StatusCode)
	}
	stop()
	if err := serving.Wait(); err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
}
