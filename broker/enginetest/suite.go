package enginetest

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/models"
)

// Run tests the contract of broker.Engine. newEngine gives an engine with an empty log
// that retains as much as history says; Run starts and closes it.
func Run(t *testing.T, newEngine func(history broker.History) broker.Engine) {
	small := Generous()
	small.MaxMessagesPerTopic = 3
	run(t, newEngine, Generous(), map[string]test{
		"delivers in order":            testDelivery,
		"orders concurrent publishers": testConcurrentPublishers,
		"knows its position":           testPosition,
		"reads stretches":              testRead,
		"reads patterns once":          testReadPatterns,
		"reads from unknown places":    testReadUnknown,
		"lists topics":                 testTopics,
		"is quiet after close":         testClose,
	})
	run(t, newEngine, small, map[string]test{
		"says what was removed": testRemoved,
	})
}

type test func(t *testing.T, engine broker.Engine, sink *Sink)

func run(t *testing.T, newEngine func(history broker.History) broker.Engine, history broker.History, tests map[string]test) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			engine := newEngine(history)
			sink := NewSink(t)
			position, err := engine.Start(t.Context(), sink)
			if err != nil {
				t.Fatal(err)
			}
			sink.start(position)
			closeOnce := sync.OnceValue(engine.Close)
			t.Cleanup(func() {
				if err := closeOnce(); err != nil {
					t.Error(err)
				}
				sink.close()
			})
			test(t, closing{engine, closeOnce}, sink)
		})
	}
}

// closing is an engine that may be closed twice.
type closing struct {
	broker.Engine
	closeOnce func() error
}

func (c closing) Close() error { return c.closeOnce() }

