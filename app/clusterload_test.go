//go:build unix

package app_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"fanfare/models"
)

const (
	// loadPublishers is how many publish at each node, and loadPace how long each rests between two messages.
	loadPublishers = 3
	loadPace       = 25 * time.Millisecond
	// restlessness is how long a restless listener stays; twice as long as before if it has heard nothing.
	restlessness = 300 * time.Millisecond
	// loadRetry is how long a client waits that was refused.
	loadRetry = 50 * time.Millisecond
	// markTopic is that of messages beside those of the publishers, and endTopic that of a load's last one.
	markTopic = "load.0.mark"
	endTopic  = "load.end"
)

// load is publishers and listeners on two nodes, and what they have seen.
type load struct {
	t     *testing.T
	nodes *nodes
	begin models.ID

	publishers []*loadPublisher
	listeners  []*loadListener
	ctx        context.Context //nolint:containedctx // it is the load's own life
	stop       context.CancelFunc
	publishing sync.WaitGroup
	listening  sync.WaitGroup
}

// loadPublisher publishes numbered messages to a topic of its own, each again and again with the same key
// until it is answered.
type loadPublisher struct {
	name  string
	node  int
	topic string
	// answered counts, refused too.
	answered, refused atomic.Int64
	pause             pause
	// Owned by its goroutine until that has ended.
	receipts []models.Receipt
}

// loadListener listens, and comes back with the last id that it has had.
type loadListener struct {
	name      string
	node      int
	transport string
	topics    []string
	// steady tells that it must never be disconnected, and restless that it leaves by itself now and then.
	steady, restless bool
	pause            pause
	last             atomic.Uint64
	// Owned by its goroutine until that has ended. resumed counts how often it had to come back, and turnedAway how
	// often it could not.
	heard               []listened
	resumed, turnedAway int
	mistakes            []string
}

// pause is the longest time between two events. Its methods may be called concurrently.
type pause struct {
	mu      sync.Mutex
	last    time.Time
	longest time.Duration
}

func (p *pause) event() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); p.last.IsZero() {
		p.last = now
	} else {
		p.longest, p.last = max(p.longest, now.Sub(p.last)), now
	}
}

func (p *pause) get() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.longest
}

// startLoad begins. At a node that is to be killed nobody can be steady. There may be more listeners.
func startLoad(t *testing.T, n *nodes, mortal bool, more ...*loadListener) *load {
	t.Helper()
	l := &load{t: t, nodes: n}
	l.ctx, l.stop = context.WithCancel(t.Context())
	l.begin = n.near(0).publish("begin", "0", "application/json").ID
	var topics []string
	for node := range n.count() {
		for i := range loadPublishers {
			name := fmt.Sprintf("%d.%d", node, i)
			l.publishers = append(l.publishers, &loadPublisher{name: name, node: node, topic: "load." + name})
			topics = append(topics, "load."+name)
		}
	}
	topics = append(topics, markTopic, endTopic)
	for node := range n.count() {
		if !mortal {
			l.listeners = append(l.listeners, &loadListener{transport: "websocket", topics: []string{"load.>"}, node: node, steady: true})
		}
		l.listeners = append(l.listeners,
			&loadListener{transport: "websocket", topics: []string{"load.>"}, node: node},
			&loadListener{transport: "websocket", topics: topics, node: node},
			&loadListener{transport: "sse", topics: []string{"load.*.*", endTopic}, node: node},
			&loadListener{transport: "ndjson", topics: topics, node: node},
			&loadListener{transport: "sse", topics: []string{"load.0.*", endTopic}, node: node},
			&loadListener{transport: "websocket", topics: topics, node: node, restless: true},
			&loadListener{transport: "sse", topics: []string{"load.>"}, node: node, restless: true},
		)
	}
	l.listeners = append(l.listeners, more...)
	for i, listener := range l.listeners {
		listener.name = fmt.Sprintf("listener %d (%s at node %d, steady %v, restless %v)",
			i, listener.transport, listener.node, listener.steady, listener.restless)
		l.listening.Go(func() { l.listen(listener) })
	}
	for _, publisher := range l.publishers {
		l.publishing.Go(func() { l.publish(publisher) })
	}
	t.Cleanup(func() { // if the test has failed before finish
		l.stop()
		l.publishing.Wait()
		l.listening.Wait()
	})
	return l
}

