package doctor_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"fanfare/app"
	"fanfare/app/doctor"
	"fanfare/app/remote"
	"fanfare/handlers/auth"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// fasthttp's own, which end later or never.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"))
}

const (
	// patience is long: only what never comes takes so long.
	patience = 30 * time.Second
	// impatience is for what never comes.
	impatience = 2 * time.Second
	// secret signs tokens.
	secret = "0123456789abcdef0123456789abcdef"
)

// start runs a server until the end of the test, and gives its URL.
func start(t *testing.T, changes ...func(*app.Config)) string {
	t.Helper()
	config := app.DefaultConfig()
	config.Server.Address = "127.0.0.1:0"
	for _, change := range changes {
		change(&config)
	}
	a, err := app.New(t.Context(), config, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	if config.Server.TLS.CertFile != "" {
		return "https://" + a.Address()
	}
	return "http://" + a.Address()
}

// withTokens has the server take tokens.
func withTokens(c *app.Config) {
	c.Auth.JWT.Algorithms, c.Auth.JWT.Key = []string{"HS256"}, secret
}

// token signs one.
func token(t *testing.T, key string, change func(*auth.Token)) string {
	t.Helper()
	token := auth.Token{Algorithm: "HS256", User: "ada", Expires: time.Now().Add(time.Hour)}
	change(&token)
	text, err := auth.Sign(token, []byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// all allows everything that concerns topics.
func all(token *auth.Token) {
	token.Grant = auth.Grant{Publish: []string{">"}, Subscribe: []string{">"}}
}

// proxy stands before a server. change may change requests and answers.
func proxy(t *testing.T, target string, rewrite func(*http.Request), modify func(*http.Response) error) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
			if rewrite != nil {
				rewrite(r.Out)
			}
		},
		ModifyResponse: modify,
		FlushInterval:  -1,
	}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	return server.URL
}

// examine gives what is found, a line each: level, check, text, and advice.
func examine(t *testing.T, text, credential string, patience time.Duration, roots *x509.CertPool) (lines []string, failed int) {
	t.Helper()
	u, err := remote.ParseURL(text)
	if err != nil {
		t.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	failed = doctor.Examine(t.Context(), doctor.Options{
		Server:    &remote.Server{URL: u, Token: func() (string, error) { return credential, nil }},
		Transport: transport, Patience: patience,
		Report: func(f doctor.Finding) {
			line := fmt.Sprintf("%s %s: %s. %s", []string{"good", "note", "warning", "bad"}[f.Level], f.Check, f.Text, f.Advice)
			lines = append(lines, line)
			t.Log(line)
		},
	})
	for _, line := range lines {
		if credential != "" && strings.Contains(line, credential) {
			t.Errorf("it tells the token: %s", line)
		}
	}
	return lines, failed
}

// checks gives the levels and names of what was found.
func checks(lines []string) (names []string) {
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ":")
		names = append(names, name)
	}
	return names
}

// wantLine wants a line that begins so and goes on so.
func wantLine(t *testing.T, lines []string, beginning, rest string) {
	t.Helper()
	for _, line := range lines {
		if strings.HasPrefix(line, beginning) && strings.Contains(line, rest) {
			return
		}
	}
	t.Errorf("nothing is %q ... %q in\n%s", beginning, rest, strings.Join(lines, "\n"))
}

