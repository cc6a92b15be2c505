//go:build unix

package app_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	coder "github.com/coder/websocket"

	"fanfare/app"
	"fanfare/handlers/auth"
)

// reloading is a server with a file that it reads its configuration from.
type reloading struct {
	*server
	file string
}

// startReloading starts a server that has users with API keys, who may do everything.
func startReloading(t *testing.T, rest string, users ...string) *reloading {
	t.Helper()
	dir := t.TempDir()
	r := &reloading{file: filepath.Join(dir, "config.yaml")}
	r.write(t, rest, users...)
	r.server = startAfter(t, "cd '"+dir+"'")
	return r
}

// keyOf is the API key of a user.
func keyOf(user string) string { return user + "-0123456789abcdef0123456789" }

func (r *reloading) write(t *testing.T, rest string, users ...string) {
	t.Helper()
	var text strings.Builder
	fmt.Fprintln(&text, rest)
	if len(users) > 0 {
		fmt.Fprintln(&text, "auth:\n  api_keys:")
	}
	for _, user := range users {
		fmt.Fprintf(&text, "    - {name: %s, hash: %s, subscribe: ['>'], publish: ['>'], admin: true}\n", user, auth.HashKey(keyOf(user)))
	}
	if err := os.WriteFile(r.file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// reload asks the server to read the file again, and gives the line that it logs.
func (r *reloading) reload() string {
	r.t.Helper()
	before := len(r.log.having("reloaded"))
	r.hangUp()
	r.await(func() bool { return len(r.log.having("reloaded")) > before })
	return r.log.having("reloaded")[before]
}

func (r *reloading) hangUp() {
	r.t.Helper()
	process, err := os.FindProcess(r.pid)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := process.Signal(syscall.SIGHUP); err != nil {
		r.t.Fatal(err)
	}
}

// ask asks for a path as a user, and gives the status of the answer.
func (r *reloading) ask(user, path string, headers ...string) int {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, r.url("http")+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+keyOf(user))
	for pair := range slices.Chunk(headers, 2) {
		request.Header.Set(pair[0], pair[1])
	}
	response, err := r.client.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// dialAs connects a WebSocket as a user, and takes the welcome.
func (r *reloading) dialAs(user string) foreign {
	r.t.Helper()
	return r.dialWith(keyOf(user))
}

// dialWith is dialAs with a token or API key.
func (r *reloading) dialWith(credential string) foreign {
	r.t.Helper()
	conn, _, err := coder.Dial(r.t.Context(), r.url("ws")+"/ws?access_token="+credential, nil) //nolint:bodyclose // it closes that itself
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.CloseNow() })
	client := coderClient{conn}
	if f := r.receive(client); f.Type != "welcome" {
		r.t.Fatalf("%+v", f)
	}
	return client
}

func wantStatus(t *testing.T, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %d, want %d", what, got, want)
	}
}

// TestReload: SIGHUP applies what can be applied, and names the rest. Who has lost a key is disconnected, and others stay.
func TestReload(t *testing.T) {
	r := startReloading(t, "", "ada", "bob")
	ada, bob := r.dialAs("ada"), r.dialAs("bob")
	const origin = "https://app.example.com"
	wantStatus(t, "a page of another origin", r.ask("bob", "/topics", "Origin", origin), http.StatusForbidden)

	r.write(t, "server: {allowed_origins: ["+origin+"], drain_delay: 3s, shutdown_timeout: 11s}\nlog: {level: debug}", "bob", "eve")
	line := r.reload()
	for _, want := range []string{
		`"msg":"configuration_reloaded"`, `"changed":["server.allowed_origins","auth.api_keys","log.level"]`,
		`"needs_restart":["server.drain_delay","server.shutdown_timeout"]`,
	} {
		if !strings.Contains(line, want) {
			t.Errorf("%s\nwant %s", line, want)
		}
	}
	if _, err := ada.receive(); coder.CloseStatus(err) != 4003 {
		t.Errorf("a connection with a key that was withdrawn: %v", err)
	}
	if err := bob.send(`{"action":"ping"}`); err != nil || r.receive(bob).Type != "pong" {
		t.Errorf("a connection with another key: %v", err)
	}
	wantStatus(t, "the key that was withdrawn", r.ask("ada", "/topics"), http.StatusUnauthorized)
	wantStatus(t, "the key that stayed", r.ask("bob", "/topics"), http.StatusOK)
	wantStatus(t, "the new key", r.ask("eve", "/topics"), http.StatusOK)
	wantStatus(t, "a page of another origin, allowed now", r.ask("bob", "/topics", "Origin", origin), http.StatusOK)
	r.await(func() bool { return len(r.log.having("request_handled")) > 0 })

	r.write(t, "limits: {request_rate: 0.001, request_burst: 1}", "bob")
	r.reload()
	wantStatus(t, "the first of a rate", r.ask("bob", "/topics"), http.StatusOK)
	r.reload()
	wantStatus(t, "the second, though the file was read again", r.ask("bob", "/topics"), http.StatusTooManyRequests)
	r.write(t, "", "bob")
	r.reload()
	wantStatus(t, "without the rate", r.ask("bob", "/topics"), http.StatusOK)
}