func (l *load) publish(p *loadPublisher) {
	for n := 0; l.ctx.Err() == nil; n++ {
		for {
			receipt, err := l.offer(p, n)
			if err == nil {
				p.receipts = append(p.receipts, receipt)
				p.pause.event()
				p.answered.Add(1)
				break
			}
			if l.t.Context().Err() != nil {
				return
			}
			p.refused.Add(1)
			time.Sleep(loadRetry)
		}
		time.Sleep(loadPace)
	}
}

// offer publishes once. An error means that it is to be tried again.
func (l *load) offer(p *loadPublisher, n int) (receipt models.Receipt, err error) {
	s := l.nodes.near(p.node)
	body, _ := json.Marshal(numbered{p.name, n})
	request, err := http.NewRequestWithContext(l.t.Context(), http.MethodPost, s.url("http")+"/topics/"+p.topic+"/publish", bytes.NewReader(body))
	if err != nil {
		return receipt, err
	}
	request.Header.Set("Content-Type", "application/json")
	// In this spelling net/http does not know it, and does not repeat by itself what has failed.
	request.Header["idempotency-key"] = []string{fmt.Sprint(l.begin, n)}
	response, err := s.client.Do(request)
	if err != nil {
		return receipt, err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return receipt, err
	}
	if response.StatusCode == http.StatusOK {
		return receipt, json.Unmarshal(text, &receipt)
	}
	var problem models.Problem
	_ = json.Unmarshal(text, &problem)
	if problem.Code != models.CodeEngineUnavailable && problem.Code != models.CodeShuttingDown {
		l.t.Errorf("publisher %s, message %d: %s: %s", p.name, n, response.Status, text)
	}
	return receipt, errors.New(response.Status)
}

// numbered is what a message says.
type numbered struct {
	Publisher string `json:"p"`
	N         int    `json:"n"`
}

// listen listens until the end, and comes back whenever it is disconnected.
func (l *load) listen(listener *loadListener) {
	cursor, stay := l.begin, restlessness
	for l.t.Context().Err() == nil {
		s := l.nodes.near(listener.node)
		connection, err := s.transports()[listener.transport](listener.topics, cursor.String())
		if err != nil {
			listener.turnedAway++
			time.Sleep(loadRetry)
			continue
		}
		leave := func() bool { return true }
		if listener.restless {
			leave = time.AfterFunc(stay, connection.close).Stop
		}
		before := cursor
		over := context.AfterFunc(l.t.Context(), connection.close)
		done := listener.take(connection, &cursor)
		if stay = min(2*stay, patience); cursor != before {
			stay = restlessness
		}
		over()
		leave()
		connection.close()
		if done {
			return
		}
		listener.resumed++
		time.Sleep(loadRetry)
	}
}

// take takes what comes from one connection. It is done when that was the end.
func (r *loadListener) take(connection listening, cursor *models.ID) (done bool) {
	mistake := func(format string, args ...any) { r.mistakes = append(r.mistakes, fmt.Sprintf(format, args...)) }
	acked := false
	for {
		f, err := connection.next()
		if err != nil {
			if acked && r.steady {
				mistake("it was disconnected: %v", err)
			}
			return false
		}
		switch f.Type {
		case "ack":
			acked = true
			if f.Recovered == nil || !*f.Recovered {
				mistake("not recovered after %s: %+v", cursor, f)
			}
		case "message":
			if f.ID.Epoch != cursor.Epoch || f.ID.Sequence <= cursor.Sequence {
				mistake("%s came after %s", f.ID, cursor)
			}
			*cursor = f.ID
			r.heard = append(r.heard, f)
			r.last.Store(f.ID.Sequence)
			r.pause.event()
			if f.Topic == endTopic {
				return true
			}
		case "error":
			if r.steady {
				mistake("error %s", f.Code)
			}
			return false
		case "notice":
			mistake("notice %s after %s", f.Code, cursor)
		}
	}
}

