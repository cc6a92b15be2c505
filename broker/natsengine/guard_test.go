package natsengine_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/broker/natsengine"
	"fanfare/models"
)

// patience bounds what a test waits for; it only runs out when something is broken.
const patience = time.Minute

func await(t *testing.T, isSo func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !isSo(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("it does not come to that")
		}
	}
}

// rig is an engine that is followed, and how much is free on its disk.
type rig struct {
	*natsengine.Engine
	t     *testing.T
	sink  *enginetest.Sink
	space *atomic.Uint64
}

const roomy = 1 << 40

// startRig opens an engine on a disk with some bytes free. It is closed at the end of the test, unless it was before.
func startRig(t *testing.T, options natsengine.Options, space uint64) rig {
	t.Helper()
	r := rig{t: t, sink: enginetest.NewSink(t), space: new(atomic.Uint64)}
	r.space.Store(space)
	r.Engine = open(t, natsengine.WithSpace(options, r.space.Load))
	if err := r.Start(t.Context(), r.sink); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r rig) stop() {
	r.t.Helper()
	if err := r.Close(); err != nil {
		r.t.Error(err)
	}
}

func (r rig) publish(data string) (models.Receipt, error) {
	return r.Publish(r.t.Context(), models.Draft{Topic: "a", Data: []byte(data)})
}

func (r rig) mustPublish(data string) models.ID {
	r.t.Helper()
	receipt, err := r.publish(data)
	if err != nil {
		r.t.Fatal(err)
	}
	return receipt.ID
}

