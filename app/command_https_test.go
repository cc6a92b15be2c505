package app_test

import (
	"context"
	"crypto/tls"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"fanfare/app"
)

// TestCommandsBelowAPath: over TLS, and through a proxy that has the server below a path, the commands do the same.
func TestCommandsBelowAPath(t *testing.T) {
	target := &url.URL{Scheme: "http", Host: startServer(t).address}
	proxy := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.URL.Path = strings.TrimPrefix(r.In.URL.Path, "/below")
		r.Out.URL.RawPath = strings.TrimPrefix(r.In.URL.EscapedPath(), "/below")
	}})
	files := app.TLSConfig{CertFile: filepath.Join(t.TempDir(), "cert.pem"), KeyFile: filepath.Join(t.TempDir(), "key.pem")}
	app.WriteCertificate(t, files, 1)
	certificate, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	proxy.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	proxy.EnableHTTP2 = true
	proxy.StartTLS()
	defer proxy.Close()

	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"pub", "a/b", "hello"}, `"topic":"a/b"`},
		{[]string{"sub", "a/b", "--last", "1", "--count", "1"}, `"topic":"a/b","data":"hello"`},
		{[]string{"topics"}, `"name":"a/b"`},
		{[]string{"doctor"}, "Fanfare, over HTTP/2.0"},
	} {
		t.Run(tt.args[0], func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			command := exec.CommandContext(ctx, os.Args[0], tt.args...) //nolint:gosec // itself
			command.Env = append(os.Environ(), asProcess+"=1", "FANFARE_URL="+proxy.URL+"/below/", "SSL_CERT_FILE="+files.CertFile)
			out, err := command.CombinedOutput()
			if err != nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