// TestHealthy: nothing is wrong, and nothing is left behind.
func TestHealthy(t *testing.T) {
	server := start(t)
	lines, failed := examine(t, strings.Replace(server, "127.0.0.1", "localhost", 1), "", patience, nil)
	want := []string{
		"good name", "good connection", "good server", "good clock", "good ready", "note token", "good WebSocket", "good latency",
		"note limits", "good pings", "good stream", "good round trip",
	}
	if diff := cmp.Diff(want, checks(lines)); failed != 0 || diff != "" {
		t.Errorf("%d have failed (-want +got):\n%s", failed, diff)
	}
	response, err := http.Get(server + "/topics/>/messages") //nolint:noctx // it is here
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if text, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(text), `"messages":[]`) {
		t.Errorf("it leaves %s, %v", text, err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections() //nolint:forcetypeassert // it is one
}

// TestTokens: what a token is for is told and, where it is refused, why.
func TestTokens(t *testing.T) {
	key := auth.NewKey()
	server := start(t, withTokens, func(c *app.Config) {
		c.Auth.APIKeys = []app.APIKeyConfig{{Name: "reports", Hash: auth.HashKey(key), Subscribe: []string{"news.>"}}}
	})
	tests := map[string]struct {
		credential string
		failed     int
		check      string // the beginning of a line
		text       string // more of it
		then       string // another one that has to be there
	}{
		"none":                    {"", 0, "note token", "has authentication, and there is no token", "note stream"},
		"for everything":          {token(t, secret, all), 0, "good token", "user ada, publish >, subscribe >, admin false, until ", "good round trip"},
		"for an admin":            {token(t, secret, func(k *auth.Token) { k.Grant.Admin = true }), 0, "good token", "publish nothing, subscribe nothing, admin true", "note stream"},
		"to listen":               {token(t, secret, func(k *auth.Token) { k.Grant.Subscribe = []string{"a.*", "b"} }), 0, "good token", "subscribe a.* b", "good stream"},
		"two that do not overlap": {token(t, secret, func(k *auth.Token) { k.Grant.Subscribe, k.Grant.Publish = []string{"a"}, []string{"b.>"} }), 0, "good token", "publish b.>, subscribe a", "good stream"},
		"two that overlap":        {token(t, secret, func(k *auth.Token) { k.Grant.Subscribe, k.Grant.Publish = []string{"a.>"}, []string{"b.>", "a.*.c"} }), 0, "good round trip", "a message to a.fanfare-doctor-", "good token"},
		"for nothing":             {token(t, secret, func(*auth.Token) {}), 0, "warning token", `It allows nothing: the claim "fanfare" says what`, "good WebSocket"},
		"that ends":               {token(t, secret, func(k *auth.Token) { all(k); k.Expires = time.Now().Add(30 * time.Second) }), 0, "warning token", "It ends now", "good stream"},
		"expired":                 {token(t, secret, func(k *auth.Token) { all(k); k.Expires = time.Now().Add(-time.Hour) }), 1, "bad token", "refuses it: it has expired at ", ""},
		"not yet valid":           {token(t, secret, func(k *auth.Token) { k.NotBefore = time.Now().Add(30 * time.Minute) }), 1, "bad token", "it is not valid before ", ""},
		"without expiry":          {token(t, secret, func(k *auth.Token) { k.Expires = time.Time{} }), 1, "bad token", `it has no expiry ("exp")`, ""},
		"without a user":          {token(t, secret, func(k *auth.Token) { k.User = "" }), 1, "bad token", `it has no user ("sub")`, ""},
		"no pattern":              {token(t, secret, func(k *auth.Token) { k.Grant.Publish = []string{"a..b"} }), 1, "bad token", `has something that is no pattern: "a..b"`, ""},
		"of another key":          {token(t, strings.Repeat("x", 32), all), 1, "bad token", "nothing is wrong with what it says. It was signed with another key or algorithm (HS256)", ""},
		"damaged":                 {"a.b", 1, "bad token", "cannot be read as a token. Give all of it", ""},
		"an API key":              {key, 0, "good token", "the server knows the API key; admin: false", "note stream"},
		"another API key":         {auth.NewKey(), 1, "bad token", "it is no API key that it knows", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			lines, failed := examine(t, server, tt.credential, patience, nil)
			if failed != tt.failed {
				t.Errorf("%d have failed, want %d", failed, tt.failed)
			}
			wantLine(t, lines, tt.check, tt.text)
			wantLine(t, lines, tt.then, "")
		})
	}
	lines, _ := examine(t, start(t), "anything", patience, nil)
	wantLine(t, lines, "note token", "nobody looks at the token")
}

// TestWrongPlaces: where there is no Fanfare, that is told.
func TestWrongPlaces(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "other/1.0")
		http.NotFound(w, r)
	}))
	defer other.Close()
	closed := httptest.NewServer(nil)
	closed.Close()
	below := proxy(t, start(t, withTokens), func(r *http.Request) { r.URL.Path = strings.TrimPrefix(r.URL.Path, "/below") }, nil)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() //nolint:errcheck // nothing comes
	tests := map[string]struct {
		url, check, text string
		failed           int
	}{
		"a port where nobody listens": {closed.URL, "bad connection", "connection refused. Is the server running? Start it with: fanfare", 1},
		"a host that is none":         {"http://nowhere.invalid", "bad name", "there is no host nowhere.invalid", 1},
		"another server":              {other.URL, "bad server", `answers 404 Not Found, "text/plain; charset=utf-8", server "other/1.0". That is not Fanfare`, 1},
		"a server that says nothing":  {"http://" + silent.Addr().String(), "bad server", "no answer in time", 1},
		"a path that is none":         {start(t) + "/below", "bad server", "not_found", 1},
		"a path of a proxy":           {below + "/below", "good WebSocket", "", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			lines, failed := examine(t, tt.url, "", impatience, nil)
			if failed != tt.failed {
				t.Errorf("%d have failed, want %d", failed, tt.failed)
			}
			wantLine(t, lines, tt.check, tt.text)
		})
	}
}

