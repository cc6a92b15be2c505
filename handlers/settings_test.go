package handlers_test

import (
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"fanfare/handlers"
	"fanfare/handlers/auth"
	"fanfare/models"
)

// TestKeyWithdrawnMeanwhile: who was let in with a key that is withdrawn before he is a client does not stay.
func TestKeyWithdrawnMeanwhile(t *testing.T) {
	change := func() {}
	s := start(t, withAuth(t, models.Scopes{Subscribe: []models.Pattern{">"}}), func(s *setup) {
		s.handled = func() { change() }
	})
	change = func() {
		without, err := auth.New(auth.Options{Anonymous: models.Scopes{Subscribe: []models.Pattern{">"}}})
		if err != nil {
			t.Error(err)
		}
		s.apply(handlers.Settings{Auth: without})
	}

	ws := s.upgrade(t, "?access_token="+apiKey)
	for {
		_, _, err := ws.ReadMessage()
		if err == nil {
			continue // the welcome
		}
		if !websocket.IsCloseError(err, int(models.CloseTokenExpired)) {
			t.Errorf("the WebSocket ended with %v", err)
		}
		break
	}
	if out := s.do(t, "GET", "/events?topic=a", "").body; !strings.Contains(out, `"code":4003`) {
		t.Errorf("the stream ended with %s", out)
	}
}
