package natsengine

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"fanfare/models"
)

// metadataEpoch is where the stream keeps its epoch, metadataBegin the sequence behind which that begins, and
// metadataRaised the last one before a topic might have more messages than until then.
const (
	metadataEpoch  = "fanfare-epoch"
	metadataBegin  = "fanfare-epoch-begin"
	metadataRaised = "fanfare-raised"
)

// minWindow is the shortest window for duplicates that JetStream has.
const minWindow = 100 * time.Millisecond

// streamConfig is the part of a stream's configuration that is ours.
type streamConfig struct {
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Subjects    []string          `json:"subjects"`
	Retention   string            `json:"retention"`
	Discard     string            `json:"discard"`
	Storage     string            `json:"storage"`
	Replicas    int               `json:"num_replicas"`
	MaxPerTopic int64             `json:"max_msgs_per_subject"`
	MaxMessages int64             `json:"max_msgs"`
	MaxAge      time.Duration     `json:"max_age"`
	MaxBytes    int64             `json:"max_bytes"`
	Window      time.Duration     `json:"duplicate_window"`
	AllowDirect bool              `json:"allow_direct"`
	Sealed      bool              `json:"sealed,omitempty"`
	DenyPurge   bool              `json:"deny_purge,omitempty"`
	NoAck       bool              `json:"no_ack,omitempty"`
	TTL         bool              `json:"allow_msg_ttl,omitempty"`
	Rollup      bool              `json:"allow_rollup_hdrs,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Mirror      json.RawMessage   `json:"mirror,omitempty"`
	Sources     json.RawMessage   `json:"sources,omitempty"`
	Transform   json.RawMessage   `json:"subject_transform,omitempty"`
}

// wantedStream is what the options ask for.
func (o Options) wantedStream() streamConfig {
	return streamConfig{
		Name:        o.Stream,
		Description: "the log of Fanfare",
		Subjects:    []string{o.Prefix + ".>", o.Prefix + "-log.>"},
		Retention:   "limits",
		Discard:     "old",
		Storage:     "file",
		Replicas:    o.Replicas,
		MaxPerTopic: int64(o.History.MaxMessagesPerTopic),
		MaxMessages: -1,
		MaxAge:      o.History.MaxAge,
		MaxBytes:    o.History.MaxBytes,
		Window:      o.window(),
		AllowDirect: true,
	}
}

// window is for how long JetStream knows a message again: no longer than it keeps one.
func (o Options) window() time.Duration {
	return min(max(o.History.IdempotencyWindow, minWindow), o.History.MaxAge)
}

// prepareStream sees to it that the stream is there and is what the options ask for. A bound that has grown
// is applied; nothing is done that removes messages, unless the options say so.
func (e *Engine) prepareStream(ctx context.Context) error {
	want := e.options.wantedStream()
	info, err := api[streamInfo](ctx, e, "STREAM.INFO."+want.Name, nil)
	if isCode(err, errCodeNoStream) {
		info, err = e.createStream(ctx, want)
	}
	if err != nil {
		return err
	}
	have := info.Config
	if mistakes := compareStreams(have, want, e.options.ApplyLimits, e.options.embedded()); len(mistakes) > 0 {
		return fmt.Errorf("the stream %s is not as this server needs it, and nothing was changed:\n%w", want.Name, errors.Join(mistakes...))
	}
	if have.MaxPerTopic != want.MaxPerTopic || have.MaxAge != want.MaxAge || have.MaxBytes != want.MaxBytes || have.Window != want.Window {
		return e.applyLimits(ctx, have, want)
	}
	return nil
}

// applyLimits gives the stream the bounds that are wanted. A topic that was full is so no more when it may have more
// messages: where the log was by then is remembered.
func (e *Engine) applyLimits(ctx context.Context, have, want streamConfig) error {
	e.options.Logger.Info("stream_updated", "stream", want.Name)
	change := map[string]any{
		"max_msgs_per_subject": want.MaxPerTopic, "max_age": want.MaxAge, "max_bytes": want.MaxBytes, "duplicate_window": want.Window,
	}
	if bound(want.MaxPerTopic) <= bound(have.MaxPerTopic) {
		return e.updateStream(ctx, change)
	}
	for range 2 { // what was published during the first may have removed something, too
		s, err := e.state(ctx, "")
		if err != nil {
			return err
		}
		metadata := maps.Clone(have.Metadata)
		metadata[metadataRaised] = strconv.FormatUint(s.last, 10)
		change["metadata"] = metadata
		if err := e.updateStream(ctx, change); err != nil {
			return err
		}
	}
	return nil
}

// createStream makes the stream, with an epoch of its own, unless another node has just done so.
func (e *Engine) createStream(ctx context.Context, want streamConfig) (streamInfo, error) {
	want.Metadata = map[string]string{metadataEpoch: newEpoch()}
	info, err := api[streamInfo](ctx, e, "STREAM.CREATE."+want.Name, want)
	if err == nil {
		e.options.Logger.Info("stream_created", "stream", want.Name, "epoch", want.Metadata[metadataEpoch])
	}
	if isCode(err, errCodeStreamInUse) {
		return api[streamInfo](ctx, e, "STREAM.INFO."+want.Name, nil)
	}
	return info, err
}

// updateStream changes some of the stream's configuration.
func (e *Engine) updateStream(ctx context.Context, change map[string]any) error {
	info, err := api[struct {
		Config map[string]any `json:"config"`
	}](ctx, e, "STREAM.INFO."+e.options.Stream, nil)
	if err != nil {
		return err
	}
	for key, value := range change {
		info.Config[key] = value
	}
	_, err = api[struct{}](ctx, e, "STREAM.UPDATE."+e.options.Stream, info.Config)
	return err
}

// beginEpoch gives the log a new epoch in place of one: what has that is not the log any more.
func (e *Engine) beginEpoch(ctx context.Context, old string, why string) error {
	info, err := api[streamInfo](ctx, e, "STREAM.INFO."+e.options.Stream, nil)
	if err = cmp.Or(err, info.Cluster.check()); err != nil {
		return err
	}
	if info.Config.Metadata[metadataEpoch] != old {
		return nil // another node was first
	}
	epoch := newEpoch()
	metadata := info.Config.Metadata
	metadata[metadataEpoch], metadata[metadataBegin] = epoch, strconv.FormatUint(info.State.Last, 10)
	e.options.Logger.Warn("new_epoch", "stream", e.options.Stream, "old", old, "new", epoch, "reason", why)
	return e.updateStream(ctx, map[string]any{"metadata": metadata})
}

func newEpoch() string { return strings.ToLower(rand.Text()[:8]) }

// compareStreams says what is wrong with a stream that is there, and what to change.
func compareStreams(have, want streamConfig, applyLimits, embedded bool) (mistakes []error) {
	mistake := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	if have.Metadata[metadataEpoch] == "" {
		mistake("it is not one that Fanfare has made: choose another name in nats.stream")
		return mistakes
	}
	if len(have.Mirror) > 0 || len(have.Sources) > 0 || len(have.Transform) > 0 {
		mistake("it takes messages from other streams, or changes subjects: it has to be one by itself")
	}
	if !slices.Equal(slices.Sorted(slices.Values(have.Subjects)), slices.Sorted(slices.Values(want.Subjects))) {
		mistake("its subjects are %q and have to be %q: set nats.subject_prefix to the prefix that it was made with, or choose another name in nats.stream",
			have.Subjects, want.Subjects)
	}
	fixed := func(name, have, want, how string) {
		if have != want {
			mistake("its %s is %s and has to be %s: %s", name, have, want, how)
		}
	}
	edit := "nats stream edit " + want.Name
	fixed("retention", have.Retention, want.Retention, "choose another name in nats.stream")
	fixed("discard policy", have.Discard, want.Discard, edit+" --discard=old")
	fixed("storage", have.Storage, want.Storage, "choose another name in nats.stream")
	if !embedded {
		fixed("number of replicas", fmt.Sprint(have.Replicas), fmt.Sprint(want.Replicas),
			fmt.Sprintf("set nats.replicas to %d, or change it: %s --replicas=%d", have.Replicas, edit, want.Replicas))
	}
	if !have.AllowDirect {
		mistake("it does not allow direct reads: %s --allow-direct", edit)
	}
	if have.Sealed || have.DenyPurge {
		mistake("it is sealed, or denies purges, which cannot be changed: choose another name in nats.stream")
	}
	if have.NoAck || have.TTL || have.Rollup {
		mistake("it does not acknowledge, or lets messages say when they are removed, or what they replace: choose another name in nats.stream")
	}
	if have.MaxMessages > 0 {
		mistake("it has at most %d messages in all, and must have no such bound: %s --max-msgs=-1", have.MaxMessages, edit)
	}
	shrinks := func(key string, have, want any) {
		mistake("%s is %v, and it was made with %v: to shrink it removes messages; set nats.apply_limits to do so, or %s to what it was", key, want, have, key)
	}
	if applyLimits {
		return mistakes
	}
	if bound(have.MaxPerTopic) > bound(want.MaxPerTopic) {
		shrinks("history.max_messages_per_topic", have.MaxPerTopic, want.MaxPerTopic)
	}
	if bound(int64(have.MaxAge)) > bound(int64(want.MaxAge)) {
		shrinks("history.max_age", have.MaxAge, want.MaxAge)
	}
	if bound(have.MaxBytes) > bound(want.MaxBytes) {
		shrinks("history.max_bytes", have.MaxBytes, want.MaxBytes)
	}
	return mistakes
}

// bound orders JetStream's bounds, where 0 and less is none.
func bound(n int64) uint64 { return uint64(n) - 1 } //nolint:gosec // none becomes the largest

// purgeMark is what the purge of a topic leaves in the log.
type purgeMark struct {
	// Last is the sequence of the last message that it may have removed.
	Last uint64 `json:"last"`
}

// read tells whether a payload is one.
func (m *purgeMark) read(payload []byte) bool { return json.Unmarshal(payload, m) == nil }

// Purge implements broker.Engine.
func (e *Engine) Purge(ctx context.Context, topic models.Topic) error {
	subject := e.codec.prefix + string(topic)
	last, err := e.lastOf(ctx, subject)
	if err != nil || last == 0 {
		return e.unavailable("purge", err)
	}
	mark, err := json.Marshal(purgeMark{last})
	if err != nil {
		return err
	}
	// The mark comes first: if this ends in between, it says too much, and not too little.
	if err := e.guard.makeWay(func() error {
		_, err := e.send(ctx, e.conn, e.note("purge."+string(topic), mark, nil))
		return err
	}); err != nil {
		return e.unavailable("purge", err)
	}
	_, err = api[struct{}](ctx, e, "STREAM.PURGE."+e.options.Stream, map[string]any{"filter": subject, "seq": last + 1})
	return e.unavailable("purge", err)
}