// refusing puts a problem in place of the answers to a path.
func refusing(path, code string) func(*http.Response) error {
	return func(r *http.Response) error {
		if r.Request.URL.Path == path {
			r.StatusCode = http.StatusServiceUnavailable
			r.Header.Set("Content-Type", "application/problem+json")
			r.Header.Del("Content-Length")
			r.Body = io.NopCloser(strings.NewReader(`{"code":"` + code + `","detail":"` + code + `"}`))
		}
		return nil
	}
}

// TestProxies: what a proxy spoils is told, and what it needs.
func TestProxies(t *testing.T) {
	open, closed := start(t), start(t, withTokens)
	slow := start(t, withTokens, func(c *app.Config) { c.Transport.PingInterval = time.Minute })
	good := token(t, secret, all)
	tests := map[string]struct {
		url        string
		credential string
		patience   time.Duration
		failed     int
		check      string
		text       string
	}{
		"all is well": {proxy(t, closed, nil, nil), good, patience, 0, "good round trip", ""},
		"it names itself": {proxy(t, closed, nil, func(r *http.Response) error { r.Header.Set("Via", "1.1 cache"); return nil }),
			good, patience, 0, "good server", `through the proxy "1.1 cache"`},
		"no authentication": {proxy(t, open, nil, nil), "", patience, 1, "bad server", "Set auth in its configuration"},
		"no upgrade": {proxy(t, closed, func(r *http.Request) { r.Header.Del("Upgrade"); r.Header.Del("Connection") }, nil),
			good, patience, 1, "bad WebSocket", "without its headers Upgrade and Connection (426). A proxy on the way drops them"},
		"a buffer": {proxy(t, closed, nil, func(r *http.Response) error {
			if strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
				_, _ = io.Copy(io.Discard, r.Body) // to the end that never comes
			}
			return nil
		}), good, impatience, 1, "bad stream", "A proxy on the way buffers"},
		"a clock that is ahead": {proxy(t, closed, nil, func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			return nil
		}), good, patience, 0, "warning clock", "ahead of the one here. Set the one that is wrong"},
		"a clock that is behind": {proxy(t, closed, nil, func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
			return nil
		}), good, patience, 0, "warning clock", "behind the one here"},
		"long silence":  {proxy(t, slow, nil, nil), good, patience, 0, "warning pings", "every 1m0s. Many proxies close what is silent for 60s"},
		"shutting down": {proxy(t, closed, nil, refusing("/readyz", "shutting_down")), good, patience, 1, "bad ready", "shutting down. Wait"},      //nolint:bodyclose // the proxy does
		"no log":        {proxy(t, closed, nil, refusing("/readyz", "engine_unavailable")), good, patience, 1, "bad ready", "lost its log"},        //nolint:bodyclose // the proxy does
		"no clients":    {proxy(t, closed, nil, refusing("/events", "too_many_clients")), good, patience, 1, "bad stream", "Raise limits.clients"}, //nolint:bodyclose // the proxy does
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			lines, failed := examine(t, tt.url, tt.credential, tt.patience, nil)
			if failed != tt.failed {
				t.Errorf("%d have failed, want %d", failed, tt.failed)
			}
			wantLine(t, lines, tt.check, tt.text)
		})
	}
}