func publish(t *testing.T, engine broker.Engine, topic models.Topic, data string) models.Receipt {
	t.Helper()
	receipt, err := engine.Publish(t.Context(), models.Draft{Topic: topic, Data: []byte(data), From: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

func testDelivery(t *testing.T, engine broker.Engine, sink *Sink) {
	var want []*models.Message
	for i := range 100 {
		topic, data := models.Topic(fmt.Sprintf("t.%d", i%7)), fmt.Sprintf(`{"n":%d}`, i)
		receipt := publish(t, engine, topic, data)
		if receipt.Topic != topic || receipt.Duplicate || receipt.Time.IsZero() {
			t.Errorf("receipt %+v", receipt)
		}
		want = append(want, &models.Message{
			ID: receipt.ID, Topic: topic, Data: []byte(data), Time: receipt.Time, From: "ada",
		})
	}
	if diff := cmp.Diff(want, sink.Await(len(want))); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

func testConcurrentPublishers(t *testing.T, engine broker.Engine, sink *Sink) {
	const publishers, each = 8, 200
	receipts := make([][]models.Receipt, publishers)
	var publishing sync.WaitGroup
	for i := range publishers {
		publishing.Go(func() {
			for n := range each {
				receipt, err := engine.Publish(t.Context(), models.Draft{Topic: "a", Data: fmt.Appendf(nil, "%d", n)})
				if err != nil {
					t.Error(err)
					return
				}
				receipts[i] = append(receipts[i], receipt)
			}
		})
	}
	publishing.Wait()
	var published []uint64
	for _, of := range receipts {
		for i, r := range of {
			if i > 0 && r.ID.Sequence <= of[i-1].ID.Sequence {
				t.Fatalf("a later publish got an earlier id: %v after %v", r.ID, of[i-1].ID)
			}
			published = append(published, r.ID.Sequence)
		}
	}
	slices.Sort(published)
	var delivered []uint64
	for _, m := range sink.Await(len(published)) {
		delivered = append(delivered, m.ID.Sequence)
	}
	if diff := cmp.Diff(published, delivered); diff != "" {
		t.Errorf("published and delivered differ (-published +delivered):\n%s", diff)
	}
}

func testPosition(t *testing.T, engine broker.Engine, _ *Sink) {
	start, err := engine.Position(t.Context())
	if err != nil || start.Epoch == "" {
		t.Fatalf("position of an empty log: %v, %v", start, err)
	}
	receipt := publish(t, engine, "a", "1")
	position, err := engine.Position(t.Context())
	if err != nil || position != receipt.ID || position.Epoch != start.Epoch || position.Sequence <= start.Sequence {
		t.Errorf("position after %v: %v, %v", receipt.ID, position, err)
	}
	if err := engine.Ready(t.Context()); err != nil {
		t.Errorf("not ready: %v", err)
	}
}

// read reads and gives the ids, and whether who saw the log up to after misses nothing
// else.
func read(t *testing.T, engine broker.Engine, patterns []models.Pattern, after, upTo models.ID, limit int) (ids []models.ID, recovered bool) {
	t.Helper()
	stretch, err := engine.Read(t.Context(), patterns, after, upTo, limit)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range stretch.Messages {
		ids = append(ids, m.ID)
	}
	return ids, stretch.Recovered(after)
}

func testRead(t *testing.T, engine broker.Engine, _ *Sink) {
	start, err := engine.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var a []models.ID
	for range 10 {
		a = append(a, publish(t, engine, "a", "1").ID)
		publish(t, engine, "b", "2")
	}
	cases := map[string]struct {
		after, upTo models.ID
		limit       int
		want        []models.ID
	}{
		"all":                    {start, a[9], 100, a},
		"after one":              {a[3], a[9], 100, a[4:]},
		"up to one":              {start, a[5], 100, a[:6]},
		"limited":                {a[3], a[9], 3, a[4:7]},
		"between others' places": {models.ID{Epoch: start.Epoch, Sequence: a[3].Sequence + 1}, a[9], 100, a[4:]},
		"after the newest":       {a[9], a[9], 100, nil},
		"nothing between":        {a[5], a[5], 100, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, recovered := read(t, engine, []models.Pattern{"a"}, c.after, c.upTo, c.limit)
			if diff := cmp.Diff(c.want, got); diff != "" || !recovered {
				t.Errorf("recovered %v (-want +got):\n%s", recovered, diff)
			}
		})
	}
}

func testReadPatterns(t *testing.T, engine broker.Engine, _ *Sink) {
	start, err := engine.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var want []models.ID
	for range 5 {
		want = append(want, publish(t, engine, "a.b", "1").ID, publish(t, engine, "a.c.d", "1").ID)
		publish(t, engine, "a", "0")
		publish(t, engine, "ab.c", "0")
	}
	for _, patterns := range [][]models.Pattern{{"a.>"}, {"a.*", "a.c.d"}, {"a.b", "a.>", "*.b", "a.*.d"}} {
		got, recovered := read(t, engine, patterns, start, want[len(want)-1], 100)
		if diff := cmp.Diff(want, got); diff != "" || !recovered {
			t.Errorf("%q: recovered %v (-want +got):\n%s", patterns, recovered, diff)
		}
	}
}

// testRemoved runs with three messages a topic.
func testRemoved(t *testing.T, engine broker.Engine, _ *Sink) {
	start, err := engine.Position(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	quiet := publish(t, engine, "quiet", "1").ID
	var busy []models.ID
	for range 10 {
		busy = append(busy, publish(t, engine, "busy", "1").ID)
	}
	cases := map[string]struct {
		pattern   models.Pattern
		after     models.ID
		limit     int
		recovered bool
		want      []models.ID
	}{
		"nothing of this topic":         {"quiet", start, 9, true, []models.ID{quiet}},
		"all that was removed was seen": {"busy", busy[6], 9, true, busy[7:]},
		"the last removed was not":      {"busy", busy[5], 9, false, busy[7:]},
		"from the beginning":            {"busy", start, 9, false, busy[7:]},
		"one of several topics":         {">", quiet, 9, false, busy[7:]},
		"on the first of several pages": {">", start, 2, false, []models.ID{quiet, busy[7]}},
		"on a later page":               {">", busy[7], 2, true, busy[8:]},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, recovered := read(t, engine, []models.Pattern{c.pattern}, c.after, busy[9], c.limit)
			if diff := cmp.Diff(c.want, got); diff != "" || recovered != c.recovered {
				t.Errorf("recovered %v (-want +got):\n%s", recovered, diff)
			}
		})
	}
}

func testReadUnknown(t *testing.T, engine broker.Engine, _ *Sink) {
	id := publish(t, engine, "a", "1").ID
	for name, after := range map[string]models.ID{
		"another epoch": {Epoch: "other", Sequence: id.Sequence},
		"the future":    {Epoch: id.Epoch, Sequence: id.Sequence + 1},
	} {
		got, recovered := read(t, engine, []models.Pattern{"a"}, after, id, 100)
		if diff := cmp.Diff([]models.ID{id}, got); diff != "" || recovered {
			t.Errorf("%s: recovered %v (-want +got):\n%s", name, recovered, diff)
		}
	}
}

func testTopics(t *testing.T, engine broker.Engine, _ *Sink) {
	var last models.Receipt
	for _, topic := range []models.Topic{"b", "a.x", "c", "a.y", "a", "a.x"} {
		last = publish(t, engine, topic, "1")
	}
	cases := map[string]struct {
		filter models.TopicFilter
		want   []models.Topic
	}{
		"all":              {models.TopicFilter{Page: models.Page{Limit: 10}}, []models.Topic{"a", "a.x", "a.y", "b", "c"}},
		"first page":       {models.TopicFilter{Page: models.Page{Limit: 2}}, []models.Topic{"a", "a.x"}},
		"next page":        {models.TopicFilter{Page: models.Page{After: "a.x", Limit: 2}}, []models.Topic{"a.y", "b"}},
		"after no topic":   {models.TopicFilter{Page: models.Page{After: "a.xx", Limit: 1}}, []models.Topic{"a.y"}},
		"past the end":     {models.TopicFilter{Page: models.Page{After: "c", Limit: 2}}, nil},
		"pattern":          {models.TopicFilter{Page: models.Page{Limit: 10}, Pattern: "a.*"}, []models.Topic{"a.x", "a.y"}},
		"pattern and page": {models.TopicFilter{Page: models.Page{After: "a.x", Limit: 10}, Pattern: ">"}, []models.Topic{"a.y", "b", "c"}},
		"one topic":        {models.TopicFilter{Page: models.Page{Limit: 10}, Pattern: "a"}, []models.Topic{"a"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			topics, err := engine.Topics(t.Context(), c.filter)
			var got []models.Topic
			for _, info := range topics {
				got = append(got, info.Name)
			}
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	topics, err := engine.Topics(t.Context(), models.TopicFilter{Page: models.Page{Limit: 1}, Pattern: "a.x"})
	want := []models.TopicInfo{{Name: "a.x", Messages: 2, LastID: last.ID, LastTime: last.Time}}
	if diff := cmp.Diff(want, topics); err != nil || diff != "" {
		t.Errorf("one topic: %v (-want +got):\n%s", err, diff)
	}
}

// testClose closes an engine that still has something to deliver.
func testClose(t *testing.T, engine broker.Engine, sink *Sink) {
	for range 1000 {
		publish(t, engine, "a", "1")
	}
	sink.Await(1)
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	sink.close()
	runtime.Gosched() // whoever would still deliver may do it now
}
