package natsengine_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/broker/natsengine"
	"fanfare/broker/natsengine/natstest"
	"fanfare/models"
)

func TestMain(m *testing.M) {
	natstest.Serve()
	goleak.VerifyTestMain(m)
}

// embedded gives the options of an engine in a directory.
func embedded(t testing.TB, dir string, history broker.History) natsengine.Options {
	t.Helper()
	level := slog.LevelError
	if os.Getenv("FANFARE_DEBUG") != "" {
		level = slog.LevelDebug
	}
	return natsengine.Options{
		History:     history,
		MessageSize: 1 << 20,
		StoreDir:    dir,
		Stream:      "FANFARE",
		Prefix:      "fanfare",
		Replicas:    1,
		PublishWait: 5e9,
		Logger:      slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})),
	}
}

// clustered gives the options of an engine on a cluster of three, whose stream has a name of its own.
func clustered(t testing.TB, cluster *natstest.Cluster, stream string, history broker.History) natsengine.Options {
	t.Helper()
	o := embedded(t, "", history)
	o.URLs, o.Replicas = cluster.URLs(), 3
	o.Stream, o.Prefix = stream, "prefix-"+stream
	return o
}

func open(t testing.TB, options natsengine.Options) *natsengine.Engine {
	t.Helper()
	engine, err := natsengine.New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

func TestEmbedded(t *testing.T) {
	enginetest.Run(t, enginetest.Doubts{Full: true}, func(t *testing.T, history broker.History) broker.Engine {
		return open(t, embedded(t, t.TempDir(), history))
	})
}

func TestClustered(t *testing.T) {
	cluster := natstest.Start(t, 3)
	n := 0
	enginetest.Run(t, enginetest.Doubts{Full: true}, func(t *testing.T, history broker.History) broker.Engine {
		n++
		history.MaxBytes = 100 << 20
		return open(t, clustered(t, cluster, fmt.Sprint("S", n), history))
	})
}

// silent is a broker.Sink without subscribers.
type silent struct{}

func (silent) Admit(context.Context, broker.Batch) error { return nil }
func (silent) Deliver(broker.Batch) int                  { return 0 }
func (silent) Dismiss(broker.Batch)                      {}
func (silent) Subscriptions(models.Topic) int            { return 0 }
