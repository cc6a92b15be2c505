package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"fanfare/models"
)

const (
	// maxAnswer bounds what is read of an answer, in bytes: more than any page or batch has.
	maxAnswer = 256 << 20
	// maxProblem bounds what is read of an answer that says what is wrong.
	maxProblem = 64 << 10
)

// Server is a Fanfare at a URL. Its methods may run concurrently.
type Server struct {
	// URL is where it is, as ParseURL gives it.
	URL *url.URL
	// Token gives the token or API key for each request, empty for none.
	Token func() (string, error)
	// Client sends the requests. It must not follow redirects: NewClient.
	Client *http.Client
}

// NewClient gives a client for a Server: what redirects is another URL, which the user has to give.
func NewClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ParseURL reads the URL of a server: http or https, with a path if a proxy puts the server below one. It
// has no slash at its end. Without a scheme it is http. Errors do not repeat the text, which may have
// a password.
func ParseURL(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, errors.New("want http://HOST:PORT or https://HOST, with a path if the server is below one")
	case u.User != nil:
		return nil, errors.New("there must be no user and password in it: the server knows tokens and API keys")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("there must be nothing behind the path: no query, no fragment")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, errors.New("the port has to be from 1 to 65535")
		}
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	return u, nil
}

// Request is what a server is asked.
type Request struct {
	Method string
	// Path has the parts of the path, each as it is before it is percent-encoded.
	Path  []string
	Query url.Values
	// Body is nil for none.
	Body        []byte
	ContentType string
	// Header has what else there is to say.
	Header http.Header
}

// URLOf is where a path of the server is.
func (s *Server) URLOf(path []string, query url.Values) *url.URL {
	u := *s.URL
	u.RawPath = u.EscapedPath()
	for _, part := range path {
		u.Path += "/" + part
		u.RawPath += "/" + url.PathEscape(part)
	}
	u.RawQuery = query.Encode()
	return &u
}

// Send sends a request and gives the answer, whatever its status. Its error is an *Unreachable, or says
// why the request could not be made, or is the context's.
func (s *Server) Send(ctx context.Context, r Request) (*http.Response, error) {
	var body io.Reader
	if r.Body != nil {
		body = bytes.NewReader(r.Body)
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, s.URLOf(r.Path, r.Query).String(), body)
	if err != nil {
		return nil, err
	}
	for name, values := range r.Header {
		request.Header[name] = values
	}
	request.Header.Set("User-Agent", "fanfare")
	if r.ContentType != "" {
		request.Header.Set("Content-Type", r.ContentType)
	}
	token, err := s.Token()
	if err != nil {
		return nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.Client.Do(request)
	if ctx.Err() != nil && err != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, &Unreachable{Server: s.URL, Err: err}
	}
	return response, nil
}

// Within bounds what the server is asked for: when the time is over, it is an *Unreachable.
func (s *Server) Within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, &Unreachable{Server: s.URL, Err: context.DeadlineExceeded})
}

// Do sends a request and decodes the answer into a value, unless that is nil. Its error is that of Send, or
// a *Refusal. The context bounds the wait, which is 30 s if it has no deadline.
func (s *Server) Do(ctx context.Context, r Request, into any) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = s.Within(ctx, soleAttempt)
		defer cancel()
	}
	response, err := s.Send(ctx, r)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNoContent {
		return NewRefusal(response)
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if ctx.Err() != nil && err != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return &Unreachable{Server: s.URL, Err: err}
	}
	if into == nil || response.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s does not answer as a Fanfare does: %s", s.URL, describeAnswer(response))
	}
	return nil
}

// Greet finds out whether it is a Fanfare that answers, by a route that no other server has: /ws, asked for without
// a WebSocket. It gives the header and the protocol of the answer; its error is that of Do.
func (s *Server) Greet(ctx context.Context) (header http.Header, protocol string, err error) {
	response, err := s.Send(ctx, Request{Method: http.MethodGet, Path: []string{"ws"}})
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if refusal := NewRefusal(response); refusal.Code != models.CodeUpgradeRequired {
		return nil, "", refusal
	}
	return response.Header, response.Proto, nil
}

// Refusal is an answer that says no.
type Refusal struct {
	Status int
	// Code is empty if it was not Fanfare that has answered.
	Code models.Code
	// Detail is for people.
	Detail string
	// RetryAfter is when trying again may help, 0 if nothing is said.
	RetryAfter time.Duration
}

// Error implements error.
func (r *Refusal) Error() string {
	if r.Code == "" {
		return r.Detail
	}
	text := fmt.Sprintf("%s: %s", r.Code, r.Detail)
	if r.Code == models.CodeUnauthorized {
		text += ". Give one with --token-file, --token or FANFARE_TOKEN; fanfare doctor says what is wrong with it"
	}
	return text
}

// NewRefusal reads what an answer says is wrong. It does not close the body.
func NewRefusal(response *http.Response) *Refusal {
	r := &Refusal{Status: response.StatusCode}
	if seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16); err == nil {
		r.RetryAfter = time.Duration(seconds) * time.Second
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	var problem models.Problem
	text, err := io.ReadAll(io.LimitReader(response.Body, maxProblem))
	if err == nil && media == "application/problem+json" && json.Unmarshal(text, &problem) == nil && problem.Code != "" {
		r.Code, r.Detail = problem.Code, problem.Detail
		return r
	}
	r.Detail = fmt.Sprintf("%s answers %s. That is not Fanfare: is the URL right?", response.Request.URL.Redacted(), describeAnswer(response))
	if to := response.Header.Get("Location"); to != "" {
		r.Detail = fmt.Sprintf("%s sends to %q: give the URL of that place", response.Request.URL.Redacted(), to)
	}
	return r
}

// describeAnswer tells who may have answered.
func describeAnswer(response *http.Response) string {
	text := response.Status
	if kind := response.Header.Get("Content-Type"); kind != "" {
		text += fmt.Sprintf(", %q", kind)
	}
	if server := response.Header.Get("Server"); server != "" {
		text += fmt.Sprintf(", server %q", server)
	}
	return text
}
