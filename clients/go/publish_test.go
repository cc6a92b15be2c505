package fanfare_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	fanfare "fanfare/clients/go"
)

type result struct {
	receipt fanfare.Receipt
	err     error
}

// publish publishes in a goroutine of its own.
func publish(ctx context.Context, c *fanfare.Client, topic string, data any) <-chan result {
	results := make(chan result, 1)
	go func() {
		receipt, err := c.Publish(ctx, topic, data)
		results <- result{receipt, err}
	}()
	return results
}

// TestPublishAcrossReconnects: what has no answer is sent again, in order, with the same key, until it has one.
func TestPublishAcrossReconnects(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		first := publish(t.Context(), client, "a", 1)
		one := server.receive("publish")
		second := publish(t.Context(), client, "a", 2)
		two := server.receive("publish")
		if one.Key == "" || one.Key == two.Key {
			t.Errorf("the keys are %q and %q", one.Key, two.Key)
		}
		server.end()
		synctest.Wait()
		third := publish(t.Context(), client, "b", 3) // while there is no connection

		server = f.next()
		again := server.receive("publish")
		if again.Key != one.Key || string(again.Data) != "1" {
			t.Errorf("first comes %+v", again)
		}
		server.refuse(again, "shutting_down") // which is no answer
		server.end()

		server = f.next()
		for _, want := range []frame{one, two} {
			got := server.receive("publish")
			if got.Key != want.Key {
				t.Errorf("%+v came in place of %+v", got, want)
			}
			server.send(strings.ReplaceAll(`{"type":"ack","action":"publish","id":"e-1","duplicate":true,"ref":REF}`, "REF", ref(got)))
		}
		server.ack(server.receive("publish"), "e-3")
		for _, published := range []<-chan result{first, second, third} {
			if r := <-published; r.err != nil || r.receipt.Duplicate {
				t.Errorf("%+v", r)
			}
		}
		server.end()
		f.next().receive("ping") // nothing is sent again
	})
}

func ref(f frame) string {
	text, err := json.Marshal(f.Ref)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// TestOrderOfPublishes: what was not answered is sent again in the order in which it was asked.
func TestOrderOfPublishes(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		var publishing sync.WaitGroup
		for i := range 20 {
			publishing.Go(func() {
				if _, err := client.Publish(t.Context(), "a", i); err != nil {
					t.Error(err)
				}
			})
			server.receive("publish")
		}
		server.end()
		server = f.next()
		for i := range 20 {
			again := server.receive("publish")
			if string(again.Data) != strconv.Itoa(i) {
				t.Errorf("%s came in place of %d", again.Data, i)
			}
			server.ack(again, "e-1")
		}
		publishing.Wait()
	})
}

// TestPublishDeadline: who waits in vain is told, by the context's deadline or after 30 s, and the message is not sent
// any more.
func TestPublishDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		short, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		left, leave := context.WithCancel(t.Context())
		defer leave()
		begun := time.Now()
		tests := []struct {
			ctx   context.Context
			after time.Duration
			want  error
		}{
			{short, 5 * time.Second, context.DeadlineExceeded},
			{short, 5 * time.Second, context.DeadlineExceeded}, // it is over already
			{t.Context(), 35 * time.Second, context.DeadlineExceeded},
			{left, 35 * time.Second, context.Canceled},
		}
		for i, tt := range tests {
			published := publish(tt.ctx, client, "a", 1)
			if i == 3 {
				leave()
			}
			r := <-published
			if after := time.Since(begun); after != tt.after || !errors.Is(r.err, tt.want) {
				t.Errorf("%d: %v after %v", i, r.err, after)
			}
			if errors.Is(tt.want, context.DeadlineExceeded) {
				if err := check(r.err, fanfare.CodeTimeout); err != nil {
					t.Error(err)
				}
			}
		}
		server.end()
		f.next().receive("ping")
	})
}

// TestPublishOfWhatIsTooMuch: the server would close the connection for it, and the client would send it again.
func TestPublishOfWhatIsTooMuch(t *testing.T) {
	tests := map[string]struct{ topic, key, data string }{
		"the data":  {"a", "key", strings.Repeat("x", 99)},
		"the frame": {"a", strings.Repeat("k", 400), "x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fake) {
				client := f.connect(fanfare.Options{})
				results := make(chan error, 1)
				go func() { // before the limits are known
					_, err := client.PublishWithKey(t.Context(), tt.topic, tt.key, tt.data)
					results <- err
				}()
				server := f.next()
				if err := check(<-results, fanfare.CodePayloadTooLarge); err != nil {
					t.Error(err)
				}
				published := publish(t.Context(), client, "a", strings.Repeat("x", 98))
				server.ack(server.receive("publish"), "e-1")
				if r := <-published; r.err != nil {
					t.Error(r.err)
				}
			})
		})
	}
}

// TestPublishedData: what goes over the wire is JSON as short as it gets, and says the same.
func TestPublishedData(t *testing.T) {
	tests := map[string]struct {
		data any
		want string
	}{
		"a struct":         {struct{ A int }{1}, `{"A":1}`},
		"raw JSON":         {json.RawMessage(" { \"a\" : 1.0 }\n"), `{"a":1.0}`},
		"what HTML spoils": {"<&>\u2028", "\"<&>\\u2028\""},
		"nothing":          {nil, `null`},
		"bytes":            {[]byte("ab"), `"YWI="`},
		"a large number":   {uint64(math.MaxUint64), `18446744073709551615`},
	}
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		for name, tt := range tests {
			published := publish(t.Context(), client, "a", tt.data)
			request := server.receive("publish")
			if string(request.Data) != tt.want {
				t.Errorf("%s is %s, not %s", name, request.Data, tt.want)
			}
			server.ack(request, "e-1")
			if r := <-published; r.err != nil {
				t.Errorf("%s: %v", name, r.err)
			}
		}
		for name, data := range map[string]any{
			"no JSON": json.RawMessage(`{"a":`), "two values": json.RawMessage(`1 2`), "empty": json.RawMessage(``), "a channel": make(chan int), "infinite": math.Inf(1),
		} {
			if _, err := client.Publish(t.Context(), "a", data); check(err, fanfare.CodeInvalidJSON) != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := client.Publish(t.Context(), "a\xff", 1); check(err, "invalid_topic") != nil {
			t.Errorf("a topic that is no UTF-8: %v", err)
		}
	})
}

// TestRefusals: a refusal is an error at once, with the server's code.
func TestRefusals(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		for _, code := range []string{"forbidden", "rate_limited", "overloaded", "news"} {
			published := publish(t.Context(), client, "a", 1)
			server.refuse(server.receive("publish"), code)
			if err := check((<-published).err, fanfare.Code(code)); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestPresence(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		members := make(chan fanfare.Presence)
		go func() {
			defer close(members)
			p, err := client.Presence(t.Context(), "room.1")
			if err != nil {
				t.Error(err)
			}
			members <- p
		}()
		server := f.next()
		server.receive("presence")
		server.end()
		server = f.next()
		request := server.receive("presence")
		server.send(strings.ReplaceAll(`{"type":"presence","topic":"room.1","clients":[{"client_id":"1","user":"ada"}],"next":"1","unreachable":["n"],"ref":REF}`, "REF", ref(request)))
		p := <-members
		if p.Topic != "room.1" || len(p.Members) != 1 || p.Members[0] != (fanfare.Member{ClientID: "1", User: "ada"}) || p.Next != "1" || len(p.Unreachable) != 1 {
			t.Errorf("%+v", p)
		}
	})
}
