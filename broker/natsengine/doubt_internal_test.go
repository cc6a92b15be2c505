package natsengine

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"fanfare/broker"
	"fanfare/models"
)

// heeder is a sink that keeps what it gets.
type heeder struct{ batches chan broker.Batch }

func (heeder) Admit(context.Context, broker.Batch) error { return nil }
func (heeder) Dismiss(broker.Batch)                      {}
func (heeder) Subscriptions(models.Topic) int            { return 0 }

func (h heeder) Deliver(batch broker.Batch) int {
	h.batches <- batch
	return 0
}

func newDoubted(t *testing.T) (*Engine, heeder, models.ID) {
	t.Helper()
	e, err := New(t.Context(), Options{
		History:     broker.History{MaxMessagesPerTopic: 1000, MaxAge: time.Hour, MaxBytes: 1 << 20, IdempotencyWindow: time.Minute},
		MessageSize: 1000, StoreDir: t.TempDir(), Stream: "S", Prefix: "p", Replicas: 1, PublishWait: time.Minute,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := heeder{make(chan broker.Batch, 100)}
	if err := e.Start(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	var last models.Receipt
	for range 10 {
		if last, err = e.Publish(t.Context(), models.Draft{Topic: "a", Data: []byte(`1`)}); err != nil {
			t.Fatal(err)
		}
	}
	return e, h, last.ID
}

// TestAllRemoved: a follower of which all that is missing was removed tells the gap, and gets on.
func TestAllRemoved(t *testing.T) {
	e, h, last := newDoubted(t)
	if _, err := api[struct{}](t.Context(), e, "STREAM.PURGE.S", nil); err != nil {
		t.Fatal(err)
	}
	e.follower.start(t.Context(), models.ID{Epoch: last.Epoch, Sequence: last.Sequence - 5})
	select {
	case b := <-h.batches:
		if !b.Gap || len(b.Messages) > 0 || b.Reached.Epoch != last.Epoch || b.Reached.Sequence <= last.Sequence {
			t.Errorf("%+v", b)
		}
	case <-time.After(time.Minute):
		t.Error("nothing is delivered")
	}
}

// TestDoubt: that a log has lost its end is not believed of a state that is of the past.
func TestDoubt(t *testing.T) {
	e, _, last := newDoubted(t)
	if err := e.verify(t.Context(), state{epoch: last.Epoch, last: last.Sequence - 1}); err != nil {
		t.Errorf("%v", err)
	}
	if now, err := e.Position(t.Context()); err != nil || now.Epoch != last.Epoch {
		t.Errorf("%v, %v", now, err)
	}
	beyond := models.ID{Epoch: last.Epoch, Sequence: last.Sequence + 100}
	e.delivered.saw(beyond, time.Time{}, "")
	if err := e.verify(t.Context(), state{epoch: last.Epoch, last: last.Sequence}); err == nil {
		t.Error("it has lost nothing")
	}
	if now, err := e.Position(t.Context()); err != nil || now.Epoch == last.Epoch {
		t.Errorf("%v, %v", now, err)
	}
}

func TestClusterInfo(t *testing.T) {
	heard := func(times ...time.Duration) (replicas []replicaInfo) {
		for _, active := range times {
			replicas = append(replicas, replicaInfo{active})
		}
		return replicas
	}
	tests := map[string]struct {
		cluster clusterInfo
		want    error
	}{
		"a server that is alone":      {clusterInfo{}, nil},
		"a stream on one server":      {clusterInfo{Leader: "s"}, nil},
		"all are heard":               {clusterInfo{"s", heard(1, time.Second)}, nil},
		"one is gone":                 {clusterInfo{"s", heard(time.Hour, time.Second)}, nil},
		"both are gone":               {clusterInfo{"s", heard(time.Hour, 4*time.Second)}, errNoLeader},
		"one is gone, one never came": {clusterInfo{"s", heard(0, 4*time.Second)}, errNoLeader},
		"nobody leads":                {clusterInfo{"", heard(1, 1, 1)}, errNoLeader},
		"two of five":                 {clusterInfo{"s", heard(1, time.Hour, time.Hour, time.Hour)}, errNoLeader},
		"three of five":               {clusterInfo{"s", heard(1, 1, time.Hour, time.Hour)}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := tt.cluster.check(); !errors.Is(err, tt.want) {
				t.Errorf("%v", err)
			}
		})
	}
}
