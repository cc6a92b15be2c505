package app_test

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"fanfare/app"
	"fanfare/models"
	"fanfare/transport"
)

// patience bounds what a test waits for; it only runs out when something is broken.
const patience = time.Minute

// server is a whole Fanfare under test.
type server struct {
	t       *testing.T
	address string
	// client is who asks; tls is what it knows of the server's certificate, nil without TLS.
	client *http.Client
	tls    *tls.Config
	// stop asks it to shut down; stopped has what Run returned.
	stop    context.CancelFunc
	stopped <-chan error
	pid     int
	log     logBook
}

// logBook is what a server has logged.
type logBook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logBook) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// Write implements io.Writer. The logger writes whole lines.
func (l *logBook) Write(line []byte) (int, error) {
	l.add(string(line))
	return len(line), nil
}

// having gives the lines that contain a text.
func (l *logBook) having(text string) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

// startServer runs a server on a free port until the end of the test.
func startServer(t *testing.T, changes ...func(*app.Config)) *server {
	t.Helper()
	config := app.DefaultConfig()
	// All tests can be run in each mode.
	if mode := os.Getenv("FANFARE_TRANSPORT_MODE"); mode != "" {
		config.Transport.Mode = transport.Mode(mode)
	}
	config.Server.Address = "127.0.0.1:0"
	for _, change := range changes {
		change(&config)
	}
	s := &server{t: t, pid: os.Getpid(), client: http.DefaultClient}
	if file := config.Server.TLS.CertFile; file != "" {
		s.trust(file)
	}
	a, err := app.New(t.Context(), config, slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), &s.log), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() {
		stopped <- a.Run(ctx)
		close(stopped)
	}()
	s.address, s.stop, s.stopped = a.Address(), stop, stopped
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	return s
}

// url is that of the server, over a protocol or that with TLS.
func (s *server) url(protocol string) string {
	if s.tls != nil {
		protocol += "s"
	}
	return protocol + "://" + s.address
}

// publish is what curl -d does.
func (s *server) publish(topic, body, contentType string) models.Receipt {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost,
		s.url("http")+"/topics/"+topic+"/publish", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	var receipt models.Receipt
	s.do(request, &receipt)
	return receipt
}

func (s *server) get(path string, into any) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url("http")+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.do(request, into)
}

func (s *server) do(request *http.Request, into any) {
	s.t.Helper()
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s: %s: %s %v", request.Method, request.URL, response.Status, text, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		s.t.Fatalf("%s: %v", text, err)
	}
}

// status asks for a path and gives the status of the answer.
func (s *server) status(path string) int {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url("http")+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// offer publishes, and gives the receipt, or the problem that the server answers, or an
// error if it does not.
func (s *server) offer(topic, body string) (receipt models.Receipt, problem models.Problem, err error) {
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost,
		s.url("http")+"/topics/"+topic+"/publish", strings.NewReader(body))
	if err != nil {
		return receipt, problem, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return receipt, problem, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if response.StatusCode == http.StatusOK {
		return receipt, problem, json.UnmarshalRead(response.Body, &receipt)
	}
	return receipt, problem, json.UnmarshalRead(response.Body, &problem)
}

// await looks until something is so.
func (s *server) await(isSo func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !isSo(); runtime.Gosched() {
		if time.Now().After(end) {
			s.t.Fatal("it does not come to that")
		}
	}
}