// progress waits until every publisher has so many more messages answered, and every listener has had
// something that was published after that.
func (l *load) progress(messages int64) {
	l.t.Helper()
	before := make([]int64, len(l.publishers))
	for i, p := range l.publishers {
		before[i] = p.answered.Load()
	}
	for i, p := range l.publishers {
		l.await(func() bool { return p.answered.Load() >= before[i]+messages }, "publisher "+p.name+" is not answered")
	}
	since := l.mark(markTopic)
	for _, r := range l.listeners {
		l.await(func() bool { return r.last.Load() >= since.ID.Sequence }, r.name+" hears nothing")
	}
}

// mark publishes something beside the publishers.
func (l *load) mark(topic string) models.Receipt {
	l.t.Helper()
	var receipt models.Receipt
	p := &loadPublisher{name: "mark", topic: topic}
	n := int(time.Now().UnixNano())
	l.await(func() (isSo bool) {
		var err error
		receipt, err = l.offer(p, n)
		return err == nil
	}, "a mark is not answered")
	return receipt
}

func (l *load) await(isSo func() bool, otherwise string) {
	l.t.Helper()
	for end := time.Now().Add(patience); !isSo(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatal(otherwise)
		}
	}
}

// finish ends the load and looks whether everybody has had everything.
func (l *load) finish() {
	l.t.Helper()
	l.stop()
	l.publishing.Wait()
	end := l.mark(endTopic)
	heard := make(chan struct{})
	go func() { l.listening.Wait(); close(heard) }()
	select {
	case <-heard:
	case <-time.After(patience):
		for _, r := range l.listeners {
			l.t.Logf("%s has come to %d of %d", r.name, r.last.Load(), end.ID.Sequence)
		}
		l.t.Fatal("not all listeners come to the end")
	}
	l.check()
}

// check is the oracle.
func (l *load) check() {
	l.t.Helper()
	longest := func(pauses func(yield func(*pause))) (most time.Duration) {
		pauses(func(p *pause) { most = max(most, p.get()) })
		return most
	}
	refused, resumed := int64(0), 0
	answered := longest(func(yield func(*pause)) {
		for _, p := range l.publishers {
			refused += p.refused.Load()
			yield(&p.pause)
		}
	})
	delivered := longest(func(yield func(*pause)) {
		for _, r := range l.listeners {
			resumed += r.resumed
			yield(&r.pause)
		}
	})
	all := l.listeners[0].heard
	l.t.Logf("%d messages to %d listeners; longest without an answer %v, without a delivery %v; %d refused, %d resumed",
		len(all), len(l.listeners), answered.Round(time.Millisecond), delivered.Round(time.Millisecond), refused, resumed)
	for _, r := range l.listeners {
		for _, mistake := range r.mistakes {
			l.t.Errorf("%s: %s", r.name, mistake)
		}
		var want []models.ID
		for _, m := range all {
			if !slices.Contains(r.topics, "load.0.*") || strings.HasPrefix(string(m.Topic), "load.0.") || m.Topic == endTopic {
				want = append(want, m.ID)
			}
		}
		got := make([]models.ID, 0, len(r.heard))
		for _, m := range r.heard {
			got = append(got, m.ID)
		}
		if !slices.Equal(got, want) {
			l.t.Errorf("%s heard %d messages, %s heard %d for it", r.name, len(got), l.listeners[0].name, len(want))
		}
	}
	l.checkPublished(all)
}

// checkPublished looks whether of each publisher there is what was answered, once and in its order, and nothing
// else.
func (l *load) checkPublished(all []listened) {
	l.t.Helper()
	for _, p := range l.publishers {
		var got, want []models.ID
		n := 0
		for _, m := range all {
			if string(m.Topic) != p.topic {
				continue
			}
			var is numbered
			if err := json.Unmarshal(m.Data, &is); err != nil || is != (numbered{p.name, n}) {
				l.t.Errorf("%s of %s says %s, and is number %d", m.ID, p.name, m.Data, n)
			}
			got = append(got, m.ID)
			n++
		}
		for _, receipt := range p.receipts {
			want = append(want, receipt.ID)
		}
		if !slices.Equal(got, want) {
			l.t.Errorf("of publisher %s %d messages were answered, and %d heard", p.name, len(want), len(got))
		}
	}
}
