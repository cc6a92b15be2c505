package fanfare_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	fanfare "fanfare/clients/go"
)

func TestConnectRefusesWhatCannotBe(t *testing.T) {
	source := func(context.Context) (string, error) { return "", nil }
	tests := map[string]struct {
		url     string
		options fanfare.Options
	}{
		"no URL":             {url: "http://a b"},
		"no scheme":          {url: "localhost:8080"},
		"another scheme":     {url: "ftp://localhost"},
		"no host":            {url: "http:///path"},
		"a token and source": {url: "http://localhost", options: fanfare.Options{Token: "a", TokenSource: source}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if client, err := fanfare.Connect(tt.url, tt.options); err == nil {
				client.Close()
				t.Error("it was taken")
			}
		})
	}
}

// TestCloseCodes: below 4500 the client comes back, from there on it does not.
func TestCloseCodes(t *testing.T) {
	tests := map[int]fanfare.Code{
		1000: "", 1001: "", 1009: "", 1011: "", 4001: "", 4002: "", 4003: "", 4499: "",
		4500: fanfare.CodeUnauthorized, 4501: fanfare.CodeDisconnected, 4999: fanfare.CodeDisconnected,
	}
	for code, want := range tests {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fake) {
				reasons := make(chan error, 1)
				client := f.connect(fanfare.Options{OnDisconnect: func(err error, _ time.Duration) { reasons <- err }})
				f.next().close(code)
				if want == "" {
					if e, ok := errors.AsType[*fanfare.CloseError](<-reasons); !ok || e.Code != code {
						t.Errorf("the reason is %v", e)
					}
					f.next()
					return
				}
				<-client.Done()
				if err := check(client.Err(), want); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestEndOfAClient: what was asked of a client that ends, and what is asked later, fails with the reason.
func TestEndOfAClient(t *testing.T) {
	tests := map[string]struct {
		end  func(*fanfare.Client, *session)
		want fanfare.Code
	}{
		"closed":       {func(c *fanfare.Client, _ *session) { c.Close() }, fanfare.CodeClosed},
		"disconnected": {func(_ *fanfare.Client, s *session) { s.close(4501) }, fanfare.CodeDisconnected},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fake) {
				client := f.connect(fanfare.Options{})
				server := f.next()
				calls := make(chan error, 4)
				go func() {
					_, err := client.Publish(t.Context(), "a", 1)
					calls <- err
				}()
				server.receive("publish")
				go func() {
					_, err := client.Subscribe(t.Context(), fanfare.SubscribeOptions{Topics: []string{"a"}})
					calls <- err
				}()
				server.receive("subscribe")
				tt.end(client, server)
				<-client.Done()
				_, err := client.Publish(t.Context(), "a", 1)
				calls <- err
				_, err = client.Subscribe(t.Context(), fanfare.SubscribeOptions{Topics: []string{"b"}})
				calls <- err
				for range cap(calls) {
					if err := check(<-calls, tt.want); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// TestReasons: why the server cannot be reached is said without how it was asked.
func TestReasons(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.refuse(true)
		reasons := make(chan error, 1)
		f.connect(fanfare.Options{OnDisconnect: func(err error, _ time.Duration) { reasons <- err }})
		if reason := (<-reasons).Error(); reason != "fanfare: the server cannot be reached: refused" {
			t.Error(reason)
		}
		f.refuse(false)
	})
}

// TestPauses: the pauses between attempts grow, are a little random, and begin anew after a connection that was of use.
func TestPauses(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		pauses := make(chan time.Duration, 1)
		f.refuse(true)
		client := f.connect(fanfare.Options{OnDisconnect: func(_ error, pause time.Duration) { pauses <- pause }})
		expect := func(attempt int) {
			t.Helper()
			longest := min(20*time.Second, 250*time.Millisecond<<attempt)
			if pause := <-pauses; pause < longest/2 || pause > longest {
				t.Errorf("attempt %d: a pause of %v", attempt, pause)
			}
		}
		for attempt := range 10 {
			expect(attempt)
		}
		f.refuse(false)
		f.next().end() // to accept and drop is no better than to refuse
		expect(10)
		server := f.next()
		time.Sleep(5 * time.Second)
		server.end()
		expect(0)
		f.next().end()
		expect(1)

		published := make(chan error)
		go func() {
			_, err := client.Publish(t.Context(), "a", 1)
			published <- err
		}()
		server = f.next()
		server.ack(server.receive("publish"), "e-1")
		if err := <-published; err != nil {
			t.Error(err)
		}
		server.end()
		expect(0)
	})
}

// TestSilentServer: a server of which nothing is heard is asked for a sign of life, and given up without one.
func TestSilentServer(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.connect(fanfare.Options{})
		server := f.next()
		begun := time.Now()
		for round := range 3 {
			server.receive("ping")
			if silence := time.Since(begun); silence != time.Duration(round+1)*25*time.Second {
				t.Errorf("round %d: asked after %v", round, silence)
			}
			server.send(`{"type":"pong"}`)
		}
		server.receive("ping")
		f.next()
		if silence := time.Since(begun); silence < 110*time.Second || silence > 111*time.Second {
			t.Errorf("given up after %v", silence)
		}
	})
}

