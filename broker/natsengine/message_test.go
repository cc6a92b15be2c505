package natsengine_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/models"
)

// FuzzSubjects: every topic is a subject, every pattern matches as in NATS, and the way back is the same.
func FuzzSubjects(f *testing.F) {
	for _, seed := range []string{"a", "news.eu", "a.b.c", "a/b", "ü.日本", "x\u2028y", "a b", "*", "a.*", "a.>", "$a", "a.$b", "a..b", "\x7f", strings.Repeat("x", 255), "a\\.b", `"`, "<&>"} {
		f.Add(seed, "a.b")
	}
	f.Fuzz(func(t *testing.T, text, other string) {
		if topic, err := models.ParseTopic(text); err == nil {
			if subject := "fanfare." + string(topic); !server.IsValidLiteralSubject(subject) {
				t.Errorf("%q is no subject", subject)
			}
		}
		pattern, err := models.ParsePattern(text)
		if err != nil {
			return
		}
		if !server.IsValidSubject("fanfare." + string(pattern)) {
			t.Errorf("%q is no subject", pattern)
		}
		topic, err := models.ParseTopic(other)
		if err != nil {
			return
		}
		if ours, nats := pattern.Matches(topic), server.SubjectMatchesFilter("fanfare."+other, "fanfare."+text); ours != nats {
			t.Errorf("%q matches %q: %v, in NATS %v", text, other, ours, nats)
		}
	})
}

// TestMessagesComeBack as they were, live and from the log, whatever they are.
func TestMessagesComeBack(t *testing.T) {
	engine, sink, position := follow(t, embedded(t, t.TempDir(), enginetest.Generous()))
	drafts := []models.Draft{
		{Topic: "a", Data: []byte("1")},
		{Topic: "ü.日本/x", Data: []byte(`"ü\u0000 日本"`), From: " ada: \"ü\" %41 ", Key: "k\n: ü"},
		{Topic: models.Topic(strings.Repeat("x", 255)), Data: []byte(`{"a":[1.0,1e400,""]}`), From: strings.Repeat("ü", 127)},
		{Topic: "binary", Data: models.BinaryData([]byte{0, 1, 2, 255}), Encoding: models.EncodingBase64, From: "ada"},
		{Topic: "binary.empty", Data: models.BinaryData(nil), Encoding: models.EncodingBase64},
		{Topic: "binary.text", Data: models.BinaryData([]byte(`{"a":1}`)), Encoding: models.EncodingBase64},
		{Topic: "text", Data: []byte(`""`)},
		{Topic: "a.$b", Data: []byte("null")},
		{Topic: "large", Data: []byte(`"` + strings.Repeat("x", engine.MaxMessageSize()-2) + `"`)},
	}
	var want []*models.Message
	for _, d := range drafts {
		r := publish(t, engine, d)
		m := &models.Message{ID: r.ID, Topic: d.Topic, Data: d.Data, Time: r.Time, From: d.From, Encoding: d.Encoding}
		if diff := cmp.Diff(m, sink.want(t, r.ID)); diff != "" {
			t.Errorf("live (-want +got):\n%.1000s", diff)
		}
		want = append(want, m)
	}
	var got []*models.Message
	last := want[len(want)-1].ID
	for at := position; at != last; {
		stretch, err := engine.Read(t.Context(), broker.Query{Patterns: []models.Pattern{">"}, After: at, UpTo: last, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		got, at = append(got, stretch.Messages...), stretch.Reached
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("from the log (-want +got):\n%.1000s", diff)
	}
	_, err := engine.Publish(t.Context(), models.Draft{Topic: "a", Data: []byte(`"` + strings.Repeat("x", engine.MaxMessageSize()-1) + `"`)})
	if models.AsError(err).Code != models.CodePayloadTooLarge {
		t.Errorf("too large: %v", err)
	}
}

// TestSmallerMessageSize: a message that has become too large is missing, and that is told.
func TestSmallerMessageSize(t *testing.T) {
	dir := t.TempDir()
	o := embedded(t, dir, enginetest.Generous())
	engine := open(t, o)
	_ = engine.Start(t.Context(), silent{})
	first := publish(t, engine, models.Draft{Topic: "a", Data: []byte("1")}).ID
	publish(t, engine, models.Draft{Topic: "a", Data: append(append([]byte(`"`), make([]byte, 1000)...), '"')})
	_ = engine.Close()
	o.MessageSize = 100
	engine = start(t, o)
	if s := resume(t, engine, first, "a"); s.Follows(first) && len(s.Messages) == 0 {
		t.Error("recovered, without the message that is larger than message_size is now")
	}
}
