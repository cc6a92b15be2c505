package app_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	coder "github.com/coder/websocket"

	"fanfare/app"
	"fanfare/models"
)

// withTLS gives a server a certificate of its own.
func withTLS(t *testing.T) func(*app.Config) {
	t.Helper()
	dir := t.TempDir()
	files := app.TLSConfig{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	app.WriteCertificate(t, files, 1)
	return func(config *app.Config) { config.Server.TLS = files }
}

// trust has the server's clients know its certificate.
func (s *server) trust(file string) {
	s.t.Helper()
	certificate, err := os.ReadFile(file) //nolint:gosec // the test's own
	if err != nil {
		s.t.Fatal(err)
	}
	s.tls = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	s.tls.RootCAs.AppendCertsFromPEM(certificate)
	transport := &http.Transport{TLSClientConfig: s.tls}
	s.t.Cleanup(transport.CloseIdleConnections)
	s.client = &http.Client{Transport: transport}
}

// TestListenersOverTLS: whatever the way to listen, what is published comes.
func TestListenersOverTLS(t *testing.T) {
	s := startServer(t, withTLS(t))
	for name, listen := range s.transports() {
		t.Run(name, func(t *testing.T) {
			l, err := listen([]string{name}, s.publish("begin", "x", "text/plain").ID.String())
			if err != nil {
				t.Fatal(err)
			}
			defer l.close()
			hear := func(kind string) listened {
				t.Helper()
				for {
					f, err := l.next()
					if err != nil {
						t.Fatal(err)
					}
					if f.Type == kind {
						return f
					}
				}
			}
			if name != "poll" { // which answers when there is something
				hear("ack")
			}
			for range 3 {
				id := s.publish(name, "x", "text/plain").ID
				if f := hear("message"); f.ID != id {
					t.Errorf("heard %+v, want %v", f, id)
				}
			}
		})
	}
	if lines := s.log.having("url=https://" + s.address); len(lines) != 1 {
		t.Errorf("the URL is in %d lines of the log", len(lines))
	}
}

// TestLargeMessagesOverTLS: as large as they may be, both ways.
func TestLargeMessagesOverTLS(t *testing.T) {
	s := startServer(t, withTLS(t))
	client := s.subscribed("large")
	data := strings.Repeat("0123456789abcdef", 64<<10-1)
	for range 5 {
		if err := client.send(`{"action":"publish","topic":"large","data":"` + data + `","ref":1}`); err != nil {
			t.Fatal(err)
		}
		if f := s.receive(client); f.Type != "message" || string(f.Data) != `"`+data+`"` {
			t.Fatalf("%s, %d bytes of data", f.Type, len(f.Data))
		}
		if f := s.receive(client); f.Type != "ack" {
			t.Fatalf("%+v", f)
		}
	}
	s.publish("large", data, "text/plain")
	if f := s.receive(client); string(f.Data) != `"`+data+`"` {
		t.Errorf("%s, %d bytes of data", f.Type, len(f.Data))
	}
}

// TestReaderThatStallsOverTLS: who does not read for a while has all of it in the end, in
// order.
func TestReaderThatStallsOverTLS(t *testing.T) {
	s := startServer(t, withTLS(t))
	client := s.subscribed("news")
	data := strings.Repeat("x", 32<<10)
	var published []models.ID
	for range 100 {
		published = append(published, s.publish("news", data, "text/plain").ID)
	}
	for i, id := range published {
		if f := s.receive(client); s.id(f) != id {
			t.Fatalf("message %d is %s, want %v", i, f.ID, id)
		}
	}
}

// TestStuckReadersOverTLS: they are closed, and nothing is left of them.
func TestStuckReadersOverTLS(t *testing.T) {
	const clients = 5
	s := startServer(t, withTLS(t), func(config *app.Config) {
		config.History.MaxMessagesPerTopic = 1
		config.Limits.MessageSize = 64 << 10
		config.Limits.OutboxSize = 1 << 20
		config.Server.ShutdownTimeout = 600 * time.Millisecond // a third of it is the time to leave
		config.Limits.PublishWait = 500 * time.Millisecond
	})
	s.takeStock() // opens what the next one finds open
	before := s.takeStock()
	s.subscribeStuckSocket("news")
	for range clients - 1 {
		s.subscribeStuck("news")
	}
	memory := heap()
	for data := strings.Repeat("x", 32<<10); len(s.log.having("code=4001")) < clients; {
		if _, problem, err := s.offer("news", data); err != nil || problem.Code != "" {
			t.Fatalf("%v %+v", err, problem)
		}
	}
	s.await(func() bool {
		after := s.takeStock()
		after.descriptors -= clients // the ends of the clients
		return after.isWithin(before)
	})
	if now := heap(); now > memory+1<<20 {
		t.Errorf("the heap has grown by %d KiB", (now-memory)>>10)
	}
}

// subscribeStuck connects a client without a goroutine, which reads its ack and then no
// more.
func (s *server) subscribeStuck(topic string) {
	s.t.Helper()
	conn := s.dialTLS()
	host, _, _ := net.SplitHostPort(s.address)
	if _, err := io.WriteString(conn, "GET /events?topic="+topic+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); err != nil {
		s.t.Fatal(err)
	}
	var heard []byte
	for part := make([]byte, 1024); !bytes.Contains(heard, []byte("event: ack")); {
		n, err := conn.Read(part)
		if err != nil {
			s.t.Fatal(err)
		}
		heard = append(heard, part[:n]...)
	}
}

// subscribeStuckSocket is subscribeStuck with a WebSocket.
func (s *server) subscribeStuckSocket(topic string) {
	s.t.Helper()
	client, err := dialGorilla(s.t.Context(), s)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = client.close() })
	if err := client.send(`{"action":"subscribe","topic":"` + topic + `"}`); err != nil {
		s.t.Fatal(err)
	}
	for f := s.receive(client); f.Type != "ack"; f = s.receive(client) {
	}
}