// TestServerThatPings: a ping is a sign of life, and who pings often enough is not asked for another.
func TestServerThatPings(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		f.connect(fanfare.Options{})
		server := f.next()
		begun := time.Now()
		var pinging sync.WaitGroup
		pinging.Go(func() {
			for range 5 {
				time.Sleep(20 * time.Second)
				if err := server.conn.Ping(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		server.receive("ping") // by which the pongs are read, too
		if asked := time.Since(begun); asked != 125*time.Second {
			t.Errorf("asked after %v", asked)
		}
		pinging.Wait()
	})
}

// TestLongFrame: a frame that takes long, over a slow network, is a sign of life all the time.
func TestLongFrame(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		subscription := subscribe(client, server, fanfare.SubscribeOptions{Topics: []string{"a"}}, "e-0")
		long, err := server.conn.Writer(t.Context(), websocket.MessageText)
		if err != nil {
			t.Fatal(err)
		}
		piece := strings.Repeat("x", 5000) // more than a writer keeps
		pieces := []string{`{"type":"message","id":"e-1","topic":"a","data":"` + piece, piece, piece, `"}`}
		for _, piece := range pieces {
			time.Sleep(20 * time.Second)
			if _, err := io.WriteString(long, piece); err != nil {
				t.Fatal(err)
			}
		}
		if err := long.Close(); err != nil {
			t.Fatal(err)
		}
		if m, err := subscription.Next(t.Context()); err != nil || len(m.Data) != 15002 {
			t.Errorf("%d bytes, %v", len(m.Data), err)
		}
	})
}

// TestTLS: an https:// URL is one of a WebSocket over TLS, by the program's own HTTP client.
func TestTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/behind/a/proxy/ws" || r.Header.Get("X-Test") != "yes" {
			t.Errorf("asked for %s with %v", r.URL, r.Header)
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.CloseNow() //nolint:errcheck // the client closes it
		_ = conn.Write(r.Context(), websocket.MessageText, []byte(`{"type":"welcome","client_id":"id"}`))
		_, _, _ = conn.Read(r.Context())
	}))
	defer server.Close()
	connected := make(chan string, 1)
	client, err := fanfare.Connect(server.URL+"/behind/a/proxy/", fanfare.Options{
		HTTPClient: server.Client(), Header: http.Header{"X-Test": {"yes"}}, OnConnect: func(id string) { connected <- id },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if id := <-connected; id != "id" {
		t.Errorf("connected as %s", id)
	}
}

// TestServerWithoutAWelcome: who accepts and says nothing, or something else, is no Fanfare.
func TestServerWithoutAWelcome(t *testing.T) {
	tests := map[string]func(*session){
		"nothing":        func(*session) {},
		"another frame":  func(s *session) { s.send(`{"type":"pong"}`) },
		"no JSON at all": func(s *session) { s.send(`hello`) },
		"an error":       func(s *session) { s.send(`{"type":"error","code":"too_many_clients","message":"no"}`) },
	}
	for name, begin := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, f *fake) {
				reasons := make(chan error, 1)
				f.connect(fanfare.Options{OnDisconnect: func(err error, _ time.Duration) { reasons <- err }})
				begin(f.silent())
				if err := <-reasons; err == nil {
					t.Error("there is no reason")
				}
				f.next()
			})
		})
	}
}

// TestUnknownFrames: what a later server may say is ignored; what is no frame at all ends the connection.
func TestUnknownFrames(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		subscription := subscribe(client, server, fanfare.SubscribeOptions{Topics: []string{"a"}}, "e-0")
		server.send(`{"type":"news","data":1}`, `{"type":"notice","code":"news","topic":"a"}`,
			`{"type":"ack","action":"news","ref":77}`, `{"type":"error","code":"news","message":"no"}`,
			`{"type":"message","id":"e-1","topic":"a","data":1,"time":"2026-11-23T17:45:01.250Z","news":[{}]}`)
		if m, err := subscription.Next(t.Context()); err != nil || m.ID != "e-1" {
			t.Errorf("%v %v", m, err)
		}
		server.send(`no frame`)
		if again := f.next().receive("subscribe"); again.Since != "e-1" {
			t.Errorf("it goes on from %s", again.Since)
		}
	})
}

// TestCloseIsTold: the server hears that the client has left of its own accord.
func TestCloseIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		server := f.next()
		synctest.Wait() // until the client has read the welcome
		go client.Close()
		if _, _, err := server.conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
			t.Error(err)
		}
	})
}

// TestCloseOfAStalledConnection: Close does not wait for long for a server that does not answer.
func TestCloseOfAStalledConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		client := f.connect(fanfare.Options{})
		f.next()
		synctest.Wait()
		begun := time.Now()
		client.Close() // the server reads nothing, so the close frame goes nowhere
		if took := time.Since(begun); took > time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// subscribe subscribes, and has the server acknowledge it with an id.
func subscribe(c *fanfare.Client, s *session, options fanfare.SubscribeOptions, id string) *fanfare.Subscription {
	s.t.Helper()
	subscription := begin(s.t, c, options)
	s.ack(s.receive("subscribe"), id)
	return <-subscription
}

// begin subscribes in a goroutine of its own.
func begin(t *testing.T, c *fanfare.Client, options fanfare.SubscribeOptions) <-chan *fanfare.Subscription {
	t.Helper()
	done := make(chan *fanfare.Subscription, 1)
	go func() {
		subscription, err := c.Subscribe(t.Context(), options)
		if err != nil {
			t.Error(err)
		}
		done <- subscription
	}()
	return done
}

// TestCallbacksThatWait: a callback may use the client, and wait for what only the connection can bring.
func TestCallbacksThatWait(t *testing.T) {
	inBubble(t, func(t *testing.T, f *fake) {
		var client *fanfare.Client
		made, published := make(chan struct{}), make(chan error)
		client = f.connect(fanfare.Options{OnConnect: func(string) {
			<-made
			_, err := client.Publish(t.Context(), "a", 1)
			published <- err
		}})
		close(made)
		server := f.next()
		server.ack(server.receive("publish"), "e-1")
		if err := <-published; err != nil {
			t.Error(err)
		}
	})
}
