package handlers_test

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

// historyPage is what a client of the API sees.
type historyPage struct {
	Messages []struct {
		ID    string `json:"id"`
		Topic string `json:"topic"`
		Data  any    `json:"data"`
	} `json:"messages"`
	Recovered *bool  `json:"recovered"`
	Next      string `json:"next"`
}

// data gives what the messages of a page say.
func (p historyPage) data() string {
	var all []string
	for _, m := range p.Messages {
		text, _ := m.Data.(string)
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func (p historyPage) recovered() string {
	if p.Recovered == nil {
		return ""
	}
	return strconv.FormatBool(*p.Recovered)
}

func TestHistory(t *testing.T) {
	s := start(t)
	var ids []string
	for i, topic := range []string{"a", "b", "a", "a.b", "a"} {
		ids = append(ids, s.publish(t, topic, `"`+strconv.Itoa(i)+`"`))
	}
	epoch, _, _ := strings.Cut(ids[0], "-")
	for name, tt := range map[string]struct {
		path            string
		want, recovered string
		// next is any that is right, if empty: TestHistoryPaging follows it.
		next string
	}{
		"all of a topic":         {"a/messages", "0 2 4", "", ids[4]},
		"all of a pattern":       {"%3E/messages", "0 1 2 3 4", "", ids[4]},
		"one token":              {"*/messages", "0 1 2 4", "", ids[4]},
		"a tail":                 {"a.%3E/messages", "3", "", ids[4]},
		"none":                   {"c/messages", "", "", ids[4]},
		"empty parameters":       {"a/messages?since=&last=&limit=&wait=", "0 2 4", "", ids[4]},
		"since the first":        {"a/messages?since=" + ids[0], "2 4", "true", ids[4]},
		"since another topic's":  {"a/messages?since=" + ids[1], "2 4", "true", ids[4]},
		"since the last":         {"a/messages?since=" + ids[4], "", "true", ids[4]},
		"since all":              {"a/messages?since=all", "0 2 4", "true", ids[4]},
		"since another epoch":    {"a/messages?since=nobody-2", "0 2 4", "false", ids[4]},
		"since the future":       {"a/messages?since=" + epoch + "-1000", "0 2 4", "false", ids[4]},
		"last":                   {"a/messages?last=1", "4", "", ids[4]},
		"last of a pattern":      {"%3E/messages?last=2", "3 4", "", ids[4]},
		"last of more than that": {"a/messages?last=10000", "0 2 4", "", ids[4]},
		"a page":                 {"a/messages?limit=2", "0 2", "", ""},
		"a page of the rest":     {"a/messages?limit=2&since=" + ids[2], "4", "true", ids[4]},
		"a page of the last":     {"%3E/messages?limit=1&last=3", "2", "", ids[2]},
		"wait for what is there": {"a/messages?since=" + ids[2] + "&wait=60s", "4", "true", ids[4]},
		"wait 0":                 {"a/messages?since=" + ids[4] + "&wait=0", "", "true", ids[4]},
		"wait 0s":                {"a/messages?since=" + ids[4] + "&wait=0s", "", "true", ids[4]},
		"wait for a while":       {"a/messages?since=" + ids[4] + "&wait=10ms", "", "true", ids[4]},
		"wait, and nothing ever": {"c/messages?wait=10ms", "", "", ids[4]},
	} {
		t.Run(name, func(t *testing.T) {
			var page historyPage
			s.getInto(t, "/topics/"+tt.path, &page)
			if tt.next == "" {
				page.Next = ""
			}
			type result struct{ Data, Recovered, Next string }
			if diff := cmp.Diff(result{tt.want, tt.recovered, tt.next}, result{page.data(), page.recovered(), page.Next}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	want := `{"messages":[{"id":"` + ids[3] + `","topic":"a.b","data":"3","time":"TIME"}],"recovered":true,"next":"` + ids[4] + `"}` + "\n"
	got := s.get(t, "/topics/a.b/messages?since=all").body
	got = strings.Replace(got, got[strings.Index(got, `time":"`)+7:strings.Index(got, `"}]`)], "TIME", 1)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is read page by page is all that there is, once.
func TestHistoryPaging(t *testing.T) {
	s := start(t)
	var want []string
	for i := range 100 {
		id := s.publish(t, "a."+strconv.Itoa(i%7), "x")
		if i%7 < 5 {
			want = append(want, id)
		}
		s.publish(t, "b", "x")
	}
	for _, limit := range []int{1, 7, 99, 100, 10_000} {
		var got []string
		query := url.Values{"limit": {strconv.Itoa(limit)}, "since": {"all"}}
		for {
			var page historyPage
			s.getInto(t, "/topics/a.*/messages?"+query.Encode(), &page)
			for _, m := range page.Messages {
				if m.Topic != "a.5" && m.Topic != "a.6" {
					got = append(got, m.ID)
				}
			}
			if page.recovered() != "true" {
				t.Fatalf("recovered: %s", page.recovered())
			}
			if len(page.Messages) < limit {
				break
			}
			query.Set("since", page.Next)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
	}
}

// The last so many are as many, whatever a page has by default.
func TestHistoryOfTheLast(t *testing.T) {
	s := start(t)
	for range models.DefaultPageLimit + 10 {
		s.publish(t, "a", "x")
	}
	last := s.publish(t, "a", "last")
	var page historyPage
	s.getInto(t, "/topics/a/messages?last="+strconv.Itoa(models.DefaultPageLimit+5), &page)
	if n := len(page.Messages); n != models.DefaultPageLimit+5 || page.Messages[n-1].ID != last {
		t.Errorf("%d messages", n)
	}
}

// Who waits has the message as soon as there is one, and not before.
func TestLongPoll(t *testing.T) {
	s := start(t)
	before := s.publish(t, "before", "x")
	for name, tt := range map[string]struct{ topic, pattern, query string }{
		"after an id":                {"a", "a", "since=" + before + "&wait=25s"},
		"for the first one":          {"b", "b", "wait=25s"},
		"for the last ones":          {"c", "c", "wait=25s&last=3"},
		"for a pattern":              {"d.e", "d.*", "wait=25s"},
		"for one message":            {"f", "f", "wait=25s&limit=1&since=all"},
		"for seconds":                {"g", "g", "wait=25"},
		"as long as one can":         {"h", "h", "wait=60s"},
		"as many seconds as one can": {"i", "i", "wait=60"},
		"for a minute":               {"j", "j", "wait=1m"},
	} {
		t.Run(name, func(t *testing.T) {
			answered := make(chan answer, 1)
			go func() {
				a, err := s.try("GET", "/topics/"+tt.pattern+"/messages?"+tt.query, "", "User-Agent", "patient")
				if err != nil {
					t.Error(err)
				}
				answered <- a
			}()
			var clients clientPage
			eventually(t, func() bool {
				s.getInto(t, "/clients", &clients)
				return len(clients.Clients) == 1 && len(clients.Clients[0].Subscriptions) == 1
			})
			if c := clients.Clients[0]; c.Transport != "poll" || c.UserAgent != "patient" || c.Subscriptions[0] != tt.pattern {
				t.Errorf("%+v", c)
			}
			s.publish(t, "other", "x")
			select {
			case a := <-answered:
				t.Fatalf("answered too early: %d %s", a.status, a.body)
			default:
			}
			id := s.publish(t, tt.topic, "news")
			a := <-answered
			var page historyPage
			unmarshal(t, a.body, &page)
			if page.data() != "news" || page.Messages[0].ID != id || page.Next != id {
				t.Errorf("%d %s", a.status, a.body)
			}
			eventually(t, func() bool { s.getInto(t, "/clients", &clients); return len(clients.Clients) == 0 })
		})
	}
}

// Who waits is a client: there is a bound on them, and the shutdown does not wait for it.
func TestLongPollIsAClient(t *testing.T) {
	s := start(t, func(s *setup) { s.broker.Clients = 1 })
	const path = "/topics/a/messages?wait=60s"
	answered := make(chan answer, 1)
	go func() {
		a, err := s.try("GET", path, "")
		if err != nil {
			t.Error(err)
		}
		answered <- a
	}()
	eventually(t, func() bool { return value(s.scrape(t), "fanfare_clients", "poll") == 1 })
	checkTooManyClients(t, s.get(t, path))
	if a := s.get(t, "/topics/a/messages"); a.status != http.StatusOK {
		t.Errorf("who does not wait: %d %s", a.status, a.body)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	select {
	case a := <-answered:
		if a.status != http.StatusOK && a.status != http.StatusServiceUnavailable {
			t.Errorf("%d %s", a.status, a.body)
		}
	case <-time.After(patience):
		t.Error("it waits for longer than the server")
	}
}

func TestHistoryProblems(t *testing.T) {
	s := start(t)
	for name, tt := range map[string]struct {
		path string
		code models.Code
	}{
		"half a star":            {mark + "*/messages", models.CodeInvalidTopic},
		"tail inside":            {"%3E." + mark + "/messages", models.CodeInvalidTopic},
		"reserved":               {"$" + mark + "/messages", models.CodeInvalidTopic},
		"bad percent escape":     {mark + "%zz/messages", models.CodeInvalidTopic},
		"since is no id":         {"a/messages?since=" + mark, models.CodeInvalidCursor},
		"since and last":         {"a/messages?since=all&last=1", models.CodeInvalidRequest},
		"last 0":                 {"a/messages?last=0", models.CodeInvalidRequest},
		"last is no number":      {"a/messages?last=" + mark, models.CodeInvalidRequest},
		"last too large":         {"a/messages?last=10001", models.CodeInvalidRequest},
		"limit 0":                {"a/messages?limit=0", models.CodeInvalidRequest},
		"limit too large":        {"a/messages?limit=10001", models.CodeInvalidRequest},
		"wait is no duration":    {"a/messages?wait=" + mark, models.CodeInvalidRequest},
		"wait below 0":           {"a/messages?wait=-1s", models.CodeInvalidRequest},
		"wait below 0, in s":     {"a/messages?wait=-1", models.CodeInvalidRequest},
		"wait too long":          {"a/messages?wait=61s", models.CodeInvalidRequest},
		"wait too long, in s":    {"a/messages?wait=61", models.CodeInvalidRequest},
		"wait a bit too long":    {"a/messages?wait=60.001s", models.CodeInvalidRequest},
		"wait overflows":         {"a/messages?wait=99999999999999999999", models.CodeInvalidRequest},
		"wait wraps":             {"a/messages?wait=18446744073", models.CodeInvalidRequest},
		"wait with half a unit":  {"a/messages?wait=1.5", models.CodeInvalidRequest},
		"wait with a space":      {"a/messages?wait=1%20s", models.CodeInvalidRequest},
		"wait is not a duration": {"a/messages?wait=NaN", models.CodeInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			s.get(t, "/topics/"+tt.path).checkProblem(t, 400, tt.code)
		})
	}
	s.do(t, "POST", "/topics/a/messages", "").checkProblem(t, 405, models.CodeMethodNotAllowed)
	s.do(t, "POST", "/topics/a/clients", "").checkProblem(t, 405, models.CodeMethodNotAllowed)
}

func TestHistoryProblemsOfTheEngine(t *testing.T) {
	for name, tt := range map[string]struct {
		read   func() error
		status int
		code   models.Code
	}{
		"engine unavailable": {func() error { return models.Errorf(models.CodeEngineUnavailable, "the log is away") }, 503, models.CodeEngineUnavailable},
		"internal":           {func() error { return errors.New("disk " + mark) }, 500, models.CodeInternal},
		"panic":              {func() error { panic("nil map " + mark) }, 500, models.CodeInternal},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(s *setup) { s.engine = muteEngine{s.engine, tt.read} })
			for _, query := range []string{"", "?last=1", "?wait=60s", "?since=all"} {
				s.get(t, "/topics/a/messages"+query).checkProblem(t, tt.status, tt.code)
			}
			if got := value(s.scrape(t), "fanfare_clients", "poll"); got != 0 {
				t.Errorf("%v clients are left", got)
			}
		})
	}
}

func TestPurge(t *testing.T) {
	s := start(t)
	before := s.publish(t, "a", "1")
	s.publish(t, "a", "2")
	s.publish(t, "a.b", "3")
	for range 2 { // the second time there is nothing, which is the same
		if a := s.do(t, "DELETE", "/topics/a/messages", ""); a.status != http.StatusNoContent || a.body != "" {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	var page historyPage
	if s.getInto(t, "/topics/a/messages?since="+before, &page); page.data() != "" || page.recovered() != "false" {
		t.Errorf("what is left: %+v", page)
	}
	if s.getInto(t, "/topics/a.b/messages", &page); len(page.Messages) != 1 {
		t.Errorf("another topic: %+v", page)
	}
	after := s.publish(t, "a", "4")
	if s.getInto(t, "/topics/a/messages?since="+after, &page); page.recovered() != "true" {
		t.Errorf("who came later: %+v", page)
	}
	if !strings.Contains(s.log.String(), "level=INFO msg=audit act=purge_topic ") {
		t.Errorf("not logged:\n%s", s.log)
	}
	for name, topic := range badTopics() {
		t.Run(name, func(t *testing.T) {
			s.do(t, "DELETE", "/topics/"+topic+"/messages", "").checkProblem(t, 400, models.CodeInvalidTopic)
		})
	}
}
