package broker_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/models"
)

// nowhere is a broker.Conn that takes everything at once.
type nowhere struct{}

func (nowhere) Format() models.Format { return lineFormat{} }

func (nowhere) Write(b []byte, _ func()) (int, error) { return len(b), nil }

func (nowhere) Close(models.CloseCode) {}

// BenchmarkPublish measures a publish with its deliveries, sockets aside. Allocations
// must not grow with the subscribers.
func BenchmarkPublish(b *testing.B) {
	for _, subscribers := range []int{0, 1, 1000} {
		b.Run(fmt.Sprintf("subscribers=%d", subscribers), func(b *testing.B) {
			history := enginetest.Generous()
			history.MaxMessagesPerTopic = 1000
			p, err := broker.New(b.Context(), broker.NewMemory(history), defaults())
			if err != nil {
				b.Fatal(err)
			}
			clients := make([]*broker.Client, subscribers)
			for i := range clients {
				clients[i], err = p.AddClient(b.Context(), models.Caller{}, nowhere{}, models.Connection{})
				if err != nil {
					b.Fatal(err)
				}
				if err := p.Subscribe(b.Context(), models.Caller{}, clients[i], []models.Pattern{"a.b"}, models.SubscribeOptions{}, models.Ack{Type: "ack"}); err != nil {
					b.Fatal(err)
				}
			}
			draft := models.Draft{Topic: "a.b", Data: []byte(`{"n":1,"text":"a message of some length"}`)}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Publish(b.Context(), models.Caller{}, draft); err != nil {
					b.Fatal(err)
				}
			}
			// The deliveries that are still under way belong to the figure.
			for _, c := range clients {
				p.RemoveClient(c, models.CloseNormal)
			}
			if err := p.Close(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkPublishToLongPatterns measures what wildcards can cost at worst: a thousand
// patterns of 128 tokens, all of which match the topic.
func BenchmarkPublishToLongPatterns(b *testing.B) {
	const tokens, choices = 128, 10
	options := defaults()
	options.Subscriptions = 1 << choices
	p, err := broker.New(b.Context(), broker.NewMemory(enginetest.Generous()), options)
	if err != nil {
		b.Fatal(err)
	}
	c, err := p.AddClient(b.Context(), models.Caller{}, nowhere{}, models.Connection{})
	if err != nil {
		b.Fatal(err)
	}
	tail := strings.Repeat(".a", tokens-choices)
	var patterns []models.Pattern
	for i := 1; i < 1<<choices; i++ {
		head := make([]string, choices)
		for bit := range head {
			head[bit] = []string{"a", models.AnyToken}[i>>bit&1]
		}
		patterns = append(patterns, models.Pattern(strings.Join(head, ".")+tail))
	}
	if err := p.Subscribe(b.Context(), models.Caller{}, c, patterns, models.SubscribeOptions{}, models.Ack{Type: "ack"}); err != nil {
		b.Fatal(err)
	}
	draft := models.Draft{Topic: models.Topic("a" + strings.Repeat(".a", tokens-1)), Data: []byte("1")}
	for b.Loop() {
		if _, err := p.Publish(b.Context(), models.Caller{}, draft); err != nil {
			b.Fatal(err)
		}
	}
	p.RemoveClient(c, models.CloseNormal)
	if err := p.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// silent is a broker.Sink without subscribers.
type silent struct{}

func (silent) Admit(context.Context, broker.Batch) error { return nil }
func (silent) Deliver(broker.Batch) int                  { return 0 }
func (silent) Dismiss(broker.Batch)                      {}
func (silent) Subscriptions(models.Topic) int            { return 0 }

// benchmarkMemory gives a running engine, its publish and its read, which reads from a
// place that is so many messages behind and gives how many came.
func benchmarkMemory(b *testing.B, history broker.History) (publish func(topic models.Topic), read func(pattern models.Pattern, back uint64) int) {
	b.Helper()
	m := broker.NewMemory(history)
	if err := m.Start(b.Context(), silent{}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := m.Close(); err != nil {
			b.Error(err)
		}
	})
	publish = func(topic models.Topic) {
		// As from a request: topic and data are of this message alone.
		draft := models.Draft{
			Topic: models.Topic(strings.Clone(string(topic))),
			Data:  []byte(`{"n":1,"text":"a message of some length"}`),
		}
		if _, err := m.Publish(b.Context(), draft); err != nil {
			b.Error(err)
		}
	}
	read = func(pattern models.Pattern, back uint64) int {
		end, _ := m.Position(b.Context())
		after := end
		after.Sequence -= min(back, end.Sequence)
		stretch, err := m.Read(b.Context(), broker.Query{Patterns: []models.Pattern{pattern}, After: after, UpTo: end, Limit: 1000})
		if err != nil {
			b.Error(err)
		}
		return len(stretch.Messages)
	}
	return publish, read
}

// BenchmarkLogPublish measures what a publish costs the log, where each removes an older
// message: alone, and while somebody reads as fast as it goes.
func BenchmarkLogPublish(b *testing.B) {
	const topics, each = 1000, 100
	for _, c := range []struct {
		name    string
		topics  int
		pattern models.Pattern
	}{
		{"topics=1", 1, ""},
		{"topics=1000", topics, ""},
		{"topics=1000/beside=topic", topics, "t.7"},
		{"topics=1000/beside=pattern", topics, "t.>"},
	} {
		b.Run(c.name, func(b *testing.B) {
			history := enginetest.Generous()
			history.MaxMessagesPerTopic = each
			publish, read := benchmarkMemory(b, history)
			names := make([]models.Topic, c.topics)
			for i := range names {
				names[i] = models.Topic(fmt.Sprintf("t.%d", i))
			}
			for n := range c.topics * each {
				publish(names[n%len(names)])
			}
			var stop atomic.Bool
			var reads int
			done := make(chan struct{})
			go func() {
				defer close(done)
				for c.pattern != "" && !stop.Load() {
					read(c.pattern, 10_000)
					reads++
				}
			}()
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				publish(names[n%len(names)])
				n++
			}
			stop.Store(true)
			<-done
			if c.pattern != "" {
				b.ReportMetric(float64(reads)/b.Elapsed().Seconds(), "reads/s")
			}
		})
	}
}

// BenchmarkLogRead measures the reading of one stretch.
func BenchmarkLogRead(b *testing.B) {
	const topics, each = 1000, 100
	history := enginetest.Generous()
	publish, read := benchmarkMemory(b, history)
	for n := range topics * each {
		publish(models.Topic(fmt.Sprintf("t.%d", n%topics)))
	}
	for _, c := range []struct {
		pattern models.Pattern
		back    uint64
	}{
		{"t.7", 1000},       // the last message of a topic
		{"t.7", 100_000},    // all hundred of it
		{"*.7", 100_000},    // one topic that has to be found
		{"t.>", 1000},       // the newest of all
		{"t.>", 100_000},    // the oldest of all
		{"none.>", 100_000}, // nothing
	} {
		b.Run(fmt.Sprintf("pattern=%s/back=%d", c.pattern, c.back), func(b *testing.B) {
			b.ReportAllocs()
			messages := 0
			for b.Loop() {
				messages = read(c.pattern, c.back)
			}
			b.ReportMetric(float64(messages), "messages")
		})
	}
}

// BenchmarkMillionTopics fills a log with a million topics of 10 messages each and then
// measures what they take and what publishing and reading cost. It takes some minutes
// and gigabytes, so it runs only if its name is asked for:
//
//	go test -run '^$' -bench MillionTopics -timeout 30m ./broker
func BenchmarkMillionTopics(b *testing.B) {
	const topics, each = 1_000_000, 10
	if !strings.Contains(flag.Lookup("test.bench").Value.String(), "Million") {
		b.Skip("it takes minutes: -bench MillionTopics")
	}
	history := broker.History{MaxMessagesPerTopic: each, MaxAge: 24 * time.Hour, MaxBytes: 1 << 40, IdempotencyWindow: time.Minute}
	publish, read := benchmarkMemory(b, history)
	names := make([]models.Topic, topics)
	for i := range names {
		names[i] = models.Topic(fmt.Sprintf("room.%d.messages", i))
	}
	before := heap()
	start := time.Now()
	for n := range topics * each {
		publish(names[n%topics])
	}
	filled := time.Since(start)
	used := heap() - before
	random := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // a benchmark's chance
	b.Run("fill", func(b *testing.B) {
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(filled.Nanoseconds())/(topics*each), "ns/publish")
		b.ReportMetric(float64(used)/(topics*each), "B/message")
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if n := read(models.Pattern(names[random.IntN(topics)]), topics*each); n != each {
				b.Fatalf("%d messages", n)
			}
		}
	})
	b.Run("read=pattern", func(b *testing.B) {
		for b.Loop() {
			if n := read(models.Pattern(fmt.Sprintf("room.%d.*", random.IntN(topics))), topics*each); n != each {
				b.Fatalf("%d messages", n)
			}
		}
	})
	b.Run("read=all", func(b *testing.B) {
		for b.Loop() {
			read(">", random.Uint64N(topics*each))
		}
	})
	b.Run("publish", func(b *testing.B) {
		for b.Loop() {
			publish(names[random.IntN(topics)])
		}
	})
	b.Run("memory=full", func(b *testing.B) {
		for range topics * each {
			publish(names[random.IntN(topics)])
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(heap()-before)/(topics*each), "B/message")
	})
}

// heap is what is reachable, in bytes.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
