package handlers_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"fanfare/models"
)

func TestHandshakesThatAreNone(t *testing.T) {
	s := start(t)
	with := func(name, value string) []string {
		headers := handshake()
		for i := 0; i < len(headers); i += 2 {
			if headers[i] == name {
				headers[i+1] = value
			}
		}
		return headers
	}
	tests := map[string]struct {
		method  string
		headers []string
	}{
		"plain GET":             {"GET", nil},
		"no Upgrade":            {"GET", with("Upgrade", "")},
		"another Upgrade":       {"GET", with("Upgrade", "h2c")},
		"no Connection":         {"GET", with("Connection", "keep-alive")},
		"connection to close":   {"GET", with("Connection", "Upgrade, close")},
		"no version":            {"GET", with("Sec-WebSocket-Version", "")},
		"version 8":             {"GET", with("Sec-WebSocket-Version", "8")},
		"no key":                {"GET", with("Sec-WebSocket-Key", "")},
		"key that is no base64": {"GET", with("Sec-WebSocket-Key", mark)},
		"short key":             {"GET", with("Sec-WebSocket-Key", "AAAA")},
		"long key":              {"GET", with("Sec-WebSocket-Key", strings.Repeat("A", 28))},
		"HEAD":                  {"HEAD", handshake()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := s.dialRaw(t)
			request := tt.method + " /ws HTTP/1.1\r\nHost: " + s.address + "\r\n"
			for pair := range slices.Chunk(tt.headers, 2) {
				request += pair[0] + ": " + pair[1] + "\r\n"
			}
			c.send(t, request+"\r\n")
			a := c.answer(t, tt.method)
			checkUpgradeRequired(t, a, tt.method)
		})
	}
	t.Run("HTTP/1.0", func(t *testing.T) {
		c := s.dialRaw(t)
		c.send(t, "GET /ws HTTP/1.0\r\nHost: "+s.address+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
		checkUpgradeRequired(t, c.answer(t, "GET"), "GET")
	})
	t.Run("another method", func(t *testing.T) {
		s.do(t, "POST", "/ws", "", handshake()...).checkProblem(t, 405, models.CodeMethodNotAllowed)
	})
	var clients clientPage
	if s.getInto(t, "/clients", &clients); len(clients.Clients) != 0 {
		t.Errorf("clients: %+v", clients)
	}
}

func checkUpgradeRequired(t *testing.T, a answer, method string) {
	t.Helper()
	if method == "HEAD" {
		if a.status != 426 {
			t.Errorf("status %d", a.status)
		}
	} else {
		a.checkProblem(t, 426, models.CodeUpgradeRequired)
	}
	if a.header.Get("Upgrade") != "websocket" || a.header.Get("Sec-WebSocket-Version") != "13" ||
		a.header.Get("X-Request-Id") == "" {
		t.Errorf("headers: %v", a.header)
	}
}

