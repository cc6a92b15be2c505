package app_test

import (
	"context"
	"testing"

	coder "github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	gorilla "github.com/gorilla/websocket"

	"fanfare/app"
	"fanfare/models"
)

// frame is any frame from the server.
type frame struct {
	Type     string         `json:"type"`
	Action   string         `json:"action"`
	ID       string         `json:"id"`
	Topic    string         `json:"topic"`
	Data     jsontext.Value `json:"data"`
	Code     string         `json:"code"`
	Message  string         `json:"message"`
	ClientID string         `json:"client_id"`
	Ref      jsontext.Value `json:"ref"`
}

// foreign is a WebSocket client that we did not write.
type foreign interface {
	send(text string) error
	receive() ([]byte, error)
	close() error
}

type coderClient struct{ conn *coder.Conn }

func dialCoder(ctx context.Context, s *server) (foreign, error) {
	conn, _, err := coder.Dial(ctx, s.url("ws")+"/ws", &coder.DialOptions{HTTPClient: s.client}) //nolint:bodyclose // it closes that itself
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1)
	return coderClient{conn}, nil
}

func (c coderClient) send(text string) error {
	return c.conn.Write(context.Background(), coder.MessageText, []byte(text))
}

func (c coderClient) receive() ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, text, err := c.conn.Read(ctx)
	return text, err
}

func (c coderClient) close() error { return c.conn.Close(coder.StatusNormalClosure, "") }

type gorillaClient struct{ conn *gorilla.Conn }

func dialGorilla(ctx context.Context, s *server) (foreign, error) {
	dialer := gorilla.Dialer{TLSClientConfig: s.tls}
	conn, _, err := dialer.DialContext(ctx, s.url("ws")+"/ws", nil) //nolint:bodyclose // there is none
	return gorillaClient{conn}, err
}

func (c gorillaClient) send(text string) error {
	return c.conn.WriteMessage(gorilla.TextMessage, []byte(text))
}

func (c gorillaClient) receive() ([]byte, error) {
	_, text, err := c.conn.ReadMessage()
	return text, err
}

func (c gorillaClient) close() error { return c.conn.Close() }

// TestForeignClients: the same scenario as for Node's ws and Python's websockets.
func TestForeignClients(t *testing.T) {
	tests := map[string]struct {
		dial    func(context.Context, *server) (foreign, error)
		changes []func(*app.Config)
	}{
		"coder":            {dial: dialCoder},
		"gorilla":          {dial: dialGorilla},
		"coder over TLS":   {dial: dialCoder, changes: []func(*app.Config){withTLS(t)}},
		"gorilla over TLS": {dial: dialGorilla, changes: []func(*app.Config){withTLS(t)}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, tt.changes...)
			client, err := tt.dial(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			scenario(t, s, client)
			if err := client.close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

func scenario(t *testing.T, s *server, client foreign) {
	ask := func(request string) frame {
		t.Helper()
		if request != "" {
			if err := client.send(request); err != nil {
				t.Fatal(err)
			}
		}
		text, err := client.receive()
		if err != nil {
			t.Fatal(err)
		}
		var f frame
		if err := json.Unmarshal(text, &f); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return f
	}
	check := func(got, want frame) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("frame (-want +got):\n%s", diff)
		}
	}

	welcome := ask("")
	if welcome.Type != "welcome" || welcome.Message != "Hi Client!" || welcome.ClientID == "" {
		t.Errorf("welcome %+v", welcome)
	}
	ack := ask(`{"action":"subscribe","topic":"news","ref":1}`)
	check(ack, frame{Type: "ack", Action: "subscribe", Topic: "news", ID: ack.ID, Ref: jsontext.Value("1")})

	const form = "application/x-www-form-urlencoded"
	text := s.publish("news", "hello", form)
	check(ask(""), frame{Type: "message", ID: text.ID.String(), Topic: "news", Data: jsontext.Value(`"hello"`)})
	object := s.publish("news", `{"n":1}`, "application/json")
	check(ask(""), frame{Type: "message", ID: object.ID.String(), Topic: "news", Data: jsontext.Value(`{"n":1}`)})

	var clients models.ClientPage
	s.await(func() bool { // delivered is counted just after the write
		clients = models.ClientPage{}
		s.get("/clients", &clients)
		return len(clients.Clients) != 1 || clients.Clients[0].Delivered >= 2
	})
	if len(clients.Clients) != 1 || clients.Clients[0].ID != welcome.ClientID ||
		!cmp.Equal(clients.Clients[0].Subscriptions, []models.Pattern{"news"}) || clients.Clients[0].Delivered != 2 {
		t.Errorf("clients %+v", clients)
	}
	var topics models.TopicPage
	s.get("/topics", &topics)
	want := []models.TopicInfo{{Name: "news", Subscribers: 1, Messages: 2, LastID: object.ID, LastTime: object.Time}}
	if diff := cmp.Diff(want, topics.Topics, cmp.Transformer("ms", models.Timestamp.UnixMilli)); diff != "" {
		t.Errorf("topics (-want +got):\n%s", diff)
	}

	own := ask(`{"action":"publish","topic":"news","data":[1, 2],"ref":"p"}`)
	check(own, frame{Type: "message", ID: own.ID, Topic: "news", Data: jsontext.Value(`[1,2]`)})
	check(ask(""), frame{Type: "ack", Action: "publish", Topic: "news", ID: own.ID, Ref: jsontext.Value(`"p"`)})
	check(ask(`{"action":"ping","ref":2}`), frame{Type: "pong", Ref: jsontext.Value("2")})
	if f := ask(`{"action":`); f.Type != "error" || f.Code != "invalid_json" {
		t.Errorf("answer to malformed JSON: %+v", f)
	}
	end := ask(`{"action":"unsubscribe","topic":"news","ref":3}`)
	check(end, frame{Type: "ack", Action: "unsubscribe", Topic: "news", ID: own.ID, Ref: jsontext.Value("3")})
	s.publish("news", "unheard", form)
	check(ask(`{"action":"ping","ref":4}`), frame{Type: "pong", Ref: jsontext.Value("4")})
}
