package handlers_test

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

// clientPage and clientInfo are what a client of the API sees.
type clientPage struct {
	Clients []clientInfo `json:"clients"`
	Next    string       `json:"next"`
}

type clientInfo struct {
	ID            string   `json:"id"`
	User          string   `json:"user"`
	Transport     string   `json:"transport"`
	RemoteAddress string   `json:"remote_address"`
	UserAgent     string   `json:"user_agent"`
	ConnectedAt   string   `json:"connected_at"`
	Subscriptions []string `json:"subscriptions"`
	QueuedBytes   int64    `json:"queued_bytes"`
	Delivered     uint64   `json:"delivered"`
}

func TestClientInfo(t *testing.T) {
	s := start(t)
	c := s.dial(t, "User-Agent", "ünusual \xff agent")
	c.subscribe(t, "b.>")
	c.subscribe(t, "a")
	s.publish(t, "a", "x")
	c.next(t)
	// The frame is written before it is counted: wait for what comes after it.
	c.ask(t, `{"action":"ping"}`)
	c.ask(t, `{"action":"ping"}`)
	var got clientInfo
	s.getInto(t, "/clients/"+c.id, &got)
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`).MatchString(got.ConnectedAt) {
		t.Errorf("connected at %q", got.ConnectedAt)
	}
	got.ConnectedAt = ""
	want := clientInfo{
		ID:            c.id,
		Transport:     "websocket",
		RemoteAddress: c.LocalAddr().String(),
		UserAgent:     "ünusual \ufffd agent",
		Subscriptions: []string{"a", "b.>"},
		Delivered:     1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestClientsPaging(t *testing.T) {
	s := start(t)
	if diff := cmp.Diff("{\"clients\":[]}\n", s.get(t, "/clients").body); diff != "" {
		t.Errorf("none (-want +got):\n%s", diff)
	}
	agents := map[string]string{}
	var ids, subscribed []string
	for i := range 23 {
		agent := "agent-" + strconv.Itoa(100+i)
		c := s.dial(t, "User-Agent", agent)
		agents[c.id] = agent
		ids = append(ids, c.id)
		if i%2 == 0 {
			c.subscribe(t, "news.*")
			subscribed = append(subscribed, c.id)
		}
	}
	if !slices.IsSorted(ids) {
		t.Error("the ids are not in the order of connecting")
	}
	tests := map[string]struct {
		query string
		want  []string
	}{
		"all":                 {"limit=100", ids},
		"default limit":       {"", ids},
		"pages of one":        {"limit=1", ids},
		"pages of seven":      {"limit=7", ids},
		"exactly one page":    {"limit=23", ids},
		"by topic":            {"limit=5&topic=news.eu", subscribed},
		"by a topic of none":  {"topic=sport", nil},
		"by a user":           {"user=ada", nil},
		"after the fifth":     {"after=" + ids[4], ids[5:]},
		"after one that left": {"after=" + ids[4][:35], ids[slices.IndexFunc(ids, func(id string) bool { return id > ids[4][:35] }):]},
		"after the last":      {"after=" + ids[22], nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, client := range s.allClients(t, tt.query) {
				got = append(got, client.ID)
				if client.UserAgent != agents[client.ID] {
					t.Errorf("%s has the user agent %s", client.ID, client.UserAgent)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// allClients gives the clients in all pages, and checks the pages' sizes.
func (s *server) allClients(t *testing.T, query string) []clientInfo {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	var all []clientInfo
	for {
		var page clientPage
		s.getInto(t, "/clients?"+values.Encode(), &page)
		all = append(all, page.Clients...)
		if page.Next == "" {
			return all
		}
		if strconv.Itoa(len(page.Clients)) != values.Get("limit") || page.Next != all[len(all)-1].ID {
			t.Fatalf("a page of %d, next %q", len(page.Clients), page.Next)
		}
		values.Set("after", page.Next)
	}
}

func TestDisconnect(t *testing.T) {
	s := start(t)
	victim, other := s.dial(t), s.dial(t)
	victim.subscribe(t, "a")
	other.subscribe(t, "a")
	a := s.do(t, "DELETE", "/clients/"+victim.id, "")
	if a.status != http.StatusNoContent || a.body != "" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if code := victim.closeCode(t); code != int(models.CloseDisconnected) {
		t.Errorf("close code %d", code)
	}
	s.publish(t, "a", "x")
	if got := other.next(t); !strings.Contains(got, `"data":"x"`) {
		t.Errorf("the other client got %s", got)
	}
	if !strings.Contains(s.log.String(), "msg=audit act=disconnect_client ") || !strings.Contains(s.log.String(), " client_id="+victim.id) {
		t.Errorf("not logged:\n%s", s.log)
	}
}

// A client that was told to go may not act any more, even if it stays.
func TestDisconnectedClientActsNoMore(t *testing.T) {
	s := start(t)
	c := s.dial(t)
	c.SetCloseHandler(func(int, string) error { return nil })
	s.do(t, "DELETE", "/clients/"+c.id, "")
	if code := c.closeCode(t); code != int(models.CloseDisconnected) {
		t.Fatalf("close code %d", code)
	}
	c.send(t, `{"action":"publish","topic":"a","data":1,"ref":1}`)
	_ = c.Close()
	eventually(t, func() bool { return s.get(t, "/clients/"+c.id).status == 404 })
	if messages := s.retained(t, "a"); len(messages) != 0 {
		t.Error("it has published")
	}
}

func TestDisconnectUser(t *testing.T) {
	s := start(t)
	stranger := s.dial(t)
	a := s.do(t, "DELETE", "/clients?user=ada", "")
	if diff := cmp.Diff("{\"disconnected\":0}\n", a.body); diff != "" || a.status != http.StatusOK {
		t.Errorf("%d (-want +got):\n%s", a.status, diff)
	}
	if !strings.Contains(s.log.String(), "level=INFO msg=audit act=disconnect_user ") {
		t.Errorf("not logged:\n%s", s.log)
	}
	// Without a name it is nobody's, and not everybody's.
	for _, path := range []string{"/clients", "/clients?user=", "/clients?User=ada", "/clients?topic=a"} {
		s.do(t, "DELETE", path, "").checkProblem(t, 400, models.CodeInvalidRequest)
	}
	if got := stranger.ask(t, `{"action":"ping"}`); got != `{"type":"pong"}` {
		t.Error(got)
	}
}