func TestWelcome(t *testing.T) {
	s := start(t, func(s *setup) { s.broker.Subscriptions = 7 })
	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+s.address+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	defer func() { _ = response.Body.Close() }()
	_, frame, err := conn.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	var clients clientPage
	s.getInto(t, "/clients", &clients)
	if len(clients.Clients) != 1 {
		t.Fatalf("clients: %+v", clients)
	}
	want := `{"type":"welcome","client_id":"` + clients.Clients[0].ID + `","message":"Hi Client!","ping_interval":30,` +
		`"limits":{"message_size":65536,"frame_size":131072,"outbox_size":4194304,"subscriptions":7}}`
	if diff := cmp.Diff(want, string(frame)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The first frame may come in one segment with the handshake.
func TestFrameRightBehindTheHandshake(t *testing.T) {
	s := start(t)
	c := s.dialRaw(t)
	request := "GET /ws HTTP/1.1\r\nHost: " + s.address + "\r\n"
	for pair := range slices.Chunk(handshake(), 2) {
		request += pair[0] + ": " + pair[1] + "\r\n"
	}
	c.send(t, request+"\r\n"+"\x81\x99\x00\x00\x00\x00"+`{"action":"ping","ref":1}`)
	if a := c.answer(t, "GET"); a.status != 101 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	answer := make([]byte, 4096)
	var got string
	for !strings.Contains(got, `{"type":"pong","ref":1}`) {
		n, err := c.r.Read(answer)
		if err != nil {
			t.Fatalf("%v after %q", err, got)
		}
		got += string(answer[:n])
	}
}

func TestCloses(t *testing.T) {
	const masked = "\x00\x00\x00\x00"
	tests := map[string]struct {
		// bytes go out as they are.
		bytes string
		want  models.CloseCode
	}{
		"unmasked frame":             {"\x81\x02{}", models.CloseProtocolError},
		"reserved opcode":            {"\x83\x80" + masked, models.CloseProtocolError},
		"reserved control opcode":    {"\x8b\x80" + masked, models.CloseProtocolError},
		"reserved bit":               {"\xc1\x80" + masked, models.CloseProtocolError},
		"fragmented ping":            {"\x09\x80" + masked, models.CloseProtocolError},
		"long ping":                  {"\x89\xfe\x00\x7e" + masked, models.CloseProtocolError},
		"continuation of nothing":    {"\x80\x80" + masked, models.CloseProtocolError},
		"text within text":           {"\x01\x80" + masked + "\x81\x80" + masked, models.CloseProtocolError},
		"invalid close code":         {"\x88\x82" + masked + "\x03\xed", models.CloseProtocolError},
		"invalid UTF-8":              {"\x81\x81" + masked + "\xff", models.CloseInvalidUTF8},
		"invalid UTF-8 in fragments": {"\x01\x81" + masked + "\xc3" + "\x80\x81" + masked + "\xc3", models.CloseInvalidUTF8},
		"length beyond the limit":    {"\x81\xff\x00\x00\x00\x00\x00\x02\x00\x01" + masked, models.CloseTooBig},
		"length of 2^63-1":           {"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff" + masked, models.CloseTooBig},
		"length of 2^64-1":           {"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff" + masked, models.CloseProtocolError},
		"binary beyond the limit":    {"\x82\xff\x00\x00\x00\x00\x00\x02\x00\x01" + masked, models.CloseTooBig},
		"fragments beyond the limit": {"\x01\xff\x00\x00\x00\x00\x00\x02\x00\x00" + masked + strings.Repeat("a", frameSize) + "\x80\x81" + masked + "a", models.CloseTooBig},
		"goodbye":                    {"\x88\x82" + masked + "\x03\xe8", models.CloseNormal},
		"goodbye without a code":     {"\x88\x80" + masked, models.CloseNormal},
	}
	s := start(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := s.dial(t)
			c.SetCloseHandler(func(int, string) error { return nil })
			if _, err := c.NetConn().Write([]byte(tt.bytes)); err != nil {
				t.Fatal(err)
			}
			if code := c.closeCode(t); code != int(tt.want) {
				t.Errorf("close code %d, want %d", code, tt.want)
			}
			// The server has nothing to add.
			if n, err := c.NetConn().Read(make([]byte, 1)); err == nil {
				t.Errorf("%d more bytes after the close frame", n)
			}
			_ = c.Close()
			eventually(t, func() bool { return s.get(t, "/clients/"+c.id).status == 404 })
		})
	}
}

func TestLargestFrame(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	frame := `{"action":"ping","ref":1}`
	frame += strings.Repeat(" ", frameSize-len(frame))
	if diff := cmp.Diff(`{"type":"pong","ref":1}`, c.ask(t, frame)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c.send(t, frame+" ")
	if code := c.closeCode(t); code != websocket.CloseMessageTooBig {
		t.Errorf("close code %d", code)
	}
}

// A panic ends the connection that caused it, and no other.
func TestPanicEndsOneConnection(t *testing.T) {
	s := start(t, func(s *setup) {
		s.engine = brokenEngine{Engine: s.engine, publish: func() error { panic("nil map " + mark) }}
	})
	c, other := s.dial(t), s.dial(t)
	c.send(t, `{"action":"publish","topic":"a","data":1,"ref":1}`)
	kind, frame, err := c.ReadMessage()
	if !websocket.IsCloseError(err, int(models.CloseInternal)) || strings.Contains(err.Error(), mark) {
		t.Errorf("%d %q %v", kind, frame, err)
	}
	_ = c.Close()
	eventually(t, func() bool { return strings.Contains(s.log.String(), "level=ERROR msg=connection_panicked") })
	eventually(t, func() bool { return strings.Contains(s.log.String(), "level=ERROR msg=client_closed client_id="+c.id) })
	if !strings.Contains(s.log.String(), "nil map "+mark) || !strings.Contains(s.log.String(), "code=1011") {
		t.Errorf("not logged:\n%s", s.log)
	}
	if got := other.ask(t, `{"action":"ping"}`); got != `{"type":"pong"}` {
		t.Errorf("the other client got %s", got)
	}
}

func TestCloseAtShutdown(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	closed := make(chan error, 1)
	go func() { closed <- s.close() }()
	if code := c.closeCode(t); code != websocket.CloseGoingAway {
		t.Errorf("close code %d", code)
	}
	_ = c.Close()
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
