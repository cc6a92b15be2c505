package natsengine_test

import (
	"sync/atomic"
	"testing"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/models"
)

// counting is a broker.Sink that counts.
type counting struct {
	silent
	messages *atomic.Int64
	done     func(int64)
}

func (c counting) Deliver(batch broker.Batch) int {
	c.done(c.messages.Add(int64(len(batch.Messages))))
	return 0
}

func draft() models.Draft {
	return models.Draft{Topic: "news.eu.sport", Data: []byte(`{"text":"some hundred bytes of text, which is what many messages are like, at least in benchmarks"}`), From: "ada"}
}

// BenchmarkPublish publishes to an embedded log that nobody follows.
func BenchmarkPublish(b *testing.B) {
	engine := start(b, embedded(b, b.TempDir(), enginetest.Generous()))
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			publish(b, engine, draft())
		}
	})
}

// BenchmarkFollow takes what is in an embedded log.
func BenchmarkFollow(b *testing.B) {
	o := embedded(b, b.TempDir(), enginetest.Generous())
	engine := open(b, o)
	var messages atomic.Int64
	all := make(chan struct{})
	sink := counting{messages: &messages, done: func(n int64) {
		if n == int64(b.N) {
			close(all)
		}
	}}
	if err := engine.Start(b.Context(), sink); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = engine.Close() })
	position, err := engine.Position(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		publish(b, engine, draft())
	}
	b.ReportAllocs()
	b.ResetTimer()
	engine.FollowFrom(position)
	<-all
}

// BenchmarkRead reads pages of 128 from a log of 10,000 messages.
func BenchmarkRead(b *testing.B) {
	engine := start(b, embedded(b, b.TempDir(), enginetest.Generous()))
	position, err := engine.Position(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for range 10_000 {
		publish(b, engine, draft())
	}
	b.ReportAllocs()
	for b.Loop() {
		_, err := engine.Read(b.Context(), broker.Query{
			Patterns: []models.Pattern{"news.>"}, After: position, UpTo: models.ID{Epoch: position.Epoch, Sequence: 1 << 40}, Limit: 128,
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
