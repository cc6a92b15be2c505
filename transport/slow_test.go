package transport

import (
	"io"
	"testing"

	"github.com/gorilla/websocket"
)

// TestRoomIsHeard: when a full socket has room again, its peer was heard.
func TestRoomIsHeard(t *testing.T) {
	inEachWay(t, func(t *testing.T, conn *Conn, client *websocket.Conn) {
		read(conn)
		w := newWriter(conn)
		_, rest := w.fill(t, numbered(0))
		const longAgo = -1000
		conn.heard.Store(longAgo)
		go func() { _, _ = io.Copy(io.Discard, client.NetConn()) }()
		if err := w.write(rest); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the peer was heard", func() bool { return conn.heard.Load() != longAgo })
	})
}
