package doctor

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/gobwas/ws"

	"fanfare/app/remote"
	"fanfare/models"
)

const (
	// pings is how many are sent to see how long one takes.
	pings = 5
	// silence is what many proxies close a connection after, less something.
	silence = 50 * time.Second
	// maxFrame is longer than any frame that comes here, in bytes.
	maxFrame = 64 << 10
)

// webSocket upgrades, and takes the welcome.
func (e *examination) webSocket(ctx context.Context) bool {
	ctx, cancel := e.within(ctx)
	defer cancel()
	begin := time.Now()
	response, err := e.upgrade(ctx)
	if err != nil {
		e.fails("WebSocket", err)
		return true
	}
	conn, isConn := response.Body.(io.ReadWriteCloser)
	defer response.Body.Close() //nolint:errcheck // it is over
	if response.StatusCode != http.StatusSwitchingProtocols || !isConn {
		e.noUpgrade(remote.NewRefusal(response))
		return true
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	var welcome models.Welcome
	switch err := receive(conn, &welcome); {
	case ctx.Err() != nil:
		e.bad("WebSocket", fmt.Sprintf("it opens, and nothing comes for %v", e.Patience), "Something on the way keeps back what the server sends; "+proxyGuide)
		return true
	case err != nil:
		e.bad("WebSocket", "it opens, and ends: "+err.Error(), "")
		return true
	case welcome.Type != "welcome":
		e.bad("WebSocket", fmt.Sprintf("it opens, and begins with %q: not a Fanfare's", welcome.Type), "")
		return true
	}
	e.good("WebSocket", "welcome after %s", inMilliseconds(time.Since(begin)))
	e.latency(ctx, conn)
	e.limits(welcome)
	goodbye := ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	_ = ws.WriteFrame(conn, ws.MaskFrameInPlace(goodbye))
	return true
}

// upgrade asks for a WebSocket (RFC 6455, section 4.1), which is of HTTP/1.1.
func (e *examination) upgrade(ctx context.Context) (*http.Response, error) {
	transport := e.Transport.Clone()
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	defer transport.CloseIdleConnections()
	server := &remote.Server{URL: e.Server.URL, Token: e.Server.Token, Client: remote.NewClient(transport)}
	key := make([]byte, 16)
	_, _ = rand.Read(key) // it never fails
	return server.Send(ctx, remote.Request{Method: http.MethodGet, Path: []string{"ws"}, Header: http.Header{
		"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {base64.StdEncoding.EncodeToString(key)},
	}})
}

// noUpgrade says what came in place of a WebSocket.
func (e *examination) noUpgrade(r *remote.Refusal) {
	switch r.Code {
	case models.CodeUpgradeRequired:
		e.bad("WebSocket", "the request reached Fanfare without its headers Upgrade and Connection (426)",
			"A proxy on the way drops them. For nginx: proxy_http_version 1.1, proxy_set_header Upgrade and Connection; "+proxyGuide)
	case "":
		e.bad("WebSocket", r.Detail, "A proxy on the way does not let WebSockets through; "+proxyGuide)
	default:
		e.fails("WebSocket", r)
	}
}

// latency pings a few times.
func (e *examination) latency(ctx context.Context, conn io.ReadWriter) {
	var took []time.Duration
	for range pings {
		begin := time.Now()
		if err := ws.WriteFrame(conn, ws.MaskFrameInPlace(ws.NewTextFrame([]byte(`{"action":"ping","ref":1}`)))); err != nil {
			e.bad("latency", err.Error(), "")
			return
		}
		var answer struct {
			Ref int `json:"ref"`
		}
		for answer.Ref == 0 { // an error as well: a stranger may not even ping
			if err := receive(conn, &answer); ctx.Err() != nil {
				e.bad("latency", fmt.Sprintf("no answer to a ping within %v", e.Patience), "")
				return
			} else if err != nil {
				e.bad("latency", "the connection ends: "+err.Error(), "")
				return
			}
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	e.good("latency", "%s there and back (the median of %d; %s to %s)",
		inMilliseconds(took[pings/2]), pings, inMilliseconds(took[0]), inMilliseconds(took[pings-1]))
}

// limits tells what the server allows.
func (e *examination) limits(w models.Welcome) {
	e.note("limits", "a message has at most %d bytes; a client at most %d subscriptions and %d bytes that wait for it",
		w.Limits.MessageSize, w.Limits.Subscriptions, w.Limits.OutboxSize)
	interval := time.Duration(w.PingInterval * float64(time.Second))
	if interval > silence {
		e.warn("pings", fmt.Sprintf("the server pings every %v", interval),
			"Many proxies close what is silent for 60s: lower transport.ping_interval, or raise their timeouts above it")
		return
	}
	e.good("pings", "every %v: proxies have to let a connection be silent for longer", interval)
}

// receive reads frames until one with text, and decodes it. Its error says what came in its place.
func receive(r io.Reader, into any) error {
	for {
		header, err := ws.ReadHeader(r)
		if err != nil {
			return err
		}
		if header.Length > maxFrame {
			return fmt.Errorf("a frame of %d bytes", header.Length)
		}
		payload := make([]byte, header.Length)
		if _, err := io.ReadFull(r, payload); err != nil {
			return err
		}
		switch header.OpCode {
		case ws.OpText:
			var problem models.ErrorFrame
			if json.Unmarshal(payload, &problem) == nil && problem.Type == "error" && problem.Ref == nil {
				return fmt.Errorf("%s: %s", problem.Code, problem.Message)
			}
			return json.Unmarshal(payload, into)
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(payload)
			return fmt.Errorf("closed with %d %s", code, reason)
		case ws.OpPing, ws.OpPong:
		default:
			return errors.New("a frame that is no text")
		}
	}
}