// TestReloadOfMistakes: what is wrong is said, and all stays as it was.
func TestReloadOfMistakes(t *testing.T) {
	r := startReloading(t, "log: {level: info}", "bob")
	bob := r.dialAs("bob")
	notReloaded := `"msg":"configuration_not_reloaded"`
	for _, tt := range []struct {
		name  string
		write func() error
		want  string
	}{
		{"no YAML", func() error { return os.WriteFile(r.file, []byte("{"), 0o600) }, notReloaded},
		{"an unknown key", func() error { r.write(t, "nothing: 1", "eve"); return nil }, notReloaded},
		{"a wrong value", func() error { r.write(t, "log: {level: loud}", "eve"); return nil }, notReloaded},
		{"a key file that is not there", func() error {
			r.write(t, "auth: {jwt: {algorithms: [HS256], key_file: nowhere}}")
			return nil
		}, notReloaded},
		{"no file", func() error { return os.Remove(r.file) }, notReloaded},
		{"a directory", func() error { return os.Mkdir(r.file, 0o700) }, notReloaded},
		{"no authentication", func() error {
			if err := os.Remove(r.file); err != nil {
				return err
			}
			r.write(t, "")
			return nil
		}, `"needs_restart":["auth.api_keys"]`},
	} {
		if err := tt.write(); err != nil {
			t.Fatal(err)
		}
		if line := r.reload(); !strings.Contains(line, tt.want) {
			t.Errorf("%s: %s", tt.name, line)
		}
		wantStatus(t, tt.name+", the key", r.ask("bob", "/topics"), http.StatusOK)
		wantStatus(t, tt.name+", another key", r.ask("eve", "/topics"), http.StatusUnauthorized)
	}
	if err := bob.send(`{"action":"ping"}`); err != nil || r.receive(bob).Type != "pong" {
		t.Errorf("the connection: %v", err)
	}
}

// TestReloadOfCertificate: without any handshake, the files are looked at.
func TestReloadOfCertificate(t *testing.T) {
	dir := t.TempDir()
	files := app.TLSConfig{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	app.WriteCertificate(t, files, 1)
	r := startReloading(t, "server: {tls: {cert_file: '"+files.CertFile+"', key_file: '"+files.KeyFile+"'}}", "bob")
	app.WriteCertificate(t, files, 2)
	r.reload()
	if n := len(r.log.having("certificate_replaced")); n != 1 {
		t.Errorf("it was replaced %d times", n)
	}
}

// TestReloadStorm: however often it is asked, it ends with the newest file, refuses nobody meanwhile, and shuts down.
func TestReloadStorm(t *testing.T) {
	r := startReloading(t, "", "bob")
	var asking sync.WaitGroup
	over := make(chan struct{})
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					wantStatus(t, "during the storm", r.ask("bob", "/topics"), http.StatusOK)
				}
			}
		})
	}
	for range 500 {
		r.hangUp()
	}
	r.write(t, "", "bob", "eve")
	r.hangUp()
	r.await(func() bool { return r.ask("eve", "/topics") == http.StatusOK })
	close(over)
	asking.Wait()
	for range 100 {
		r.hangUp()
	}
	r.stop()
	if err := <-r.stopped; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// TestReloadOfStrangers: what strangers may not do any more, those who are there cannot do either.
func TestReloadOfStrangers(t *testing.T) {
	const tokens = "jwt: {algorithms: [HS256], key: '0123456789abcdef0123456789abcdef'}" //nolint:gosec // an example
	r := startReloading(t, "auth: {"+tokens+", anonymous: {subscribe: ['>'], publish: ['>']}}")
	text, err := auth.Sign(auth.Token{Algorithm: "HS256", User: "ada", Expires: time.Now().Add(time.Hour)}, []byte("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	ada := r.dialWith(text)
	r.write(t, "auth: {"+tokens+", anonymous: {subscribe: ['>'], publish: ['>']}}\nlog: {level: debug}")
	stranger, err := dialCoder(t.Context(), r.server)
	if err != nil {
		t.Fatal(err)
	}
	if f := r.receive(stranger); f.Type != "welcome" {
		t.Fatalf("%+v", f)
	}
	r.reload()
	if err := stranger.send(`{"action":"publish","topic":"a","data":1,"ref":1}`); err != nil || r.receive(stranger).Type != "ack" {
		t.Errorf("a stranger who may do the same as before: %v", err)
	}
	r.write(t, "auth: {"+tokens+", anonymous: {subscribe: ['>']}}")
	r.reload()
	if _, err := stranger.receive(); coder.CloseStatus(err) != 4003 {
		t.Errorf("a stranger who may do less: %v", err)
	}
	if err := ada.send(`{"action":"ping"}`); err != nil || r.receive(ada).Type != "pong" {
		t.Errorf("somebody with a token: %v", err)
	}
}
