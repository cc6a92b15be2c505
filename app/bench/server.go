package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/gobwas/ws"
)

// The orders of every child: its figures now, or after what is garbage was given back to
// the system.
const (
	orderFigures = "figures"
	orderCollect = "collect"
)

// Attend answers the load's orders about this process, which serves at address, until
// there are no more of them. The answers go to out.
func Attend(in io.Reader, out io.Writer, address string) error {
	return attend(in, out, address, aboutItself)
}

func aboutItself(order string) (string, error) {
	switch order {
	case orderCollect:
		runtime.GC() // what is pooled is only garbage the second time
		debug.FreeOSMemory()
		return ownFigures().String(), nil
	case orderFigures:
		return ownFigures().String(), nil
	default:
		return "", fmt.Errorf("unknown order %q", order)
	}
}

// target is a program that publishes to its subscribers: a Fanfare, or a floor.
type target interface {
	// connect gives the load's i-th connection, which can subscribe.
	connect(ctx context.Context, i int) (*client, error)
	// subscription is what a connection sends to subscribe to a topic.
	subscription(topic string) []byte
	// figures are what the target says about its process.
	figures(ctx context.Context) (figures, error)
}

// server is a Fanfare under load: a child, or one that was running.
type server struct {
	address string // host:port
	child   *child // nil if it was running
	http    *http.Client
}

// connect implements target.
func (s *server) connect(ctx context.Context, i int) (*client, error) {
	return dialWebSocket(ctx, s.address, sourceAddress(i, s.address))
}

// subscription implements target.
func (s *server) subscription(topic string) []byte {
	return appendRequest(nil, ws.OpText, fmt.Appendf(nil, `{"action":"subscribe","topic":%q}`, topic))
}

// figures implements target.
func (s *server) figures(ctx context.Context) (figures, error) {
	if s.child != nil {
		return s.child.figures(orderFigures)
	}
	text, err := s.get(ctx, "/metrics")
	if status, ok := errors.AsType[statusError](err); ok && status.code == http.StatusNotFound {
		return noFigures(), nil
	}
	return parseFigures(text), err
}

// collected are the figures after a forced collection, if the server is a child.
func (s *server) collected(ctx context.Context) (figures, error) {
	if s.child != nil {
		return s.child.figures(orderCollect)
	}
	return s.figures(ctx)
}

func (c *child) figures(order string) (figures, error) {
	text, err := c.order(order)
	return parseFigures(text), err
}

// statusError is an answer other than 200.
type statusError struct {
	path string
	code int
	body string
}

func (e statusError) Error() string {
	return fmt.Sprintf("GET %s: status %d: %.200s", e.path, e.code, e.body)
}

func (s *server) get(ctx context.Context, path string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+path, nil)
	if err != nil {
		return "", err
	}
	response, err := s.http.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = statusError{path: path, code: response.StatusCode, body: string(text)}
	}
	return string(text), err
}

// emptied waits until the server lists none of the load's clients any more.
func (s *server) emptied(ctx context.Context) error {
	path := "/clients?limit=1"
	if s.child == nil {
		path += "&topic=bench.0" // others may be there
	}
	for begin := time.Now(); time.Since(begin) < patience; {
		text, err := s.get(ctx, path)
		if err != nil {
			return err
		}
		var page struct {
			Clients []jsontext.Value `json:"clients"`
		}
		if err := json.Unmarshal([]byte(text), &page); err != nil {
			return fmt.Errorf("GET %s: %w", path, err)
		}
		if len(page.Clients) == 0 {
			return nil
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("the server still lists clients %v after all of them have left", patience)
}

// stop ends a server that is a child.
func (s *server) stop() error {
	if s.child == nil {
		return nil
	}
	return s.child.stop()
}

// server starts a server of its own, or finds the one that is running.
func (r *runner) server(ctx context.Context) (*server, error) {
	// Connections that are kept would be goroutines and descriptors in what is measured.
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	if r.options.URL != "" {
		address, err := addressOf(r.options.URL)
		return &server{address: address, http: client}, err
	}
	child, err := r.start(ctx, r.serverEnviron(), ServerCommand, r.serverCore())
	if err != nil {
		return nil, err
	}
	return &server{address: child.addresses[0], child: child, http: client}, nil
}

// serverEnviron has no configuration but what was asked for.
func (r *runner) serverEnviron() []string {
	environ := []string{"FANFARE_LOG_LEVEL=warn"}
	for _, entry := range r.environ {
		if !strings.HasPrefix(entry, "FANFARE_") {
			environ = append(environ, entry)
		}
	}
	return append(environ, r.options.ServerEnv...)
}

// addressOf gives the host:port of a server's URL.
func addressOf(url string) (string, error) {
	host, found := strings.CutPrefix(strings.TrimSuffix(url, "/"), "http://")
	if !found || host == "" || strings.ContainsAny(host, "/?#@ ") {
		return "", fmt.Errorf("%q is not the URL of a server: want http://HOST:PORT", url)
	}
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(strings.Trim(host, "[]"), "80")
	}
	return host, nil
}