// dialTLS connects until the end of the test.
func (s *server) dialTLS() *tls.Conn {
	s.t.Helper()
	conn, err := tls.Dial("tcp", s.address, s.tls)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.NetConn().Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// TestShutdownOverTLS: everybody is told, and nobody holds it up.
func TestShutdownOverTLS(t *testing.T) {
	s := startServer(t, withTLS(t), func(config *app.Config) {
		config.Server.ShutdownTimeout = 3 * time.Second // a third of it is the time to leave
		config.Limits.PublishWait = time.Second
	})
	socket := s.subscribed("news")
	stream, err := s.listenStream("text/event-stream", []string{"news"}, "all")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.close()
	for f, err := stream.next(); f.Type != "caught_up"; f, err = stream.next() {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.subscribeStuck("news")
	request := "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for name, text := range map[string]string{
		"nothing":            "",
		"half a header":      request[:9],
		"an idle connection": request,
		"an answer not read": strings.Repeat("GET /swagger/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n", 50),
	} {
		if _, err := io.WriteString(s.dialTLS(), text); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	shy, err := net.Dial("tcp", s.address) // begins no handshake
	if err != nil {
		t.Fatal(err)
	}
	defer shy.Close() //nolint:errcheck // the test is over

	s.stop()
	if _, err := socket.receive(); coder.CloseStatus(err) != coder.StatusGoingAway {
		t.Errorf("the WebSocket ended with %v", err)
	}
	if f, err := stream.next(); err != nil || f.Type != "close" {
		t.Errorf("the stream ended with %+v, %v", f, err)
	}
	if _, err := stream.next(); errors.Unwrap(err) != nil {
		t.Errorf("the stream did not end in order: %v", err)
	}
	if err := <-s.stopped; err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// TestCertificateIsReplaced: who is connected stays so, and who comes gets the new one.
func TestCertificateIsReplaced(t *testing.T) {
	var files app.TLSConfig
	s := startServer(t, withTLS(t), func(config *app.Config) { files = config.Server.TLS })
	client := s.subscribed("news")
	if serial := s.serial(); serial != 1 {
		t.Errorf("the first certificate is %d", serial)
	}

	app.WriteCertificate(t, files, 2)
	s.await(func() bool { return s.serial() == 2 })
	if err := os.WriteFile(files.KeyFile, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.await(func() bool {
		if serial := s.serial(); serial != 2 {
			t.Fatalf("the certificate is %d", serial)
		}
		return len(s.log.having("certificate_not_replaced")) > 0
	})
	if lines := s.log.having("certificate_replaced"); len(lines) != 1 {
		t.Errorf("the log has %q", lines)
	}
	s.trust(files.CertFile)
	id := s.publish("news", "x", "text/plain").ID
	if f := s.receive(client); s.id(f) != id {
		t.Errorf("got %+v, want %v", f, id)
	}
}

// serial is that of the certificate that a new connection is shown.
func (s *server) serial() int64 {
	s.t.Helper()
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // it is looked at
	conn, err := tls.Dial("tcp", s.address, config)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

// TestHalfHandshakes: who does not come to the end of a handshake is cut off, says nothing to
// the log, and meanwhile keeps nobody out.
func TestHalfHandshakes(t *testing.T) {
	const peers = 100
	s := startServer(t, withTLS(t), func(config *app.Config) { config.Server.HeaderTimeout = 500 * time.Millisecond })
	hello := clientHello(t)
	pieces := map[string]struct {
		text  []byte
		drips bool
	}{
		"nothing":      {},
		"half a hello": {text: hello[:len(hello)/2]},
		"dripping":     {text: hello[:10], drips: true},
		"a hello":      {text: hello},
		"HTTP":         {text: []byte("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")},
		"noise":        {text: bytes.Repeat([]byte{0xa5}, 1000)},
	}
	var halves sync.WaitGroup
	for name, piece := range pieces {
		for range peers / len(pieces) {
			conn, err := net.Dial("tcp", s.address)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(piece.text); err != nil {
				t.Fatal(err)
			}
			if piece.drips {
				halves.Go(func() {
					for i := 10; i < len(hello)-1; i++ {
						if _, err := conn.Write(hello[i : i+1]); err != nil {
							return
						}
						time.Sleep(10 * time.Millisecond) // it drips
					}
				})
			}
			halves.Go(func() {
				defer conn.Close() //nolint:errcheck // it is at its end
				_ = conn.SetReadDeadline(time.Now().Add(patience))
				if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
	}
	s.publish("news", "x", "text/plain")
	client := s.subscribed("news")
	id := s.publish("news", "x", "text/plain").ID
	if f := s.receive(client); s.id(f) != id {
		t.Errorf("got %+v, want %v", f, id)
	}
	halves.Wait()
	if lines := s.log.having(""); len(lines) != 1 { // listening
		t.Errorf("the log has %q", lines)
	}
}

// clientHello is how a handshake begins.
func clientHello(t *testing.T) []byte {
	t.Helper()
	one, other := net.Pipe()
	defer func() { _, _ = one.Close(), other.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		_ = tls.Client(one, &tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS12}).HandshakeContext(ctx)
	}()
	hello := make([]byte, 4096)
	n, err := other.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	return hello[:n]
}

// TestProtocolsOfTLS: nothing older than 1.2, and HTTP/1.1 alone.
func TestProtocolsOfTLS(t *testing.T) {
	s := startServer(t, withTLS(t))
	for name, tt := range map[string]struct {
		versions [2]uint16
		offered  []string
		want     string // what is agreed on, or the end of the error
	}{
		"TLS 1.3":            {versions: [2]uint16{tls.VersionTLS13, tls.VersionTLS13}, offered: []string{"h2", "http/1.1"}, want: "TLS 1.3 http/1.1"},
		"TLS 1.2":            {versions: [2]uint16{tls.VersionTLS12, tls.VersionTLS12}, offered: []string{"h2", "http/1.1"}, want: "TLS 1.2 http/1.1"},
		"TLS 1.1":            {versions: [2]uint16{tls.VersionTLS10, tls.VersionTLS11}, want: "tls: protocol version not supported"},
		"nothing is offered": {versions: [2]uint16{tls.VersionTLS12, tls.VersionTLS13}, want: "TLS 1.3 "},
		"HTTP/2 alone":       {versions: [2]uint16{tls.VersionTLS12, tls.VersionTLS13}, offered: []string{"h2"}, want: "tls: no application protocol"},
	} {
		t.Run(name, func(t *testing.T) {
			config := s.tls.Clone()
			config.MinVersion, config.MaxVersion, config.NextProtos = tt.versions[0], tt.versions[1], tt.offered
			conn, err := tls.Dial("tcp", s.address, config)
			got := fmt.Sprint(err)
			if err == nil {
				state := conn.ConnectionState()
				got = tls.VersionName(state.Version) + " " + state.NegotiatedProtocol
				_ = conn.Close()
			}
			if !strings.HasSuffix(got, tt.want) {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}
