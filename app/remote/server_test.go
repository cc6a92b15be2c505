package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

const secret = "a-token-that-nobody-may-see"

// anonymous is a server that is asked without a token.
func anonymous(t *testing.T, text string) *Server {
	t.Helper()
	u, err := ParseURL(text)
	if err != nil {
		t.Fatal(err)
	}
	return &Server{URL: u, Token: func() (string, error) { return "", nil }, Client: NewClient(http.DefaultTransport)}
}

func TestParseURL(t *testing.T) {
	tests := map[string]struct {
		text, want string // want is empty if it is none
	}{
		"host and port":        {"http://localhost:8080", "http://localhost:8080"},
		"a slash at the end":   {"http://localhost:8080/", "http://localhost:8080"},
		"https":                {"https://fanfare.example.com", "https://fanfare.example.com"},
		"a path":               {"https://example.com/fanfare/", "https://example.com/fanfare"},
		"a path with escapes":  {"https://example.com/a%2Fb//", "https://example.com/a%2Fb"},
		"no scheme":            {"localhost:8080", "http://localhost:8080"},
		"no scheme, a path":    {"127.0.0.1:8080/x", "http://127.0.0.1:8080/x"},
		"IPv6":                 {"http://[::1]:8080", "http://[::1]:8080"},
		"nothing":              {"", ""},
		"no host":              {"http://", ""},
		"no host, but a port":  {"http://:8080", ""},
		"another scheme":       {"ftp://localhost", ""},
		"a WebSocket":          {"ws://localhost:8080", ""},
		"a user":               {"http://ada:" + secret + "@localhost", ""},
		"a query":              {"http://localhost/?access_token=" + secret, ""},
		"an empty query":       {"http://localhost/?", ""},
		"a fragment":           {"http://localhost/#" + secret, ""},
		"port 0":               {"http://localhost:0", ""},
		"a port that is none":  {"http://localhost:x", ""},
		"a port that is large": {"http://localhost:65536", ""},
		"white space":          {"http://" + secret + " localhost", ""},
		"a bad escape":         {"http://localhost/%zz", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			u, err := ParseURL(tt.text)
			if tt.want == "" {
				if err == nil {
					t.Fatalf("it is %s", u)
				}
				if strings.Contains(err.Error(), secret) {
					t.Errorf("it tells: %v", err)
				}
				return
			}
			if err != nil || u.String() != tt.want {
				t.Errorf("%v, %v, want %s", u, err, tt.want)
			}
		})
	}
}

// TestURLOf: whatever a topic has, the server reads it as it is.
func TestURLOf(t *testing.T) {
	for _, base := range []string{"http://localhost:8080", "http://localhost:8080/below", "http://localhost:8080/a%2Fb"} {
		for _, topic := range []string{"news.eu", "a/b", "a/../b", "50%", "ü?#&+", "a;b=c", "%2F"} {
			u := anonymous(t, base).URLOf([]string{"topics", topic, "messages"}, url.Values{"last": {"1"}})
			again, err := url.Parse(u.String())
			if err != nil {
				t.Fatal(err)
			}
			if want := base + "/topics/" + url.PathEscape(topic) + "/messages?last=1"; again.String() != want {
				t.Errorf("%s, want %s", again, want)
			}
		}
	}
}

