package transport

import (
	"testing"
	"time"

	"fanfare/models"
)

// A descriptor that was copied from below TLS would speak in clear.
func TestEpollRefusesTLS(t *testing.T) {
	if !hasEpoll {
		t.Skip("there is no epoll")
	}
	s := startTLS(t, patient(ModeGoroutine))
	copying, err := New(patient(ModeEpoll))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := copying.AcceptOneWay(s.dial(t).halfConn, "", SSE{})
	if err == nil {
		t.Errorf("accepted: %v", conn)
	}
	if err := copying.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// What is no record of TLS ends the connection.
func TestBrokenRecord(t *testing.T) {
	conn, client := startTLS(t, patient(ModeGoroutine)).connect()
	r := read(conn)
	if _, err := tcpOf(client).Write([]byte("in clear")); err != nil {
		t.Fatal(err)
	}
	if code := await(t, r.ended); code != models.CloseAbnormal {
		t.Errorf("%d", code)
	}
}

// A peer that does not read and then breaks TLS has the reader wait for the writer, with an
// answer that cannot leave. It costs the time of a silent one.
func TestBrokenRecordOfAStuckPeer(t *testing.T) {
	options := patient(ModeGoroutine)
	options.Silence, options.Linger = 50*time.Millisecond, 50*time.Millisecond
	s := startTLS(t, options)
	conn, client := s.connect()
	r := newReader(conn)
	for isStuck := false; !isStuck; {
		r.writer.fill(t, numbered(0))
		select {
		case <-r.writer.room:
		case <-time.After(options.Linger): // what comes next holds even if it was only slow
			isStuck = true
		}
	}
	if _, err := tcpOf(client).Write([]byte("in clear")); err != nil {
		t.Fatal(err)
	}
	conn.Serve(r)
	await(t, r.ended)
	s.awaitEmpty()
}
