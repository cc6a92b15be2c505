package bench

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestTake: whatever is not the message that is due ends the run.
func TestTake(t *testing.T) {
	message := func(publisher int, number int64) []byte {
		return appendStamp(nil, stamp{publisher: publisher, number: number, sent: 1}, 0)
	}
	tests := map[string]struct {
		messages [][]byte
		want     string // of the error of the last; empty: none
	}{
		"in order":                    {[][]byte{message(0, 0), message(0, 1), message(0, 2)}, ""},
		"in the order of each":        {[][]byte{message(0, 0), message(1, 0), message(1, 1), message(0, 1)}, ""},
		"the first is lost":           {[][]byte{message(0, 1)}, "got message 1 of publisher 0 on bench.0, and 0 was due"},
		"one between is lost":         {[][]byte{message(1, 0), message(1, 2)}, "got message 2 of publisher 1 on bench.0, and 1 was due"},
		"one comes twice":             {[][]byte{message(0, 0), message(0, 0)}, "got message 0 of publisher 0 on bench.0, and 1 was due"},
		"a publisher that is unknown": {[][]byte{message(2, 0)}, "the server said"},
		"an error":                    {[][]byte{[]byte(`{"type":"error","code":"overloaded"}`)}, `the server said: {"type":"error","code":"overloaded"}`},
		"a gap":                       {[][]byte{[]byte(`{"type":"notice","code":"gap"}`)}, `"gap"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newTestSubscriber()
			var err error
			for i, m := range tt.messages {
				if err = s.take(frame{payload: m}); err != nil && i < len(tt.messages)-1 {
					t.Fatal(err)
				}
			}
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func newTestSubscriber() *subscriber {
	return &subscriber{client: &client{}, topic: &topic{name: "bench.0"}, next: make([]int64, 2), latencies: newSamples(4)}
}

// TestComplete: an audience waits for messages that come late, and not for ever for those
// that are lost.
func TestComplete(t *testing.T) {
	tests := map[string]struct {
		published int64
		received  []int64 // by each of the subscribers, at once
		late      int64   // by the last of them, one after the other
		want      string  // empty: it is complete
	}{
		"nothing was published":     {0, []int64{0, 0}, 0, ""},
		"all have all":              {3, []int64{3, 3}, 0, ""},
		"one gets the last two":     {3, []int64{3, 1}, 2, ""},
		"one never gets the last":   {3, []int64{3, 1}, 1, "messages are lost: 1 deliveries are missing; subscriber 2 of 2 got 2 of the 3 messages on bench.0"},
		"nobody gets any":           {3, []int64{0, 0}, 0, "messages are lost: 6 deliveries are missing; subscriber 1 of 2 got 0 of the 3 messages on bench.0"},
		"one has more than was due": {3, []int64{2, 4}, 0, "subscriber 1 of 2 got 2 of the 3 messages on bench.0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &audience{topics: []*topic{{name: "bench.0"}}}
				a.topics[0].published.Store(tt.published)
				for _, count := range tt.received {
					s := &subscriber{topic: a.topics[0]}
					s.received.Store(count)
					a.subscribers = append(a.subscribers, s)
				}
				go func() {
					for range tt.late {
						time.Sleep(patience * 2 / 3)
						a.subscribers[len(a.subscribers)-1].received.Add(1)
					}
				}()
				err := a.complete(t.Context())
				if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
					t.Errorf("got %v, want %q", err, tt.want)
				}
			})
		})
	}
}

// BenchmarkTake measures what a delivery costs the load itself, system calls aside.
func BenchmarkTake(b *testing.B) {
	data := appendStamp(nil, stamp{sent: time.Now().UnixNano()}, 0)
	one := appendMessage(nil, "bench.0", data, 150)
	stream := []byte(strings.Repeat(string(one), 100))
	s := newTestSubscriber()
	s.latencies = nil
	f := newFrames(nil, stream)
	for b.Loop() {
		if f.start == f.end {
			f.start = 0
		}
		frame, err := f.next()
		if err != nil {
			b.Fatal(err)
		}
		s.next[0] = 0
		if err := s.take(frame); err != nil {
			b.Fatal(err)
		}
	}
}
