package fanfare

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

const (
	// connectTime is how long a handshake may take, and the welcome after it.
	connectTime = 10 * time.Second
	// answerPatience is how long a server that was asked for a sign of life may be silent.
	answerPatience = 10 * time.Second
	// closeTime is how long the server may take for its part of the close.
	closeTime = time.Second
	// maxFrame is the longest frame that is read, in bytes, unless the server says that it sends longer ones.
	maxFrame = 64 << 20
)

// connection is one WebSocket.
type connection struct {
	// Set by dial, never changed.
	client       *Client
	socket       *websocket.Conn
	token        string
	clientID     string
	limits       limits
	pingInterval time.Duration

	// begun is when it was made, heard how long after that something was heard.
	begun time.Time
	heard atomic.Int64

	// Owned by the goroutine that reads.
	buffer []byte
	useful bool // something was given, or answered

	// Guarded by the client's mu.
	out    [][]byte // waits for the writer
	auths  map[uint64]bool
	router router

	// wake has the writer look at out.
	wake chan struct{}
}

// dial makes a connection and waits for the welcome.
func (c *Client) dial(token string) (*connection, error) {
	ctx, cancel := context.WithTimeout(c.ctx, connectTime)
	defer cancel()
	conn := &connection{
		client: c, token: token,
		begun: time.Now(),
		auths: make(map[uint64]bool),
		wake:  make(chan struct{}, 1),
	}
	socket, response, err := websocket.Dial(ctx, c.url, &websocket.DialOptions{ //nolint:bodyclose // that is websocket's
		HTTPClient: c.options.HTTPClient,
		HTTPHeader: c.options.Header,
		OnPingReceived: func(context.Context, []byte) bool {
			conn.hear()
			return true
		},
	})
	if err != nil {
		if response != nil && response.StatusCode != http.StatusSwitchingProtocols {
			return nil, fmt.Errorf("fanfare: the server does not take the connection: %s", response.Status)
		}
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // the rest is how it was asked
		}
		return nil, fmt.Errorf("fanfare: the server cannot be reached: %w", err)
	}
	conn.socket = socket
	f, err := conn.read(ctx)
	if err == nil && f.Type != "welcome" && f.Type != "error" {
		err = errors.New("fanfare: the server does not begin with a welcome")
	}
	if err == nil && f.Type == "error" { // the close says why, too
		err = &refusedError{f.err()}
	}
	if err != nil {
		_ = socket.CloseNow()
		return nil, err
	}
	conn.clientID, conn.limits = f.ClientID, f.Limits
	conn.pingInterval = time.Duration(f.PingInterval * float64(time.Second))
	socket.SetReadLimit(max(maxFrame, 2*int64(f.Limits.OutboxSize)))
	return conn, nil
}

// serve carries frames until the connection ends, and gives the reason.
func (conn *connection) serve() error {
	ctx, cancel := context.WithCancelCause(context.Background())
	var working sync.WaitGroup
	defer working.Wait()
	defer cancel(nil)
	defer conn.socket.CloseNow() //nolint:errcheck // it may be closed already
	working.Go(func() { conn.write(ctx) })
	working.Go(func() { conn.watch(ctx, cancel) })
	working.Go(func() { conn.leave(ctx, cancel) })
	working.Go(func() { conn.renew(ctx) })

	conn.begin()
	for told := false; ; {
		if !told && conn.isAttached() {
			told = true
			if connected := conn.client.options.OnConnect; connected != nil {
				conn.client.callSoon(func() { connected(conn.clientID) })
			}
		}
		f, err := conn.read(ctx)
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil {
			err = conn.receive(f)
		}
		if err != nil {
			return err
		}
	}
}

// begin says who the client is. Without a token there is nothing to say.
//
// Nothing else goes along with that. If the token were refused, a server that lets strangers publish would take
// what was published as a stranger's, and then again as the user's.
func (conn *connection) begin() {
	c := conn.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn.token == "" {
		c.attachLocked(conn)
		return
	}
	conn.authLocked(conn.token)
}

