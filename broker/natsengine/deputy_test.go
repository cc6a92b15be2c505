package natsengine_test

import (
	"testing"

	"github.com/nats-io/nats.go"

	"fanfare/models"
)

// TestDeputies: nobody has the server publish for him, by its answers, where he may not himself.
func TestDeputies(t *testing.T) {
	r := startListening(t)
	guest := connect(t, r.GuestURL(), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // some of it is denied
	var want []models.Message
	publish := func(m *nats.Msg) {
		t.Helper()
		if err := guest.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	// JetStream takes its own answer to a message, {"stream":..,"seq":..}, for a question, or the message that was
	// asked for.
	for _, reply := range []string{
		"$JS.API.STREAM.PURGE.FANFARE", "$JS.API.STREAM.MSG.DELETE.FANFARE", "$JS.API.STREAM.DELETE.FANFARE", "$JS.API.STREAM.UPDATE.FANFARE",
		"fanfare-log.purge.a", "_FANFARE.x",
	} {
		for _, payload := range []string{"", `{"last":1000000}`, `{"seq":2}`, `{"filter":"fanfare.>"}`} {
			publish(&nats.Msg{Subject: "fanfare.a", Reply: reply, Data: []byte(payload)})
			data := payload
			if data == "" {
				data = `""`
			}
			want = append(want, models.Message{Topic: "a", Data: []byte(data)})
			publish(&nats.Msg{Subject: "$JS.API.DIRECT.GET.FANFARE", Reply: reply, Data: []byte(`{"last_by_subj":"fanfare.a"}`)})
			publish(&nats.Msg{Subject: "$JS.API.DIRECT.GET.FANFARE.fanfare.a", Reply: reply})
		}
	}
	send(t, guest, &nats.Msg{Subject: "fanfare.a", Data: []byte("1")})
	r.mustPublish("2")
	want = append(want, models.Message{Topic: "a", Data: []byte("1")}, models.Message{Topic: "a", Data: []byte("2")})
	r.checkAll(want)
	if end, err := r.Position(t.Context()); err != nil || end.Sequence > uint64(len(want)+2) { // and anchors
		t.Errorf("%d messages, and the log is at %v, %v", len(want), end, err)
	}
}
