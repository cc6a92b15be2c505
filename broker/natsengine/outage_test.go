package natsengine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"fanfare/broker/enginetest"
	"fanfare/broker/natsengine"
	"fanfare/broker/natsengine/natstest"
	"fanfare/models"
)

// forever is how long an engine would wait for an answer, if that were all.
const forever = 10 * patience

// started opens an engine on one server of a cluster, and starts it.
func started(t *testing.T, cluster *natstest.Cluster, stream string, server *natstest.Server, wait time.Duration) *natsengine.Engine {
	t.Helper()
	o := clustered(t, cluster, stream, enginetest.Generous())
	o.History.MaxBytes, o.PublishWait = 100<<20, wait
	o.URLs = []string{server.URL()}
	o.Replicas = min(3, len(cluster.URLs()))
	e := open(t, o)
	if err := e.Start(t.Context(), enginetest.NewSink(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func tryPublish(ctx context.Context, e *natsengine.Engine) (models.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return e.Publish(ctx, models.Draft{Topic: "a", Data: []byte(`1`)})
}

func isAway(err error) bool {
	e, ok := errors.AsType[*models.Error](err)
	return ok && e.Code == models.CodeEngineUnavailable
}

// awaitReady waits until an engine is ready, or is not.
func awaitReady(t *testing.T, e *natsengine.Engine, want bool) {
	t.Helper()
	for end := time.Now().Add(patience); (e.Ready(t.Context()) == nil) != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("ready does not become %v", want)
		}
	}
}

// TestNoLeader: who leads a stream no more, or does not know, is not believed what it says of it.
func TestNoLeader(t *testing.T) {
	t.Parallel()
	cluster := natstest.Start(t, 3)
	setUp := clustered(t, cluster, "NOLEADER", enginetest.Generous())
	setUp.History.MaxBytes = 100 << 20
	if err := open(t, setUp).Close(); err != nil {
		t.Fatal(err)
	}
	leader := cluster.Leader("NOLEADER")
	e := started(t, cluster, "NOLEADER", leader, time.Second)
	for i := range 3 {
		if s := cluster.Server(i); s != leader {
			s.Pause()
			defer s.Resume()
		}
	}
	position := func() error {
		_, err := e.Position(t.Context())
		return err
	}
	for end := time.Now().Add(patience); position() == nil; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a server alone still answers")
		}
	}
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if position() == nil {
			t.Fatal("a server alone answers again")
		}
	}
}

// TestAnswersThatDoNotCome: who publishes is told that the log is away when the connection is lost, and
// published again comes to the new leader, however long the engine would wait for the old one.
func TestAnswersThatDoNotCome(t *testing.T) {
	t.Parallel()
	t.Run("the connection is lost", func(t *testing.T) {
		t.Parallel()
		cluster := natstest.Start(t, 1)
		e := started(t, cluster, "LOST", cluster.Server(0), forever)
		cluster.Server(0).Pause()
		if _, err := tryPublish(t.Context(), e); !isAway(err) {
			t.Errorf("%v", err)
		}
		for range 20 {
			begin := time.Now()
			if _, err := tryPublish(t.Context(), e); !isAway(err) {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
			time.Sleep(100 * time.Millisecond)
		}
		cluster.Server(0).Resume()
		awaitReady(t, e, true)
		if _, err := tryPublish(t.Context(), e); err != nil {
			t.Error(err)
		}
	})
	t.Run("the leader is gone", func(t *testing.T) {
		t.Parallel()
		cluster := natstest.Start(t, 3)
		setUp := clustered(t, cluster, "GONE", enginetest.Generous())
		setUp.History.MaxBytes = 100 << 20
		if err := open(t, setUp).Close(); err != nil {
			t.Fatal(err)
		}
		e := started(t, cluster, "GONE", cluster.Follower("GONE"), forever)
		leader := cluster.Leader("GONE")
		leader.Pause()
		defer leader.Resume()
		awaitReady(t, e, false)
		for begin := time.Now(); ; {
			_, err := tryPublish(t.Context(), e)
			if err == nil {
				break
			}
			if !isAway(err) || time.Since(begin) > patience {
				t.Fatalf("%v after %v", err, time.Since(begin))
			}
		}
	})
	t.Run("most servers are gone", func(t *testing.T) {
		t.Parallel()
		cluster := natstest.Start(t, 3)
		setUp := clustered(t, cluster, "FEW", enginetest.Generous())
		setUp.History.MaxBytes = 100 << 20
		if err := open(t, setUp).Close(); err != nil {
			t.Fatal(err)
		}
		leader := cluster.Leader("FEW")
		e := started(t, cluster, "FEW", leader, time.Second)
		for i := range 3 {
			if s := cluster.Server(i); s != leader {
				s.Pause()
				defer s.Resume()
			}
		}
		// The second is one that the leader has, and cannot store.
		for range 2 {
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			_, err := e.Publish(ctx, models.Draft{Topic: "a", Data: []byte(`1`), Key: "k"})
			cancel()
			if !isAway(err) {
				t.Errorf("%v after %v", err, time.Since(begin))
			}
		}
	})
}