// TestBadUpgrades: a proxy that answers in place of the server, or keeps back what that sends.
func TestBadUpgrades(t *testing.T) {
	server, err := url.Parse(start(t))
	if err != nil {
		t.Fatal(err)
	}
	behind := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(server) }}
	begin := func(first string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			conn, stream, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close() //nolint:errcheck // it is over
			_, _ = stream.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + first)
			_ = stream.Flush()
			_, _ = io.Copy(io.Discard, stream) // until the other side has enough
		}
	}
	tests := map[string]struct {
		answer func(http.ResponseWriter)
		text   string
	}{
		"a page":              {func(w http.ResponseWriter) { http.Error(w, "no", http.StatusBadRequest) }, "answers 400 Bad Request"},
		"silence":             {begin(""), "it opens, and nothing comes for 2s. Something on the way keeps back what the server sends"},
		"a close":             {begin("\x88\x02\x03\xe8"), "it opens, and ends: closed with 1000"},
		"another server":      {begin("\x81\x02{}"), `it opens, and begins with ""`},
		"bytes":               {begin("\x82\x01x"), "it opens, and ends: a frame that is no text"},
		"a frame without end": {begin("\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), "it opens, and ends: a frame of 9223372036854775807 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Upgrade") == "" {
					behind.ServeHTTP(w, r)
					return
				}
				tt.answer(w)
			}))
			defer proxy.Close()
			lines, failed := examine(t, proxy.URL, "", impatience, nil)
			if failed != 1 {
				t.Errorf("%d have failed, want 1", failed)
			}
			wantLine(t, lines, "bad WebSocket", tt.text)
			wantLine(t, lines, "good stream", "")
		})
	}
}

// TestFullServer: what the server says within a stream is told like any other refusal.
func TestFullServer(t *testing.T) {
	server := start(t, func(c *app.Config) { c.Limits.Clients = 1 })
	response, err := http.Get(server + "/events?topic=a") //nolint:noctx // it is here
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections() //nolint:forcetypeassert // it is one
	defer response.Body.Close()                                          //nolint:errcheck // it is over
	lines, failed := examine(t, server, "", patience, nil)
	if failed != 2 {
		t.Errorf("%d have failed, want 2", failed)
	}
	wantLine(t, lines, "bad WebSocket", "too_many_clients: the server has as many clients as it takes. Raise limits.clients")
	wantLine(t, lines, "bad stream", "too_many_clients: the server has as many clients as it takes. Raise limits.clients")
}

// TestTLS: certificates that are not trusted, or will not be for long, and the wrong scheme.
func TestTLS(t *testing.T) {
	roots := x509.NewCertPool()
	server := start(t, withCertificate(t, roots, time.Now().Add(365*24*time.Hour)))
	ending := start(t, withCertificate(t, roots, time.Now().Add(24*time.Hour)))
	expired := start(t, withCertificate(t, roots, time.Now().Add(-time.Hour)))
	plain := start(t)
	tests := map[string]struct {
		url    string
		roots  *x509.CertPool
		check  string
		text   string
		failed int
	}{
		"all is well":          {server, roots, "good TLS", "TLS 1.3, certificate until 20", 0},
		"it ends soon":         {ending, roots, "warning TLS", "Renew it soon", 0},
		"it has ended":         {expired, roots, "bad TLS", "its certificate has expired", 1},
		"an unknown authority": {server, x509.NewCertPool(), "bad TLS", "its certificate is of an authority that is not known here. Put ", 1},
		"another host":         {strings.Replace(server, "127.0.0.1", "localhost", 1), roots, "bad TLS", "its certificate is for another host", 1},
		"TLS to plain HTTP":    {strings.Replace(plain, "http", "https", 1), roots, "bad TLS", "it speaks HTTP without TLS. Try http://", 1},
		"plain HTTP to TLS":    {strings.Replace(server, "https", "http", 1), roots, "bad server", "it speaks TLS. Use https://", 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			lines, failed := examine(t, tt.url, "", patience, tt.roots)
			if failed != tt.failed {
				t.Errorf("%d have failed, want %d", failed, tt.failed)
			}
			wantLine(t, lines, tt.check, tt.text)
		})
	}
}

// withCertificate has the server speak TLS with a certificate for 127.0.0.1, which the roots get.
func withCertificate(t *testing.T, roots *x509.CertPool, end time.Time) func(*app.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: end,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	roots.AppendCertsFromPEM(text)
	certFile, keyFile := filepath.Join(t.TempDir(), "cert"), filepath.Join(t.TempDir(), "key")
	for name, data := range map[string][]byte{certFile: text, keyFile: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return func(c *app.Config) { c.Server.TLS.CertFile, c.Server.TLS.KeyFile = certFile, keyFile }
}
