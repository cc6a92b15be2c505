package transport

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"fanfare/models"
)

func TestCloseReachesThePeer(t *testing.T) {
	conn, client := connect(t, patient())
	_, ended := read(conn)
	if err := newWriter(conn).write(conn.Format().Close(models.CloseSlowConsumer)); err != nil {
		t.Fatal(err)
	}
	conn.Close(models.CloseSlowConsumer)
	if _, _, err := client.ReadMessage(); closeCodeOf(err) != models.CloseSlowConsumer {
		t.Errorf("%v", err)
	}
	sendBytes(t, client, "\x88\x82"+masked+"\x0f\xa1")
	if got := await(t, ended); got != models.CloseNormal {
		t.Errorf("reading ended with %d", got)
	}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		conn.Finish()
	}()
	if n, err := client.NetConn().Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("after the close frame: %d bytes, %v", n, err)
	}
	_ = client.Close()
	await(t, finished)
}

// A peer that neither reads nor leaves costs the linger time and no more.
func TestLingerIsBounded(t *testing.T) {
	options := patient()
	options.Linger = 50 * time.Millisecond
	t.Run("peer does nothing", func(t *testing.T) {
		conn, _ := connect(t, options)
		_, ended := read(conn)
		conn.Close(models.CloseGoingAway)
		await(t, ended)
		conn.Finish()
	})
	t.Run("peer never read", func(t *testing.T) {
		conn, _ := connect(t, options)
		_, ended := read(conn)
		w := newWriter(conn)
		w.fill(t, numbered(0))
		conn.Close(models.CloseSlowConsumer)
		await(t, w.room)
		if n, err := w.try([]byte("a")); n != 0 || err == nil {
			t.Errorf("%d bytes written after the linger time, %v", n, err)
		}
		await(t, ended)
		conn.Finish()
	})
	t.Run("peer goes on sending", func(t *testing.T) {
		conn, client := connect(t, options)
		sending := babble(client)
		conn.Finish()
		_ = client.Close()
		await(t, sending)
	})
	t.Run("peer goes on sending while it is read", func(t *testing.T) {
		conn, client := connect(t, options)
		messages, ended := read(conn)
		sending := babble(client)
		await(t, messages)
		conn.Close(models.CloseDisconnected)
		for range messages { // until reading ends
		}
		await(t, ended)
		conn.Finish()
		_ = client.Close()
		await(t, sending)
	})
	t.Run("close twice is no more time", func(t *testing.T) {
		conn, _ := connect(t, options)
		conn.Close(models.CloseGoingAway)
		ticks := clock{conn.socket, make(chan time.Time, 1)}
		conn.socket = ticks
		conn.Close(models.CloseGoingAway)
		conn.Finish()
		if len(ticks.deadlines) > 0 {
			t.Error("the deadline was moved")
		}
	})
}

// babble sends and sends, until nobody takes it any more.
func babble(client *websocket.Conn) (ended <-chan struct{}) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for client.WriteMessage(websocket.BinaryMessage, make([]byte, 1024)) == nil {
		}
	}()
	return done
}

// Were the connection closed on what the peer is still sending, the kernel would reset
// it, and what had not arrived by then would be lost.
func TestFinishWaitsForWhatWasWritten(t *testing.T) {
	for name, size := range map[string]int{"what the kernel takes at once": 1 << 20, "more than that": 16 << 20} {
		t.Run(name, func(t *testing.T) {
			conn, client := connect(t, patient())
			payload := bytes.Repeat([]byte("0123456789abcdef"), size/16)
			frame := seal(opText, append(make([]byte, maxHeader), payload...))
			sending := babble(client)
			finished := make(chan error, 1)
			go func() {
				err := newWriter(conn).write(append(frame, conn.Format().Close(models.CloseGoingAway)...))
				conn.Finish()
				finished <- errors.Join(err, conn.socket.Close())
			}()
			if _, got, err := client.ReadMessage(); err != nil || !bytes.Equal(got, payload) {
				t.Errorf("%d bytes of %d, %v", len(got), len(payload), err)
			}
			if _, _, err := client.ReadMessage(); closeCodeOf(err) != models.CloseGoingAway {
				t.Errorf("%v", err)
			}
			_ = client.Close()
			if err := await(t, finished); err != nil {
				t.Error(err)
			}
			await(t, sending)
		})
	}
}
