package app_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"fanfare/models"
)

// TestOrderOverSockets: while 8 publishers publish, half of them by HTTP and half over
// /ws, 50 subscribers subscribe and unsubscribe. Each gets in order and once what was
// published between the two acks, and nothing after the second.
func TestOrderOverSockets(t *testing.T) {
	const publishers, subscribers = 8, 50
	s := startServer(t)
	stop := make(chan struct{})
	published := make([][]models.ID, publishers)
	var publishing, subscribing sync.WaitGroup
	for i := range published {
		publish := s.httpPublisher()
		if i%2 == 0 {
			publish = s.socketPublisher()
		}
		publishing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					published[i] = append(published[i], publish())
				}
			}
		})
	}
	stays := make([][]stay, subscribers)
	for i := range stays {
		subscribing.Go(func() { stays[i] = comeAndGo(t, s) })
	}
	subscribing.Wait()
	close(stop)
	publishing.Wait()

	all := slices.Concat(published...)
	slices.SortFunc(all, func(a, b models.ID) int { return int(a.Sequence) - int(b.Sequence) }) //nolint:gosec // small
	for i, of := range stays {
		for _, st := range of {
			var due []models.ID
			for _, id := range all {
				if id.Sequence > st.from.Sequence && id.Sequence <= st.to.Sequence {
					due = append(due, id)
				}
			}
			if !slices.Equal(due, st.got) {
				t.Errorf("subscriber %d, from %v to %v: got %v, due were %v", i, st.from, st.to, st.got, due)
			}
		}
	}
	t.Logf("%d messages", len(all))
}

// httpPublisher gives a function that publishes with POST.
func (s *server) httpPublisher() func() models.ID {
	return func() models.ID { return s.publish("busy", "x", "text/plain").ID }
}

// socketPublisher gives a function that publishes over a connection of its own.
func (s *server) socketPublisher() func() models.ID {
	client := s.dial()
	return func() models.ID {
		if err := client.send(`{"action":"publish","topic":"busy","data":"x","ref":1}`); err != nil {
			s.t.Error(err)
		}
		return s.id(s.receive(client))
	}
}

// stay is one subscription, from its ack to that of its end.
type stay struct {
	from, to models.ID
	got      []models.ID
}

func comeAndGo(t *testing.T, s *server) (stays []stay) {
	client := s.dial()
	for range 10 {
		var st stay
		if err := client.send(`{"action":"subscribe","topic":"busy"}`); err != nil {
			t.Error(err)
		}
		st.from = s.id(s.receive(client))
		for range 3 {
			st.got = append(st.got, s.id(s.receive(client)))
		}
		if err := client.send(`{"action":"unsubscribe","topic":"busy"}`); err != nil {
			t.Error(err)
		}
		f := s.receive(client)
		for ; f.Type == "message"; f = s.receive(client) {
			st.got = append(st.got, s.id(f))
		}
		st.to = s.id(f)
		stays = append(stays, st)
	}
	return stays
}

// dial connects and takes the welcome. The connection ends with the test.
func (s *server) dial() foreign {
	client, err := dialCoder(context.Background(), s)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = client.close() })
	if welcome := s.receive(client); welcome.Type != "welcome" {
		s.t.Errorf("the first frame is %+v", welcome)
	}
	return client
}

func (s *server) receive(client foreign) (f frame) {
	text, err := client.receive()
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		panic(fmt.Sprintf("%v: %s", err, text)) // in a goroutine of the test
	}
	return f
}

func (s *server) id(f frame) models.ID {
	id, err := models.ParseID(f.ID)
	if err != nil {
		s.t.Errorf("%+v: %v", f, err)
	}
	return id
}
