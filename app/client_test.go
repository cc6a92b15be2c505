package app_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// subscribed connects a client that is subscribed to one pattern.
func (s *server) subscribed(pattern string) foreign {
	s.t.Helper()
	client := s.dial()
	if err := client.send(`{"action":"subscribe","topic":"` + pattern + `"}`); err != nil {
		s.t.Fatal(err)
	}
	s.receive(client)
	return client
}

// subscribeRaw is a client without a goroutine of its own, with a short pattern. It
// returns when it has the ack.
func subscribeRaw(address, pattern string) (tcp *net.TCPConn, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	tcp = conn.(*net.TCPConn)
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	request := `{"action":"subscribe","topic":"` + pattern + `"}`
	_ = tcp.SetDeadline(time.Now().Add(patience))
	_, err = io.WriteString(tcp, "GET /ws HTTP/1.1\r\nHost: "+address+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"+
		"\x81"+string([]byte{0x80 | byte(len(request))})+"\x00\x00\x00\x00"+request) //nolint:gosec // it is short
	if err != nil {
		return nil, err
	}
	r := bufio.NewReader(tcp)
	response, err := http.ReadResponse(r, nil) //nolint:bodyclose // there is none
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusSwitchingProtocols {
		return nil, errors.New(response.Status)
	}
	for {
		text, err := readFrame(r)
		if err != nil || strings.HasPrefix(text, `{"type":"ack"`) {
			return tcp, err
		}
	}
}

// readFrame reads a frame of the server's (RFC 6455, section 5.2) that is shorter than
// 64 KiB.
func readFrame(r io.Reader) (string, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	size := uint16(head[1])
	if size == 126 {
		if err := binary.Read(r, binary.BigEndian, &size); err != nil {
			return "", err
		}
	}
	payload := make([]byte, size)
	_, err := io.ReadFull(r, payload)
	return string(payload), err
}
