package models_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

// moment is a time that is neither in UTC nor a whole number of milliseconds.
func moment() models.Timestamp {
	return models.Timestamp{Time: time.Date(2026, 11, 23, 18, 45, 1, 250_999_999, time.FixedZone("CET", 3600))}
}

func TestMessageFrame(t *testing.T) {
	cases := map[string]struct {
		message models.Message
		want    string
	}{
		"plain": {
			models.Message{ID: models.ID{Epoch: "e", Sequence: 7}, Topic: "news.eu", Data: []byte(`"hello"`), Time: moment()},
			`{"type":"message","id":"e-7","topic":"news.eu","data":"hello","time":"2026-11-23T17:45:01.250Z"}`,
		},
		"everything": {
			models.Message{
				ID: models.ID{Epoch: "e", Sequence: 8}, Topic: `a"b\<ü`, Data: []byte(`"AAE="`), Time: moment(),
				From: "ada \"lovelace\"", Encoding: models.EncodingBase64,
			},
			`{"type":"message","id":"e-8","topic":"a\"b\\<ü","data":"AAE=","time":"2026-11-23T17:45:01.250Z",` +
				`"from":"ada \"lovelace\"","encoding":"base64"}`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := string(c.message.AppendFrame([]byte("before:")))
			if diff := cmp.Diff("before:"+c.want, got); diff != "" {
				t.Errorf("frame (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServerFrames(t *testing.T) {
	limits := models.Limits{MessageSize: 1, FrameSize: 2, OutboxSize: 3, Subscriptions: 4}
	id := models.ID{Epoch: "e", Sequence: 7}
	cases := map[string]struct {
		frame models.ServerFrame
		want  string
	}{
		"welcome": {
			models.NewWelcome("c1", 25, limits),
			`{"type":"welcome","client_id":"c1","message":"Hi Client!","ping_interval":25,` +
				`"limits":{"message_size":1,"frame_size":2,"outbox_size":3,"subscriptions":4}}`,
		},
		"ack of one subscription": {
			models.Ack{Type: "ack", Action: models.ActionSubscribe, Topic: "a.>", ID: id, Ref: models.Ref(`1.0`)},
			`{"type":"ack","action":"subscribe","topic":"a.>","id":"e-7","ref":1.0}`,
		},
		"ack of several": {
			models.Ack{Type: "ack", Action: models.ActionUnsubscribe, Topics: []string{"a", "b"}, ID: id},
			`{"type":"ack","action":"unsubscribe","topics":["a","b"],"id":"e-7"}`,
		},
		"ack of a publish": {
			models.Ack{Type: "ack", Action: models.ActionPublish, Topic: "a", ID: id, Ref: models.Ref(`"x"`)},
			`{"type":"ack","action":"publish","topic":"a","id":"e-7","ref":"x"}`,
		},
		"error": {
			models.NewErrorFrame(models.Errorf(models.CodeInvalidTopic, "no <b>"), models.Ref(`0`)),
			`{"type":"error","code":"invalid_topic","message":"no <b>","ref":0}`,
		},
		"gap":     {models.NewGapNotice("a.*"), `{"type":"notice","code":"gap","topic":"a.*"}`},
		"dropped": {models.NewDroppedNotice("a.*", 7), `{"type":"notice","code":"dropped","topic":"a.*","count":7}`},
		"pong":    {models.NewPong(models.Ref(`""`)), `{"type":"pong","ref":""}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, string(models.AppendServerFrame(nil, c.frame))); diff != "" {
				t.Errorf("frame (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewAckEchoesTheRequest(t *testing.T) {
	request := models.Request{Action: models.ActionSubscribe, Topics: []string{"a", "a"}, Ref: models.Ref(`"x"`)}
	want := models.Ack{Type: "ack", Action: models.ActionSubscribe, Topics: []string{"a", "a"}, Ref: models.Ref(`"x"`)}
	if diff := cmp.Diff(want, models.NewAck(request)); diff != "" {
		t.Errorf("ack (-want +got):\n%s", diff)
	}
}

func TestReceiptJSON(t *testing.T) {
	cases := map[string]struct {
		receipt models.Receipt
		want    string
	}{
		"plain": {
			models.Receipt{Time: moment(), ID: models.ID{Epoch: "e", Sequence: 1}, Topic: "a", Subscribers: new(0)},
			`{"id":"e-1","topic":"a","time":"2026-11-23T17:45:01.250Z","duplicate":false,"subscribers":0}`,
		},
		"in a cluster": {
			models.Receipt{Time: moment(), ID: models.ID{Epoch: "e", Sequence: 1}, Topic: "a"},
			`{"id":"e-1","topic":"a","time":"2026-11-23T17:45:01.250Z","duplicate":false}`,
		},
		"everything": {
			models.Receipt{Time: moment(), ID: models.ID{Epoch: "e", Sequence: 1}, Topic: `a"<ü`, Duplicate: true, Subscribers: new(12)},
			`{"id":"e-1","topic":"a\"<ü","time":"2026-11-23T17:45:01.250Z","duplicate":true,"subscribers":12}`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(c.receipt)
			if diff := cmp.Diff(c.want, string(text)); err != nil || diff != "" {
				t.Errorf("json.Marshal: %v (-want +got):\n%s", err, diff)
			}
			if diff := cmp.Diff("before:"+c.want, string(c.receipt.AppendJSON([]byte("before:")))); diff != "" {
				t.Errorf("AppendJSON (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAsErrorHidesTheRest(t *testing.T) {
	own := models.Errorf(models.CodeNotFound, "gone")
	if got := models.AsError(fmt.Errorf("while looking: %w", own)); got != own {
		t.Errorf("AsError = %v, want the error in the chain", got)
	}
	foreign := models.AsError(errors.New("secret"))
	if foreign.Code != models.CodeInternal || foreign.Error() != "internal: something went wrong in the server" {
		t.Errorf("AsError of a foreign error = %v", foreign)
	}
}

func TestCloseReasonsFitTheirFrame(t *testing.T) {
	const maxReason = 123 // RFC 6455, section 5.5: 125 bytes with the code
	seen := make(map[string]models.CloseCode)
	for code := models.CloseCode(1000); code < 5000; code++ {
		text := code.String()
		if text == "" || len(text) > maxReason {
			t.Errorf("close code %d has the reason %q", code, text)
		}
		if other, found := seen[text]; found && text != "closed" {
			t.Errorf("close codes %d and %d have the same reason", other, code)
		}
		seen[text] = code
	}
}
