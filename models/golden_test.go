package models_test

import (
	"os"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

// golden is a frame of testdata/frames.json, which docs/protocol.md quotes and which the
// tests of clients in other languages may use, too.
type golden struct {
	Name  string `json:"name"`
	By    string `json:"by"`
	Frame string `json:"frame"`
}

// TestGoldenFrames: the server's frames are those, byte for byte, and requests are read
// as they mean.
func TestGoldenFrames(t *testing.T) {
	text, err := os.ReadFile("testdata/frames.json")
	if err != nil {
		t.Fatal(err)
	}
	var frames []golden
	if err := json.Unmarshal(text, &frames); err != nil {
		t.Fatal(err)
	}
	server, client := serverFrames(), clientFrames()
	for _, f := range frames {
		t.Run(f.Name, func(t *testing.T) {
			if f.By == "server" {
				if diff := cmp.Diff(f.Frame, string(server[f.Name])); diff != "" {
					t.Errorf("frame (-golden +got):\n%s", diff)
				}
				delete(server, f.Name)
				return
			}
			var got models.Request
			if err := json.Unmarshal([]byte(f.Frame), &got, json.RejectUnknownMembers(true)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(client[f.Name], got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			delete(client, f.Name)
		})
	}
	if len(server)+len(client) > 0 {
		t.Errorf("not in the file: %v %v", server, client)
	}
}

func serverFrames() map[string][]byte {
	const id = "019ab5c2-7d1e-7c3b-9a51-2f4f6f1c9a10"
	at := func(sequence uint64) models.ID { return models.ID{Epoch: "4kq9zt2m", Sequence: sequence} }
	ack := func(request models.Request, id models.ID) models.Ack {
		a := models.NewAck(request)
		a.ID = id
		return a
	}
	recovered := func(a models.Ack, recovered bool) models.Ack {
		a.Recovered = &recovered
		return a
	}
	news := models.Request{Action: models.ActionSubscribe, Topic: "news.*", Ref: models.Ref("1")}
	since := models.Request{Action: models.ActionSubscribe, Topic: "news.*", Ref: models.Ref("2")}
	both := models.Request{Action: models.ActionSubscribe, Topics: []string{"a", "b.>"}, Ref: models.Ref(`"both"`)}
	end := models.Request{Action: models.ActionUnsubscribe, Topic: "news.*", Ref: models.Ref("3")}
	publish := models.Request{Action: models.ActionPublish, Topic: "news.eu", Ref: models.Ref("4")}
	duplicate := ack(models.Request{Action: models.ActionPublish, Topic: "news.eu", Ref: models.Ref("5")}, at(1042))
	duplicate.Duplicate = true
	limits := models.Limits{MessageSize: 1 << 20, FrameSize: 1<<20 + 64<<10, OutboxSize: 4 << 20, Subscriptions: 1000}
	ada := models.MemberPage{Clients: []models.Member{{ClientID: id, User: "ada"}}}
	part := models.MemberPage{Clients: []models.Member{{ClientID: id}}, Unreachable: []string{"fanfare-2-k4m9"}}
	message := models.Message{ID: at(1042), Topic: "news.eu", Data: []byte(`{"n":1}`), Time: moment()}
	binary := models.Message{
		ID: at(1042), Topic: "news.eu", Data: []byte(`"AAE="`), Time: moment(), From: "ada", Encoding: models.EncodingBase64,
	}
	traced := message
	traced.Attributes = models.NewAttributes(trace, "vendor=1", nil)
	event := message
	event.Attributes = models.NewAttributes("", "", []byte(`{"specversion":"1.0","id":"A-1","source":"/orders","type":"order.placed","subject":"1042"}`))
	frames := map[string][]byte{
		"message with a trace":    traced.AppendFrame(nil),
		"message of an event":     event.AppendFrame(nil),
		"event":                   event.AppendCloudEvent(nil),
		"message as an event":     traced.AppendCloudEvent(nil),
		"message":                 message.AppendFrame(nil),
		"message with everything": binary.AppendFrame(nil),
	}
	for name, frame := range map[string]models.ServerFrame{
		"welcome":                models.NewWelcome(id, 25, limits),
		"ack of a subscribe":     ack(news, at(1042)),
		"ack for several":        ack(both, at(1042)),
		"ack of a full recovery": recovered(ack(since, at(1040)), true),
		"ack of a loss":          recovered(ack(since, at(0)), false),
		"caught up":              models.NewCaughtUp(ack(news, at(0)), at(1042)),
		"position":               models.NewPosition(at(1100)),
		"dropped":                models.NewDroppedNotice("news.*", 7),
		"gap":                    models.NewGapNotice("news.*"),
		"incomplete":             models.NewIncompleteNotice("room.*"),
		"forbidden":              models.NewForbiddenNotice("news.*"),
		"ack of an auth":         models.NewAck(models.Request{Action: models.ActionAuth, Ref: models.Ref("9")}),
		"ack of an unsubscribe":  ack(end, at(1042)),
		"ack of a publish":       ack(publish, at(1042)),
		"ack of a duplicate":     duplicate,
		"members":                models.NewPresence("room.1", ada, models.Ref("6")),
		"members but for a node": models.NewPresence("room.1", part, nil),
		"join":                   models.NewJoin("room.1", models.Member{ClientID: id}),
		"leave":                  models.NewLeave("room.1", models.Member{ClientID: id}),
		"pong":                   models.NewPong(models.Ref("7")),
		"error":                  models.NewErrorFrame(models.Errorf(models.CodeInvalidTopic, "a topic must not be empty"), models.Ref("8")),
		"close":                  models.NewClosing(models.CloseGoingAway),
	} {
		frames[name] = models.AppendServerFrame(nil, frame)
	}
	return frames
}

func clientFrames() map[string]models.Request {
	ten := 10
	return map[string]models.Request{
		"subscribe": {Action: models.ActionSubscribe, Topic: "news.*", Ref: models.Ref("1")},
		"subscribe to several": {
			Action: models.ActionSubscribe, Topics: []string{"a", "b.>"}, Overflow: "latest", Ref: models.Ref(`"both"`),
		},
		"subscribe since":         {Action: models.ActionSubscribe, Topic: "news.*", Since: "4kq9zt2m-1040", Ref: models.Ref("2")},
		"subscribe with the last": {Action: models.ActionSubscribe, Topic: "news.*", Last: &ten},
		"unsubscribe":             {Action: models.ActionUnsubscribe, Topic: "news.*", Ref: models.Ref("3")},
		"publish":                 {Action: models.ActionPublish, Topic: "news.eu", Data: []byte(`{"n":1}`), Ref: models.Ref("4")},
		"publish with a key": {
			Action: models.ActionPublish, Topic: "news.eu", Data: []byte(`{"n":1}`), Key: "order-1042", Ref: models.Ref("5"),
		},
		"publish an event": {
			Action: models.ActionPublish, Topic: "news.eu", Data: []byte(`{"n":1}`), Ref: models.Ref("10"),
			Attributes: models.Attributes{
				TraceParent: trace, Event: []byte(`{"specversion":"1.0","id":"A-1","source":"/orders","type":"order.placed"}`),
			},
		},
		"subscribe with presence": {Action: models.ActionSubscribe, Topic: "room.1", Presence: true},
		"presence":                {Action: models.ActionPresence, Topic: "room.1", Ref: models.Ref("6")},
		"ping":                    {Action: models.ActionPing, Ref: models.Ref("7")},
		"auth":                    {Action: models.ActionAuth, Token: "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", Ref: models.Ref("9")}, //nolint:gosec // it opens nothing
	}
}
