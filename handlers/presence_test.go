package handlers_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

// memberPage is what a client of the API sees.
type memberPage struct {
	Clients []struct {
		ClientID string `json:"client_id"`
		User     string `json:"user"`
	} `json:"clients"`
	Next string `json:"next"`
}

// A member is who is subscribed to the topic itself, once.
func TestMembers(t *testing.T) {
	s := start(t)
	if diff := cmp.Diff("{\"clients\":[]}\n", s.get(t, "/topics/room.1/clients").body); diff != "" {
		t.Errorf("none (-want +got):\n%s", diff)
	}
	var want []string
	for i := range 5 {
		c := s.dial(t)
		c.subscribe(t, "room.1")
		if i%2 == 0 { // that is no more
			c.subscribe(t, "room.1")
			c.subscribe(t, "room.*")
		}
		want = append(want, c.id)
	}
	s.dial(t).subscribe(t, "room.*")
	s.dial(t).subscribe(t, "room.2")
	for _, limit := range []int{1, 2, 5, 100} {
		var got []string
		for after := ""; ; {
			var page memberPage
			s.getInto(t, fmt.Sprintf("/topics/room.1/clients?limit=%d&after=%s", limit, after), &page)
			for _, client := range page.Clients {
				got = append(got, client.ClientID)
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
	}
	// The action knows the same ones.
	c := s.dial(t)
	var frame struct {
		Type    string `json:"type"`
		Topic   string `json:"topic"`
		Ref     int    `json:"ref"`
		Clients []struct {
			ClientID string `json:"client_id"`
		} `json:"clients"`
	}
	unmarshal(t, c.ask(t, `{"action":"presence","topic":"room.1","ref":1}`), &frame)
	var got []string
	for _, client := range frame.Clients {
		got = append(got, client.ClientID)
	}
	if !slices.Equal(got, want) || frame.Type != "presence" || frame.Topic != "room.1" || frame.Ref != 1 {
		t.Errorf("%+v, want %v", frame, want)
	}
	if got := c.ask(t, `{"action":"presence","topic":"nobody"}`); got != `{"type":"presence","topic":"nobody","clients":[]}` {
		t.Error(got)
	}
}

func TestMembersProblems(t *testing.T) {
	s := start(t)
	for name, topic := range badTopics() {
		t.Run(name, func(t *testing.T) {
			s.get(t, "/topics/"+topic+"/clients").checkProblem(t, 400, models.CodeInvalidTopic)
		})
	}
	s.get(t, "/topics/a/clients?limit=0").checkProblem(t, 400, models.CodeInvalidRequest)
	s.get(t, "/topics/a/clients?limit="+mark).checkProblem(t, 400, models.CodeInvalidRequest)
}

// Who asks for presence has the members first, and then who comes and goes.
func TestPresence(t *testing.T) {
	s := start(t)
	member := s.dial(t)
	member.subscribe(t, "room.1")
	watcher := s.dial(t)
	if got := watcher.ask(t, `{"action":"subscribe","topic":"room.1","presence":true,"ref":1}`); !strings.Contains(got, `"ack"`) {
		t.Fatal(got)
	}
	var frame struct {
		Type    string          `json:"type"`
		Clients []models.Member `json:"clients"`
	}
	unmarshal(t, watcher.next(t), &frame)
	if frame.Type != "presence" || !slices.Contains(frame.Clients, models.Member{ClientID: member.id}) {
		t.Errorf("%+v", frame)
	}
	change := func(kind, id string) string {
		return `{"type":"` + kind + `","topic":"room.1","client_id":"` + id + `"}`
	}
	// Each is told at least once.
	until := func(want string) {
		t.Helper()
		for got := watcher.next(t); got != want; got = watcher.next(t) {
			if !strings.HasPrefix(got, `{"type":"join"`) {
				t.Fatalf("%s, want %s", got, want)
			}
		}
	}
	other := s.dial(t)
	other.subscribe(t, "room.1")
	until(change("join", other.id))
	if got := member.ask(t, `{"action":"unsubscribe","topic":"room.1"}`); !strings.Contains(got, `"ack"`) {
		t.Fatal(got)
	}
	until(change("leave", member.id))
	_ = other.Close()
	until(change("leave", other.id))
	// Who has not asked hears nothing of it.
	if got := member.ask(t, `{"action":"ping"}`); got != `{"type":"pong"}` {
		t.Error(got)
	}
}
