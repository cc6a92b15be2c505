package natsengine_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"fanfare/broker"
	"fanfare/broker/enginetest"
	"fanfare/broker/natsengine"
	"fanfare/broker/natsengine/natstest"
	"fanfare/models"
)

// single gives the options of an engine on a cluster of one.
func single(t testing.TB, cluster *natstest.Cluster) natsengine.Options {
	t.Helper()
	o := clustered(t, cluster, "S", enginetest.Generous())
	o.Replicas, o.History.MaxBytes, o.History.MaxMessagesPerTopic = 1, 10<<20, 100
	return o
}

// TestStreamThatIsThere: what does not fit is explained and left alone, and what has grown is applied.
func TestStreamThatIsThere(t *testing.T) {
	cluster := natstest.Start(t, 1)
	o := single(t, cluster)
	engine := open(t, o)
	if err := engine.Start(t.Context(), silent{}); err != nil {
		t.Fatal(err)
	}
	id := publish(t, engine, models.Draft{Topic: "a", Data: []byte("1")}).ID
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, cluster.URLs()[0])
	request(t, conn, "$JS.API.STREAM.CREATE.FOREIGN", map[string]any{"name": "FOREIGN", "subjects": []string{"foreign.>"}})
	request(t, conn, "$JS.API.STREAM.CREATE.LIKE", map[string]any{
		"name": "LIKE", "subjects": []string{"like.>"}, "retention": "workqueue", "storage": "memory", "max_msgs": 5, "discard": "new", "deny_purge": true,
		"metadata": map[string]string{"fanfare-epoch": "like"},
	})
	cases := map[string]struct {
		change func(o *natsengine.Options)
		want   []string // nothing: it is taken
	}{
		"the same": {func(*natsengine.Options) {}, nil},
		"another prefix": {func(o *natsengine.Options) { o.Prefix = "other" }, []string{
			`its subjects are ["prefix-S.>" "prefix-S-log.>"] and have to be ["other.>" "other-log.>"]: set nats.subject_prefix`,
		}},
		"less of everything": {func(o *natsengine.Options) {
			o.History.MaxMessagesPerTopic, o.History.MaxAge, o.History.MaxBytes = 10, time.Minute, 5<<20
		}, []string{
			"history.max_messages_per_topic is 10, and it was made with 100", "history.max_age is 1m0s, and it was made with 1h0m0s",
			"history.max_bytes is 5242880, and it was made with 10485760", "set nats.apply_limits",
		}},
		"more replicas":  {func(o *natsengine.Options) { o.Replicas = 3 }, []string{"its number of replicas is 1 and has to be 3: set nats.replicas to 1"}},
		"somebody's":     {func(o *natsengine.Options) { o.Stream = "FOREIGN" }, []string{"it is not one that Fanfare has made: choose another name in nats.stream"}},
		"taken subjects": {func(o *natsengine.Options) { o.Stream, o.Prefix = "NEW", "foreign" }, []string{"subjects overlap"}},
		"nothing like it": {func(o *natsengine.Options) { o.Stream, o.Prefix = "LIKE", "like" }, []string{
			"its retention is workqueue", "its discard policy is new", "its storage is memory", "it does not allow direct reads: nats stream edit LIKE --allow-direct",
			"denies purges", "at most 5 messages",
		}},
		"more of everything": {func(o *natsengine.Options) {
			o.History.MaxMessagesPerTopic, o.History.MaxAge, o.History.MaxBytes = 1000, 2*time.Hour, 20<<20
		}, nil},
	}
	for _, name := range []string{
		"the same", "another prefix", "less of everything", "more replicas", "somebody's", "taken subjects", "nothing like it", "more of everything",
	} {
		c := cases[name]
		t.Run(name, func(t *testing.T) {
			o := o
			c.change(&o)
			engine, err := natsengine.New(t.Context(), o)
			if err == nil {
				if err := engine.Close(); err != nil {
					t.Error(err)
				}
			}
			for _, want := range c.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
			if len(c.want) == 0 && err != nil {
				t.Error(err)
			}
		})
	}
	o.History.MaxMessagesPerTopic, o.ApplyLimits = 50, true
	engine = start(t, o)
	answer := request(t, conn, "$JS.API.STREAM.INFO.S", nil)
	if !strings.Contains(answer, `"max_msgs_per_subject":50`) || !strings.Contains(answer, `"max_bytes":10485760`) {
		t.Errorf("the limits were not applied: %s", answer)
	}
	stretch, err := engine.Read(t.Context(), broker.Query{Patterns: []models.Pattern{"a"}, After: models.ID{Epoch: id.Epoch}, UpTo: id, Limit: 10})
	if err != nil || len(stretch.Messages) != 1 || stretch.Messages[0].ID != id {
		t.Errorf("after all that: %+v, %v", stretch, err)
	}
}

// TestNothingToConnectTo is said, within the time that the caller has.
func TestNothingToConnectTo(t *testing.T) {
	cluster := natstest.Start(t, 1)
	cluster.Server(0).Kill()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if engine, err := natsengine.New(ctx, single(t, cluster)); err == nil || !strings.Contains(err.Error(), "cannot connect to NATS") {
		t.Errorf("%v, %v", engine, err)
	}
}

// TestServerThatComesLater: the start waits for it.
func TestServerThatComesLater(t *testing.T) {
	cluster := natstest.Start(t, 1)
	cluster.Server(0).Kill()
	opened := make(chan error)
	var engine *natsengine.Engine
	go func() {
		var err error
		engine, err = natsengine.New(t.Context(), single(t, cluster))
		opened <- err
	}()
	cluster.Server(0).Start()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	if err := engine.Close(); err != nil {
		t.Error(err)
	}
}

