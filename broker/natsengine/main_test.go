package natsengine_test

import (
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/broker/natsengine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
