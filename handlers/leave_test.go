package handlers_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"fanfare/models"
)

// At the default level, the log has those whom the server closed for cause, and no others.
func TestLogOfClosedClients(t *testing.T) {
	log := &logBook{}
	s := start(t, func(s *setup) {
		s.handlers.Logger = slog.New(slog.NewTextHandler(log, nil))
		s.carrier.Silence = 500 * time.Millisecond
		s.broker.PingInterval = 50 * time.Millisecond
	})
	deaf := s.dial(t)
	// The deaf one does not read, so it answers no ping.
	eventually(t, func() bool { return strings.Contains(log.String(), deaf.id) })
	line := log.String()
	for _, want := range []string{
		"level=INFO msg=client_closed", "code=4002", `reason="ping timeout"`, "remote_address=" + deaf.LocalAddr().String(),
		"delivered=0", "dropped=0",
	} {
		if !strings.Contains(line, want) {
			t.Errorf("there is no %s in %s", want, line)
		}
	}
	polite := s.dial(t)
	_ = polite.WriteControl(websocket.CloseMessage, nil, time.Now().Add(patience))
	eventually(t, func() bool {
		return value(s.scrape(t), "fanfare_client_closes_total", "1000", models.CloseNormal.String()) == 1
	})
	if strings.Contains(log.String(), polite.id) {
		t.Errorf("a client that said goodbye is in the log: %s", log)
	}
}
