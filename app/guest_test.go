package app_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/app"
	"fanfare/models"
)

// natsClient is one that needs no library: the protocol is text.
type natsClient struct {
	conn net.Conn
	r    *bufio.Reader
}

func dialNATS(t *testing.T, address string) natsClient {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	c := natsClient{conn, bufio.NewReader(conn)}
	if info, err := c.r.ReadString('\n'); err != nil || !strings.HasPrefix(info, "INFO ") {
		t.Fatalf("%q, %v", info, err)
	}
	c.do(t, `CONNECT {"verbose":false,"headers":true}`)
	return c
}

// do sends a command, and returns when the server has carried it out.
func (c natsClient) do(t *testing.T, command string) {
	t.Helper()
	if _, err := io.WriteString(c.conn, command+"\r\nPING\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := c.r.ReadString('\n'); err != nil || answer != "PONG\r\n" {
		t.Fatalf("%q is answered with %q, %v", command, answer, err)
	}
}

// receive gives the subject and the payload of a message: MSG subject sid size, or HMSG subject sid headers total.
func (c natsClient) receive(t *testing.T) (subject, payload string) {
	t.Helper()
	line, err := c.r.ReadString('\n')
	fields := strings.Fields(line)
	if err != nil || len(fields) < 4 || !strings.HasSuffix(fields[0], "MSG") {
		t.Fatalf("%q, %v", line, err)
	}
	total, err := strconv.Atoi(fields[len(fields)-1])
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, total+len("\r\n"))
	if _, err := io.ReadFull(c.r, body); err != nil {
		t.Fatal(err)
	}
	headers := 0
	if fields[0] == "HMSG" {
		if headers, err = strconv.Atoi(fields[len(fields)-2]); err != nil {
			t.Fatal(err)
		}
	}
	return fields[1], string(body[headers:total])
}

// TestNATSClients: what a plain NATS client publishes comes to clients of all transports, and it hears what they publish.
func TestNATSClients(t *testing.T) {
	s := startServer(t, func(c *app.Config) {
		c.Engine = "nats"
		c.NATS.Embedded, c.NATS.StoreDir, c.NATS.Listen = true, t.TempDir(), "127.0.0.1:0"
	})
	lines := s.log.having("nats_listening")
	if len(lines) != 1 {
		t.Fatalf("it does not say where it listens: %q", lines)
	}
	_, address, _ := strings.Cut(strings.TrimSpace(lines[0]), "url=nats://")
	guest := dialNATS(t, address)
	guest.do(t, "SUB fanfare.> 1")

	begin := s.publish("a.b", `{"n":0}`, "application/json").ID
	if subject, payload := guest.receive(t); subject != "fanfare.a.b" || payload != `{"n":0}` {
		t.Errorf("the guest hears %q %q", subject, payload)
	}
	guest.do(t, "UNSUB 1")
	listeners := make(map[string]listening)
	for name, listen := range s.transports() {
		l, err := listen([]string{"a.>"}, begin.String())
		if err != nil {
			t.Fatal(err)
		}
		defer l.close()
		listeners[name] = l
	}
	var want []listened
	for _, m := range []struct{ payload, data, encoding string }{
		{`{"n": 1}`, `{"n":1}`, ""}, {"text", `"text"`, ""}, {"\xff\x00", `"/wA="`, models.EncodingBase64}, {"", `""`, ""},
	} {
		guest.do(t, fmt.Sprintf("PUB fanfare.a.b %d\r\n%s", len(m.payload), m.payload))
		const header = "NATS/1.0\r\nFanfare-From: ada\r\nFanfare-Stamp: 1.x\r\nStatus: 503\r\n\r\n"
		guest.do(t, fmt.Sprintf("HPUB fanfare.a.b %d %d\r\n%s%s", len(header), len(header)+len(m.payload), header, m.payload))
		f := listened{Type: "message", Topic: "a.b", Data: []byte(m.data), Encoding: m.encoding}
		want = append(want, f, f)
	}
	for name, l := range listeners {
		var got []listened
		for len(got) < len(want) {
			f, err := l.next()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if f.Type == "message" {
				f.ID = models.ID{}
				got = append(got, f)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s hears (-want +got):\n%s", name, diff)
		}
	}
	var page struct {
		Messages []listened `json:"messages"`
	}
	s.get("/topics/"+url.PathEscape("a.b")+"/messages?since="+begin.String(), &page)
	if len(page.Messages) != len(want) {
		t.Errorf("the history has %d messages, want %d", len(page.Messages), len(want))
	}
}