// TestDoTells says what every answer is to the user. No error has the token.
func TestDoTells(t *testing.T) {
	problem := func(status int, code, detail string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"code":"`+code+`","detail":"`+detail+`","status":409}`)
		}
	}
	tests := map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		want   string // a part of the error; empty for none
	}{
		"a value":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"n":1}`) }, ""},
		"a problem": {problem(409, "conflict", "the key was used"), "conflict: the key was used"},
		"no token":  {problem(401, "unauthorized", "who are you?"), "unauthorized: who are you?. Give one with --token-file"},
		"not found": {func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) }, `answers 404 Not Found, "text/plain; charset=utf-8". That is not Fanfare: is the URL right?`},
		"a page":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, "does not answer as a Fanfare does: 200 OK"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/", http.StatusMovedPermanently)
		}, `sends to "https://example.com/": give the URL of that place`},
		"an empty problem": {problem(502, "", ""), "answers 502 Bad Gateway"},
		"a closed connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"it closes the connection without a word. Does it speak TLS? Then the URL begins with https://"},
		"half an answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
		}, "it closes the connection without a word"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			shown := make(chan string, 1)
			fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				shown <- r.Header.Get("Authorization")
				tt.answer(w, r)
			}))
			defer fake.Close()
			s := anonymous(t, fake.URL)
			s.Token = func() (string, error) { return secret, nil }
			var value struct {
				N int `json:"n"`
			}
			err := s.Do(t.Context(), Request{Method: http.MethodGet, Path: []string{"topics"}}, &value)
			switch {
			case tt.want == "" && (err != nil || value.N != 1):
				t.Errorf("%v, %v", value, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("%v, want %s", err, tt.want)
			case err != nil && strings.Contains(err.Error(), secret):
				t.Errorf("it tells: %v", err)
			}
			if got := <-shown; got != "Bearer "+secret {
				t.Errorf("it shows %q", got)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	secure := httptest.NewUnstartedServer(nil)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	open := httptest.NewServer(nil)
	defer open.Close()
	tests := map[string]struct {
		url, want   string
		isTransient bool
	}{
		"nobody listens":       {closed.URL, "connection refused. Is the server running? Start it with: fanfare", true},
		"no such host":         {"http://nowhere.invalid", "there is no host nowhere.invalid", false},
		"an unknown authority": {secure.URL, "its certificate is of an authority that is not known here. Put ", false},
		"no TLS":               {strings.Replace(open.URL, "http:", "https:", 1), "it speaks HTTP without TLS. Try http:// ", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := anonymous(t, tt.url).Do(t.Context(), Request{Method: http.MethodGet}, nil)
			u, ok := errors.AsType[*Unreachable](err)
			if !ok || !strings.Contains(err.Error(), tt.want) || u.isTransient() != tt.isTransient {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
}

// TestReason: what a system calls a connection that the other side has left is the same in a few words.
func TestReason(t *testing.T) {
	for _, err := range []error{syscall.ECONNRESET, syscall.EPIPE} {
		u := &Unreachable{Err: fmt.Errorf("failed to write frame: %w", err)}
		if reason := u.Reason(); reason != "connection reset" {
			t.Errorf("%v is %q", err, reason)
		}
	}
}

// TestContextEnds: who is not waited for any more is no server that cannot be reached.
func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	fake := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer fake.Close()
	if err := anonymous(t, fake.URL).Do(ctx, Request{Method: http.MethodGet}, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// mute is a server that takes requests, and never answers.
type mute struct{ requests int }

func (m *mute) RoundTrip(r *http.Request) (*http.Response, error) {
	m.requests++
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestMuteServer: a server that says nothing is not waited for without end, and there is time for another attempt.
func TestMuteServer(t *testing.T) {
	await := func(timeout time.Duration) func(context.Context, *Server) error {
		return func(ctx context.Context, s *Server) error {
			return s.Await(ctx, Retry{Timeout: timeout, Trouble: func(error, time.Duration) {}})
		}
	}
	tests := map[string]struct {
		ask      func(context.Context, *Server) error
		requests int
		after    time.Duration
	}{
		"a request": {func(ctx context.Context, s *Server) error {
			return s.Do(ctx, Request{Method: http.MethodGet}, nil)
		}, 1, 30 * time.Second},
		"await":         {await(10 * time.Second), 2, 10 * time.Second},
		"await at once": {await(0), 1, 30 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stuck := time.AfterFunc(time.Hour, func() { panic("it is waited for without end") })
				defer stuck.Stop()
				begin := time.Now()
				m := &mute{}
				server := anonymous(t, "http://localhost")
				server.Client = NewClient(m)
				err := tt.ask(t.Context(), server)
				if _, ok := errors.AsType[*Unreachable](err); !ok || !strings.Contains(err.Error(), "no answer in time") {
					t.Error(err)
				}
				if took := time.Since(begin).Round(time.Second); took != tt.after || m.requests != tt.requests {
					t.Errorf("%d requests in %v", m.requests, took)
				}
			})
		})
	}
}

// TestList: all pages of a list are there, in order, and its filter is asked for with each.
func TestList(t *testing.T) {
	pages := map[string]string{
		"":  `{"topics":[{"name":"a"},{"name":"b"}],"next":"b"}`,
		"b": `{"topics":[{"name":"c"}],"next":"c","unreachable":["n"],"more":1}`,
		"c": `{"topics":[]}`,
	}
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("pattern") != ">" {
			t.Errorf("it asks for %s", r.URL)
		}
		_, _ = io.WriteString(w, pages[r.FormValue("after")])
	}))
	defer fake.Close()
	var got []string
	for page, err := range anonymous(t, fake.URL).List(t.Context(), "topics", url.Values{"pattern": {">"}}) {
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range page.Entries {
			got = append(got, string(entry))
		}
		got = append(got, strings.Join(page.Unreachable, ","))
	}
	want := []string{`{"name":"a"}`, `{"name":"b"}`, "", `{"name":"c"}`, "n", ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRefusalsAreRead(t *testing.T) {
	response := &http.Response{
		StatusCode: 503, Status: "503 Service Unavailable", Body: io.NopCloser(strings.NewReader(`{"code":"overloaded","detail":"full"}`)),
		Header: http.Header{"Content-Type": {"application/problem+json; charset=utf-8"}, "Retry-After": {"3"}},
	}
	want := &Refusal{Status: 503, Code: models.CodeOverloaded, Detail: "full", RetryAfter: 3e9}
	if diff := cmp.Diff(want, NewRefusal(response)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
