package natsengine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/broker/natsengine"
	"fanfare/broker/natsengine/natstest"
	"fanfare/models"
)

// start starts an engine that is closed with the test, and listened to by nobody.
func start(t testing.TB, options natsengine.Options) *natsengine.Engine {
	t.Helper()
	engine := open(t, options)
	if err := engine.Start(t.Context(), silent{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return engine
}

func publish(t testing.TB, engine *natsengine.Engine, draft models.Draft) models.Receipt {
	t.Helper()
	receipt, err := engine.Publish(t.Context(), draft)
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

// request asks a NATS server for something, and gives what it says.
func request(t testing.TB, conn *nats.Conn, subject string, question any) string {
	t.Helper()
	var text []byte
	if question != nil {
		var err error
		if text, err = json.Marshal(question); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := conn.Request(subject, text, time.Minute)
	if err != nil || bytes.Contains(answer.Data, []byte(`"error":`)) {
		t.Fatalf("%s: %s, %v", subject, answer.Data, err)
	}
	return string(answer.Data)
}

func connect(t testing.TB, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// TestPurgeBetweenPages: a purge that a page found marked, and not done yet, is told by the next one.
func TestPurgeBetweenPages(t *testing.T) {
	cluster := natstest.Start(t, 1)
	o := clustered(t, cluster, "S", enginetest.Generous())
	o.Replicas, o.History.MaxBytes = 1, 10<<20
	engine := start(t, o)
	publish(t, engine, models.Draft{Topic: "gone", Data: []byte("0")})
	if err := engine.Purge(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	var last models.ID
	for range 3 {
		last = publish(t, engine, models.Draft{Topic: "a", Data: []byte("1")}).ID
	}
	read := func(query broker.Query) broker.Stretch {
		t.Helper()
		query.Patterns, query.UpTo, query.Limit = []models.Pattern{"a"}, last, 1
		stretch, err := engine.Read(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		return stretch
	}
	first := read(broker.Query{})
	conn := connect(t, cluster.URLs()[0])
	request(t, conn, o.Prefix+"-log.purge.a", map[string]any{"last": last.Sequence})
	second := read(broker.Query{After: first.Reached, Removals: first.Removals})
	if second.Lost {
		t.Error("nothing was removed yet")
	}
	answer := request(t, conn, "$JS.API.STREAM.PURGE."+o.Stream, map[string]any{"filter": o.Prefix + ".a", "seq": last.Sequence + 1})
	third := read(broker.Query{After: second.Reached, Removals: second.Removals})
	if !third.Lost {
		t.Error(fmt.Sprint("a purge was not told: ", answer))
	}
}