// TestAway: while the server is away publishes fail at once, and so do questions; when it is back, all goes on
// with nothing missing.
func TestAway(t *testing.T) {
	cluster := natstest.Start(t, 1)
	o := single(t, cluster)
	engine := open(t, o)
	sink := enginetest.NewSink(t)
	if err := engine.Start(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := engine.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := publish(t, engine, models.Draft{Topic: "a", Data: []byte("1")}).ID
	for range 2 {
		cluster.Server(0).Kill()
		until(t, "not ready", func() bool { return engine.Ready(t.Context()) != nil })
		receipt, err := engine.Publish(t.Context(), models.Draft{Topic: "a", Data: []byte("2")})
		if models.AsError(err).Code != models.CodeEngineUnavailable {
			t.Errorf("%+v, %v", receipt, err)
		}
		for what, ask := range map[string]func() error{
			"position": func() error { _, err := engine.Position(t.Context()); return err },
			"read": func() error {
				_, err := engine.Read(t.Context(), broker.Query{Patterns: []models.Pattern{"a"}, UpTo: before, Limit: 1})
				return err
			},
			"tail": func() error { _, err := engine.Tail(t.Context(), []models.Pattern{"a"}, before, 1); return err },
			"topics": func() error {
				_, err := engine.Topics(t.Context(), models.TopicFilter{Page: models.Page{Limit: 1}})
				return err
			},
			"purge": func() error { return engine.Purge(t.Context(), "a") },
		} {
			if err := ask(); models.AsError(err).Code != models.CodeEngineUnavailable {
				t.Errorf("%s: %v", what, err)
			}
		}
		cluster.Server(0).Start()
		until(t, "ready", func() bool { return engine.Ready(t.Context()) == nil })
	}
	after := publish(t, engine, models.Draft{Topic: "a", Data: []byte("3")}).ID
	if got := sink.Await(2); len(got) != 2 || got[0].ID != before || got[1].ID != after || after.Epoch != before.Epoch {
		t.Errorf("%v after %v and %v", got, before, after)
	}
}

// until waits for something to become so.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it is never %s", what)
		}
	}
}

// TestStreamIsMadeAnew by somebody who has removed it: another epoch, whose messages are delivered from the
// first, and old places are not known.
func TestStreamIsMadeAnew(t *testing.T) {
	cluster := natstest.Start(t, 1)
	o := single(t, cluster)
	engine, sink, _ := follow(t, o)
	old := publish(t, engine, models.Draft{Topic: "a", Data: []byte("1")}).ID
	sink.want(t, old)
	conn := connect(t, cluster.URLs()[0])
	request(t, conn, "$JS.API.STREAM.DELETE.S", nil)
	var fresh models.ID
	until(t, "another log", func() bool {
		receipt, err := engine.Publish(t.Context(), models.Draft{Topic: "a", Data: []byte("2")})
		fresh = receipt.ID
		return err == nil && fresh.Epoch != old.Epoch
	})
	sink.want(t, fresh)
	stretch, err := engine.Read(t.Context(), broker.Query{Patterns: []models.Pattern{"a"}, After: old, UpTo: fresh, Limit: 10})
	if err != nil || stretch.Follows(old) {
		t.Errorf("%+v, %v", stretch, err)
	}
}

// TestStreamLosesItsEnd: the places that it is about to give again are of another epoch.
func TestStreamLosesItsEnd(t *testing.T) {
	cluster := natstest.Start(t, 1)
	o := single(t, cluster)
	engine, sink, _ := follow(t, o)
	sink.want(t, publish(t, engine, models.Draft{Topic: "a", Data: []byte("1")}).ID)
	cluster.Server(0).Kill()
	saved := cluster.Server(0).Save()
	cluster.Server(0).Start()
	until(t, "ready", func() bool { return engine.Ready(t.Context()) == nil })
	var last models.ID
	for range 10 {
		last = publish(t, engine, models.Draft{Topic: "a", Data: []byte("2")}).ID
	}
	sink.want(t, last)
	cluster.Server(0).Kill()
	cluster.Server(0).Restore(saved)
	cluster.Server(0).Start()
	var fresh models.ID
	until(t, "another log", func() bool {
		receipt, err := engine.Publish(t.Context(), models.Draft{Topic: "a", Data: []byte("3")})
		fresh = receipt.ID
		return err == nil && fresh.Epoch != last.Epoch
	})
	sink.want(t, fresh)
}

// TestRefusedForAWhile: servers that have refused the node let it in again without its being restarted.
func TestRefusedForAWhile(t *testing.T) {
	cluster := natstest.Start(t, 1)
	server := cluster.Server(0)
	engine := start(t, single(t, cluster))
	server.Kill()
	server.Ask("something else")
	server.Start()
	time.Sleep(3 * time.Second) // more than two attempts to connect
	server.Kill()
	server.Ask("")
	server.Start()
	awaitReady(t, engine, true)
}

// TestServerThatStalls: one that takes nothing any more, and is still connected, keeps nobody waiting for long.
func TestServerThatStalls(t *testing.T) {
	cluster := natstest.Start(t, 1)
	server := cluster.Server(0)
	engine := start(t, single(t, cluster))
	server.Pause()
	defer server.Resume()
	big := []byte(`"` + strings.Repeat("x", 800<<10) + `"`)
	var publishing sync.WaitGroup
	for range 16 {
		publishing.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience/2) // nats.go would wait for a minute
			defer cancel()
			if _, err := engine.Publish(ctx, models.Draft{Topic: "a", Data: big}); models.AsError(err).Code != models.CodeEngineUnavailable || ctx.Err() != nil {
				t.Errorf("a publish: %v, %v", err, ctx.Err())
			}
		})
	}
	time.Sleep(100 * time.Millisecond)
	_ = engine.Ready(t.Context())
	publishing.Wait()
}
