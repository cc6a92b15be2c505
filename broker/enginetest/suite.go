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

// Doubts are the cases in which an engine may say that something was lost although nothing was.
type Doubts struct {
	// Full: a topic has as many messages as it may have, and all of them are beyond After.
	Full bool
}

// Run tests the contract of broker.Engine. newEngine gives an engine with an empty log
// that retains as much as history says; Run starts and closes it.
func Run(t *testing.T, doubts Doubts, newEngine func(t *testing.T, history broker.History) broker.Engine) {
	small := Generous()
	small.MaxMessagesPerTopic = 3
	run(t, newEngine, Generous(), map[string]test{
		"delivers in order":              testDelivery,
		"orders concurrent publishers":   testConcurrentPublishers,
		"knows its position":             testPosition,
		"reads stretches":                testRead,
		"reads patterns once":            testReadPatterns,
		"reads from unknown places":      testReadUnknown,
		"reads everything once":          testReadPages,
		"finds the tail":                 testTail,
		"finds no tail":                  testTailOfNothing,
		"lists topics":                   testTopics,
		"purges":                         testPurge,
		"purges what there is":           testPurgeUnderWay,
		"publishes a key once":           testKeys,
		"tells keys apart":               testKeysApart,
		"publishes concurrent keys once": testConcurrentKeys,
		"keeps attributes":               testAttributes,
		"knows an event by its key":      testKeysOfEvents,
		"is quiet after close":           testClose,
	})
	run(t, newEngine, small, map[string]test{
		"says what was removed":          testRemoved,
		"says what is removed meanwhile": testRemovedMeanwhile,
		"says what it holds":             testLogStats,
		"says what was removed of patterns": func(t *testing.T, engine broker.Engine, _ *Sink) {
			testRemovedOfPatterns(t, engine, doubts)
		},
	})
}

type test func(t *testing.T, engine broker.Engine, sink *Sink)

func run(t *testing.T, newEngine func(t *testing.T, history broker.History) broker.Engine, history broker.History, tests map[string]test) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			engine := newEngine(t, history)
			sink := NewSink(t)
			if err := engine.Start(t.Context(), sink); err != nil {
				t.Fatal(err)
			}
			position, err := engine.Follow(t.Context())
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