// history gives the data of what the log has of the topic.
func (r rig) history() (data []string) {
	r.t.Helper()
	end, err := r.Position(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	stretch, err := r.Read(r.t.Context(), broker.Query{Patterns: []models.Pattern{"a"}, UpTo: end, Limit: 100})
	if err != nil {
		r.t.Fatal(err)
	}
	for _, m := range stretch.Messages {
		data = append(data, string(m.Data))
	}
	return data
}

// awaitDelivery waits for the data that were delivered of the topic, so far.
func (r rig) awaitDelivery(want ...string) {
	r.t.Helper()
	await(r.t, func() bool {
		var got []string
		for _, m := range r.sink.Await(0) {
			if m.Topic == "a" {
				got = append(got, string(m.Data))
			}
		}
		return slices.Equal(got, want)
	})
}

// refuses tells whether publishes are refused at once, and readiness with them.
func (r rig) refuses(message string) bool {
	r.t.Helper()
	begin := time.Now()
	_, err := r.Publish(r.t.Context(), models.Draft{Topic: "trial", Data: []byte("0")})
	if err == nil || time.Since(begin) > 4*time.Second {
		return false
	}
	want := models.Error{Code: models.CodeEngineUnavailable, Message: message, RetryAfter: time.Second}
	if diff := cmp.Diff(want, *models.AsError(err)); diff != "" {
		return false
	}
	return models.AsError(r.Ready(r.t.Context())).Message == message
}

// TestFullDisk: publishers are told, others too, who reads and listens goes on, and with room again
// everything does.
func TestFullDisk(t *testing.T) {
	options := embedded(t, t.TempDir(), enginetest.Generous())
	options.Listen, options.Logger = "127.0.0.1:0", quiet()
	r := startRig(t, options, roomy)
	defer r.stop()
	guest := connect(t, r.GuestURL())
	r.mustPublish("1")
	if _, err := r.Publish(t.Context(), models.Draft{Topic: "old", Data: []byte("1")}); err != nil {
		t.Fatal(err)
	}

	r.space.Store(natsengine.DiskReserve - 1)
	await(t, func() bool { return r.refuses("the disk of the log is full") })
	if answer, err := guest.Request("fanfare.a", []byte("2"), patience); err != nil || !isRefusal(answer.Data) {
		t.Errorf("another client is answered %s, %v", answer.Data, err)
	}
	if diff := cmp.Diff([]string{"1"}, r.history()); diff != "" {
		t.Errorf("the history (-want +got):\n%s", diff)
	}
	r.Rest()
	if _, err := r.Follow(t.Context()); err != nil {
		t.Error(err)
	}
	if err := r.Purge(t.Context(), "old"); err != nil {
		t.Errorf("a purge would make room: %v", err)
	}
	if topics, err := r.Topics(t.Context(), models.TopicFilter{Pattern: "old", Page: models.Page{Limit: 10}}); err != nil || len(topics) > 0 {
		t.Errorf("after the purge: %+v, %v", topics, err)
	}
	if !r.refuses("the disk of the log is full") {
		t.Error("after the purge it takes messages")
	}

	r.space.Store(roomy)
	await(t, func() bool { return r.Ready(t.Context()) == nil })
	r.mustPublish("3")
	if answer, err := guest.Request("fanfare.a", []byte("4"), patience); err != nil || isRefusal(answer.Data) {
		t.Errorf("another client is answered %s, %v", answer.Data, err)
	}
	if diff := cmp.Diff([]string{"1", "3", "4"}, r.history()); diff != "" {
		t.Errorf("the history (-want +got):\n%s", diff)
	}
	r.awaitDelivery("1", "3", "4")
}

func TestStartOnFullDisk(t *testing.T) {
	options := embedded(t, t.TempDir(), enginetest.Generous())
	r := startRig(t, options, roomy)
	first := r.mustPublish("1")
	r.stop()

	options.Logger = quiet()
	r = startRig(t, options, 0)
	defer r.stop()
	if !r.refuses("the disk of the log is full") {
		t.Error("it takes messages, or does not say why not")
	}
	if diff := cmp.Diff([]string{"1"}, r.history()); diff != "" {
		t.Errorf("the history (-want +got):\n%s", diff)
	}
	r.space.Store(roomy)
	await(t, func() bool { return r.Ready(t.Context()) == nil })
	if id := r.mustPublish("2"); id.Epoch != first.Epoch {
		t.Errorf("%v comes after %v", id, first)
	}
	r.awaitDelivery("2")
}

// TestOtherStreams: what else there is in the store, whatever its state, does not matter.
func TestOtherStreams(t *testing.T) {
	options := embedded(t, t.TempDir(), enginetest.Generous())
	var log bytes.Buffer
	options.Logger = slog.New(slog.NewTextHandler(&log, nil))
	other := filepath.Join(options.StoreDir, "nats", "jetstream", "$G", "streams", "OTHER")
	if err := os.MkdirAll(other, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"meta.inf", "meta.sum"} {
		if err := os.WriteFile(filepath.Join(other, name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := startRig(t, options, roomy)
	r.mustPublish("1")
	if err := r.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	r.stop()
	if strings.Contains(log.String(), "publishes_refused") {
		t.Errorf("it does matter:\n%s", &log)
	}
}

// TestReserve: the reserve is left, however much is published at once.
func TestReserve(t *testing.T) {
	const publishers, size, room = 64, 1 << 20, 32 << 20
	options := embedded(t, t.TempDir(), enginetest.Generous())
	options.MessageSize, options.Logger = 2*size, quiet()
	engine := open(t, natsengine.WithSpace(options, func() uint64 {
		return natsengine.DiskReserve + room - min(sizeOf(t, options.StoreDir), natsengine.DiskReserve+room)
	}))
	defer engine.Close() //nolint:errcheck // it is not about that
	if err := engine.Start(t.Context(), enginetest.NewSink(t)); err != nil {
		t.Fatal(err)
	}
	data := fmt.Appendf(nil, "%q", make([]byte, size/4)) // "\x00\x00..."
	var publishing sync.WaitGroup
	for i := range publishers {
		publishing.Go(func() {
			for {
				_, err := engine.Publish(context.WithoutCancel(t.Context()), models.Draft{Topic: models.Topic(fmt.Sprint("t", i)), Data: data})
				if err != nil {
					return
				}
			}
		})
	}
	publishing.Wait()
	if got := sizeOf(t, options.StoreDir); got > room || got < room/4 {
		t.Errorf("%d bytes were written, there was room for %d", got, room)
	}
}

func sizeOf(t *testing.T, dir string) (bytes uint64) {
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if info, err := entry.Info(); err == nil {
			bytes += uint64(info.Size()) //nolint:gosec // it is not negative
		}
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	return bytes
}

// isRefusal tells whether JetStream's answer to a message is an error.
func isRefusal(answer []byte) bool { return bytes.Contains(answer, []byte(`"error"`)) }

// quiet is for engines that have something to complain of.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestListenTaken: a server whose address is somebody else's says so, and ends.
func TestListenTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // nothing was sent
	options := embedded(t, t.TempDir(), enginetest.Generous())
	options.Listen, options.Logger = taken.Addr().String(), quiet()
	if _, err := natsengine.New(t.Context(), options); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("the address is somebody else's: %v", err)
	}
}