func (conn *connection) isAttached() bool {
	conn.client.mu.Lock()
	defer conn.client.mu.Unlock()
	return conn.client.conn == conn
}

func (conn *connection) authLocked(token string) {
	ref := conn.client.nextRefLocked()
	conn.auths[ref] = true
	conn.sendLocked(encodeRequest(request{Action: "auth", Token: token, Ref: ref}))
}

// renew gets a new token before the old one has expired.
func (conn *connection) renew(ctx context.Context) {
	c := conn.client
	if c.options.TokenSource == nil {
		return
	}
	for token := conn.token; ; {
		pause, expires := renewal(token, time.Now())
		if !expires || !sleep(ctx, pause) {
			return
		}
		for failed := (backoff{first: askPause}); ; {
			renewed, err := c.token(ctx)
			if err == nil {
				token = renewed
				break
			}
			if !sleep(ctx, failed.next()) {
				return
			}
		}
		c.mu.Lock()
		conn.authLocked(token)
		c.mu.Unlock()
	}
}

// leave closes the connection when the client is closed.
func (conn *connection) leave(ctx context.Context, cancel context.CancelCauseFunc) {
	select {
	case <-ctx.Done():
		return
	case <-conn.client.ctx.Done():
	}
	timer := time.AfterFunc(closeTime, func() { cancel(nil) })
	defer timer.Stop()
	_ = conn.socket.Close(websocket.StatusNormalClosure, "")
	cancel(nil)
}

// sendLocked has a frame sent.
func (conn *connection) sendLocked(text []byte) {
	conn.out = append(conn.out, text)
	select {
	case conn.wake <- struct{}{}:
	default:
	}
}

// write sends what is to be sent.
func (conn *connection) write(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-conn.wake:
		}
		conn.client.mu.Lock()
		out := conn.out
		conn.out = nil
		conn.client.mu.Unlock()
		for _, text := range out {
			if conn.socket.Write(ctx, websocket.MessageText, text) != nil {
				return // so has the reader, which knows why
			}
		}
	}
}

// watch asks a server that is silent for a sign of life, and gives the connection up if there is none.
func (conn *connection) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	if conn.pingInterval <= 0 {
		return
	}
	for {
		heard := conn.heard.Load()
		if !sleep(ctx, conn.pingInterval-time.Since(conn.begun.Add(time.Duration(heard)))) {
			return
		}
		if conn.heard.Load() != heard {
			continue
		}
		conn.client.mu.Lock()
		conn.sendLocked(encodeRequest(request{Action: "ping"}))
		conn.client.mu.Unlock()
		if !sleep(ctx, answerPatience) {
			return
		}
		if conn.heard.Load() == heard {
			cancel(errors.New("fanfare: nothing is heard of the server"))
			return
		}
	}
}

// hear notes that the server lives.
func (conn *connection) hear() { conn.heard.Store(int64(time.Since(conn.begun))) }

// read reads one frame. What it holds of the connection's buffer is copied.
func (conn *connection) read(ctx context.Context) (*frame, error) {
	_, reader, err := conn.socket.Reader(ctx)
	if err != nil {
		return nil, closing(err)
	}
	conn.buffer = conn.buffer[:0]
	for {
		// Not at once: a long frame over a slow network is a sign of life all the time.
		if len(conn.buffer) == cap(conn.buffer) {
			conn.buffer = append(conn.buffer, make([]byte, max(512, len(conn.buffer)))...)[:len(conn.buffer)]
		}
		n, err := reader.Read(conn.buffer[len(conn.buffer):cap(conn.buffer)])
		conn.buffer = conn.buffer[:len(conn.buffer)+n]
		conn.hear()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, closing(err)
		}
	}
	var f frame
	if err := json.Unmarshal(conn.buffer, &f); err != nil {
		return nil, fmt.Errorf("fanfare: the server sent what is no frame: %w", err)
	}
	return &f, nil
}
