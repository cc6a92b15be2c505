package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"fanfare/app/remote"
	"fanfare/models"
)

// stream listens over SSE: whether what the server sends comes at once; and publishes, if it may.
func (e *examination) stream(ctx context.Context) bool {
	listen, publish := e.topics()
	if listen == "" {
		e.note("stream", "the token may not subscribe to anything: not looked at")
		return true
	}
	ctx, cancel := e.within(ctx)
	defer cancel()
	begin := time.Now()
	response, err := e.Server.Send(ctx, remote.Request{
		Method: http.MethodGet, Path: []string{"events"}, Query: url.Values{"topic": {string(listen)}},
		Header: http.Header{"Accept": {"text/event-stream"}},
	})
	if err != nil {
		if ctx.Err() != nil {
			err = silenceError{}
		}
		e.endsStream("stream", err)
		return true
	}
	defer response.Body.Close() //nolint:errcheck // it is over
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode != http.StatusOK || media != "text/event-stream" {
		e.noStream(remote.NewRefusal(response))
		return true
	}
	defer context.AfterFunc(ctx, func() { _ = response.Body.Close() })()
	events := bufio.NewScanner(response.Body)
	if err := await(ctx, events, "event: ack"); err != nil {
		e.endsStream("stream", err)
		return true
	}
	e.good("stream", "the first event after %s: nothing on the way keeps them back", inMilliseconds(time.Since(begin)))
	if publish != "" {
		e.roundTrip(ctx, events, publish)
	}
	return true
}

// noStream says what came in place of a stream.
func (e *examination) noStream(r *remote.Refusal) {
	switch {
	case e.access.scopes == nil && (r.Code == models.CodeUnauthorized || r.Code == models.CodeForbidden):
		e.note("stream", "there is no topic that this caller is known to be allowed to listen to: not looked at")
	default:
		e.fails("stream", r)
	}
}

// silenceError is that nothing came in time.
type silenceError struct{}

func (silenceError) Error() string { return "nothing comes" }

func (e *examination) endsStream(check string, err error) {
	if errors.Is(err, silenceError{}) {
		e.bad(check, fmt.Sprintf("nothing came for %v of what the server sends at once", e.Patience),
			"A proxy on the way buffers. For nginx: proxy_buffering off, and no gzip for text/event-stream; "+proxyGuide)
		return
	}
	e.fails(check, err)
}

// roundTrip publishes a message to a topic that nobody else uses, and waits for it.
func (e *examination) roundTrip(ctx context.Context, events *bufio.Scanner, topic models.Topic) {
	begin := time.Now()
	err := e.Server.Do(ctx, remote.Request{
		Method: http.MethodPost, Path: []string{"topics", string(topic), "publish"}, Body: []byte(`"` + e.scratch + `"`), ContentType: "application/json",
	}, nil)
	if refusal, ok := errors.AsType[*remote.Refusal](err); ok && e.access.scopes == nil &&
		(refusal.Code == models.CodeUnauthorized || refusal.Code == models.CodeForbidden) {
		e.note("round trip", "this caller may not publish to %s: not tried", topic)
		return
	}
	if err != nil {
		e.fails("round trip", err)
		return
	}
	if err := await(ctx, events, `data: {"type":"message",`); err != nil {
		e.endsStream("round trip", err)
	} else {
		e.good("round trip", "a message to %s was back after %s", topic, inMilliseconds(time.Since(begin)))
	}
	if e.access.admin { // nothing of it stays
		_ = e.Server.Do(ctx, remote.Request{Method: http.MethodDelete, Path: []string{"topics", string(topic), "messages"}}, nil)
	}
}

// await reads lines until one that begins so.
func await(ctx context.Context, lines *bufio.Scanner, beginning string) error {
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), beginning) {
			return nil
		}
		data, _ := strings.CutPrefix(lines.Text(), "data: ")
		var problem models.ErrorFrame
		if json.Unmarshal([]byte(data), &problem) == nil && problem.Type == "error" {
			return &remote.Refusal{Status: http.StatusOK, Code: problem.Code, Detail: problem.Message}
		}
	}
	if ctx.Err() != nil {
		return silenceError{}
	}
	return errors.New("the stream has ended")
}
