package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// streamListener is an answer of /events, which does not end: SSE or, with prefix empty, NDJSON.
type streamListener struct {
	socket
	lines  *bufio.Reader
	prefix []byte // of the lines that have a frame
}

func listenSSE(ctx context.Context, address string, from net.Addr, topic, since string) (listener, error) {
	return listenStream(ctx, address, from, topic, since, "text/event-stream", "data: ")
}

func listenNDJSON(ctx context.Context, address string, from net.Addr, topic, since string) (listener, error) {
	return listenStream(ctx, address, from, topic, since, "application/x-ndjson", "")
}

func listenStream(ctx context.Context, address string, from net.Addr, topic, since, accept, prefix string) (_ listener, err error) {
	s, err := dialSocket(ctx, address, from)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	query := url.Values{"topic": {topic}, "since": {since}}.Encode()
	response, err := s.get(bufio.NewReaderSize(s, firstBuffer), address, "/events?"+query, accept) //nolint:bodyclose // it ends with the socket
	if err != nil {
		return nil, err
	}
	l := &streamListener{socket: s, lines: bufio.NewReaderSize(response.Body, firstBuffer), prefix: []byte(prefix)}
	ack, err := l.frame()
	if err == nil && !bytes.Contains(ack, []byte(recoveredText)) {
		err = fmt.Errorf("the server said: %.200s", ack)
	}
	return l, err
}

// get sends a request and reads the head of its answer, which has to be 200.
func (s socket) get(reader *bufio.Reader, address, target, accept string) (*http.Response, error) {
	_ = s.SetWriteDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(s, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: %s\r\n\r\n", target, address, accept); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		return nil, statusError{path: target, code: response.StatusCode, body: string(text)}
	}
	return response, nil
}

// next implements listener.
func (l *streamListener) next() ([]byte, error) {
	for {
		frame, err := l.frame()
		if err != nil || !isAside(frame) {
			return frame, err
		}
	}
}

// frame waits for the next line that has a frame.
func (l *streamListener) frame() ([]byte, error) {
	for {
		line, err := l.lines.ReadBytes('\n')
		if err != nil {
			return nil, err // and a part of a line, which is none
		}
		if frame, found := bytes.CutPrefix(line, l.prefix); found && len(frame) > 1 {
			return frame, nil
		}
	}
}

// pollListener asks for the messages again and again, over a connection that is kept.
type pollListener struct {
	socket
	reader *bufio.Reader
	// Set by listenPoll, never changed.
	address, topic string

	since   string
	waiting []jsontext.Value // messages of the last page
}

func listenPoll(ctx context.Context, address string, from net.Addr, topic, since string) (listener, error) {
	s, err := dialSocket(ctx, address, from)
	return &pollListener{socket: s, reader: bufio.NewReaderSize(s, firstBuffer), address: address, topic: topic, since: since}, err
}

// next implements listener.
func (l *pollListener) next() ([]byte, error) {
	for len(l.waiting) == 0 {
		query := url.Values{"since": {l.since}, "wait": {"20s"}}.Encode()
		response, err := l.get(l.reader, l.address, "/topics/"+l.topic+"/messages?"+query, "application/json") //nolint:bodyclose // read to its end
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(response.Body)
		if err != nil {
			return nil, err
		}
		var page struct {
			Messages  []jsontext.Value `json:"messages"`
			Recovered bool             `json:"recovered"`
			Next      string           `json:"next"`
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return nil, err
		}
		if !page.Recovered {
			return nil, fmt.Errorf("the server said: %.200s", text)
		}
		l.waiting, l.since = page.Messages, page.Next
	}
	first := l.waiting[0]
	l.waiting = l.waiting[1:]
	return first, nil
}
