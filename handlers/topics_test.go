package handlers_test

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Names of one length, published over connections that are kept: were a name still in a
// buffer of a request, the next request would overwrite it in place.
func TestThousandTopicsComeBackIntact(t *testing.T) {
	s := start(t)
	const publishers, each = 20, 50
	var want []string
	var group sync.WaitGroup
	errs := make(chan error, publishers*each)
	for i := range publishers {
		names := make([]string, each)
		for j := range names {
			names[j] = fmt.Sprintf("room.%02d.ü.%02d", i, j)
		}
		want = append(want, names...)
		group.Go(func() {
			for _, name := range names {
				a, err := s.try("POST", "/topics/"+url.PathEscape(name)+"/publish", strconv.Quote(name))
				if err == nil && a.status != 200 {
					err = errors.New(a.body)
				}
				errs <- err
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{97, 100, 999, 1000, 10_000} {
		t.Run(fmt.Sprint("limit ", limit), func(t *testing.T) {
			if diff := cmp.Diff(want, s.allTopics(t, "", limit)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for _, m := range s.retained(t, ">") {
		if got := string(m.Data); got != strconv.Quote(string(m.Topic)) {
			t.Errorf("%s has the data of %s", m.Topic, got)
		}
	}
}

// allTopics gives the names in all pages, and checks the pages' sizes.
func (s *server) allTopics(t *testing.T, pattern string, limit int) []string {
	t.Helper()
	names := []string{}
	after := ""
	for {
		var page struct {
			Topics []struct {
				Name string `json:"name"`
			} `json:"topics"`
			Next string `json:"next"`
		}
		query := url.Values{"limit": {strconv.Itoa(limit)}, "after": {after}, "pattern": {pattern}}
		s.getInto(t, "/topics?"+query.Encode(), &page)
		for _, topic := range page.Topics {
			names = append(names, topic.Name)
		}
		if page.Next == "" {
			return names
		}
		if len(page.Topics) != limit || page.Next != names[len(names)-1] {
			t.Fatalf("a page of %d, next %q", len(page.Topics), page.Next)
		}
		after = page.Next
	}
}

// On one connection every request has the same buffers. What the first left behind must
// not be in them when the second fills them.
func TestNothingOfARequestOutlivesIt(t *testing.T) {
	s := start(t)
	c := s.dialRaw(t)
	request := func(letter string) string {
		word := strings.Repeat(letter, 40)
		body := `"` + strings.Repeat(letter, 100) + `"`
		return "POST /topics/" + word + "/publish?user=" + word + " HTTP/1.1\r\nHost: " + s.address +
			"\r\nContent-Type: application/json\r\nX: " + word + "\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	}
	letters := "abcdefgh"
	for _, letter := range letters {
		c.send(t, request(string(letter)))
		if a := c.answer(t, "POST"); a.status != 200 {
			t.Fatal(a.body)
		}
	}
	messages := s.retained(t, ">")
	if len(messages) != len(letters) {
		t.Fatalf("%d topics of %d", len(messages), len(letters))
	}
	for i, letter := range letters {
		word := strings.Repeat(string(letter), 40)
		if got := string(messages[i].Topic); got != word {
			t.Errorf("message %d has the topic %s", i, got)
		}
		if got, want := string(messages[i].Data), `"`+strings.Repeat(string(letter), 100)+`"`; got != want {
			t.Errorf("message %d has the data %s", i, got)
		}
		if a := s.get(t, "/topics/"+word); !strings.HasPrefix(a.body, `{"name":"`+word+`",`) {
			t.Errorf("topic %s: %s", word, a.body)
		}
	}
}

func unusualNames() map[string]string {
	return map[string]string{
		"Unicode":             "übung.日本語.עברית",
		"decomposed":          "u\u0308bung",
		"emoji":               "👩‍👩‍👧.🎺",
		"percent":             "100%",
		"slash":               "a/b/c",
		"slashes alone":       "//",
		"dot as in a path":    "a/./b",
		"percent-2F":          "a%2Fb",
		"percent-percent":     "%25%2525",
		"question mark":       "who?me=you",
		"hash":                "c#.sharp",
		"plus":                "a+b",
		"ampersand, equals":   "a&b=c;d",
		"quotes":              `"hi"'there'`,
		"backslash":           `a\b\u0041`,
		"angle bracket":       "<b",
		"braces":              "{name}:id",
		"colon":               ":name",
		"at and comma":        "a@b,c",
		"tilde, backtick":     "~a`b^c|d",
		"dollar inside":       "a.$b$",
		"route's own words":   "publish",
		"slash and publish":   "a/publish",
		"zero width joiner":   "a\u200db",
		"replacement char":    "a\ufffdb",
		"last code point":     "\U0010ffff",
		"longest":             strings.Repeat("a", 255),
		"longest in UTF-8":    strings.Repeat("ü", 127) + "a",
		"many tokens":         strings.TrimSuffix(strings.Repeat("a.", 128), "."),
		"capitals":            "News.EU",
		"a star's look-alike": "∗.﹡",
	}
}

// A name is one topic, whichever way it comes in.
func TestUnusualNamesAreOneTopic(t *testing.T) {
	s := start(t)
	for name, topic := range unusualNames() {
		t.Run(name, func(t *testing.T) {
			escaped := url.PathEscape(topic)
			c := s.dial(t)
			quoted := quote(t, topic)
			want := `{"type":"ack","action":"subscribe","topic":` + quoted + `,"id":"ID"}`
			if diff := cmp.Diff(want, settle(c.ask(t, `{"action":"subscribe","topic":`+quoted+`}`))); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			s.publish(t, escaped, "rest")
			want = `{"type":"message","id":"ID","topic":` + quoted + `,"data":"rest","time":"TIME"}`
			if diff := cmp.Diff(want, settle(c.next(t))); diff != "" {
				t.Errorf("over REST (-want +got):\n%s", diff)
			}
			c.send(t, `{"action":"publish","topic":`+quoted+`,"data":"ws"}`)
			want = `{"type":"message","id":"ID","topic":` + quoted + `,"data":"ws","time":"TIME"}`
			if diff := cmp.Diff(want, settle(c.next(t))); diff != "" {
				t.Errorf("over /ws (-want +got):\n%s", diff)
			}
			for _, path := range []string{"/topics/" + escaped, "/topics/" + escapeAll(topic)} {
				a := s.get(t, path)
				want = `{"name":` + quoted + `,"subscribers":1,"messages":2,"last_id":"ID","last_time":"TIME"}` + "\n"
				if diff := cmp.Diff(want, settle(a.body)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", path, diff)
				}
			}
			if got := s.allTopics(t, topic, 10); !cmp.Equal(got, []string{topic}) {
				t.Errorf("as a pattern: %q", got)
			}
			var clients clientPage
			s.getInto(t, "/clients?topic="+url.QueryEscape(topic), &clients)
			if len(clients.Clients) != 1 || clients.Clients[0].ID != c.id {
				t.Errorf("its clients: %+v", clients)
			}
		})
	}
}

// escapeAll percent-encodes every byte.
func escapeAll(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}

func TestTopics(t *testing.T) {
	s := start(t)
	if diff := cmp.Diff("{\"topics\":[]}\n", s.get(t, "/topics").body); diff != "" {
		t.Errorf("none (-want +got):\n%s", diff)
	}
	c := s.dial(t)
	c.subscribe(t, "a.subscribed")
	c.subscribe(t, "wild.*")
	s.publish(t, "a.published", "1")
	s.publish(t, "a.published", "2")
	s.publish(t, "b", "3")
	tests := map[string]struct{ path, want string }{
		"all, without patterns": {
			"/topics",
			`{"topics":[{"name":"a.published","subscribers":0,"messages":2,"last_id":"ID","last_time":"TIME"},` +
				`{"name":"a.subscribed","subscribers":1,"messages":0},` +
				`{"name":"b","subscribers":0,"messages":1,"last_id":"ID","last_time":"TIME"}]}`,
		},
		"pattern": {
			"/topics?pattern=*",
			`{"topics":[{"name":"b","subscribers":0,"messages":1,"last_id":"ID","last_time":"TIME"}]}`,
		},
		"pattern and limit": {
			"/topics?pattern=a.%3E&limit=1",
			`{"topics":[{"name":"a.published","subscribers":0,"messages":2,"last_id":"ID","last_time":"TIME"}],"next":"a.published"}`,
		},
		"after":                  {"/topics?after=a.published&limit=1", `{"topics":[{"name":"a.subscribed","subscribers":1,"messages":0}],"next":"a.subscribed"}`},
		"after what there isn't": {"/topics?after=aa", `{"topics":[{"name":"b","subscribers":0,"messages":1,"last_id":"ID","last_time":"TIME"}]}`},
		"after the last":         {"/topics?after=b", `{"topics":[]}`},
		"pattern of none":        {"/topics?pattern=c.*", `{"topics":[]}`},
		"empty parameters":       {"/topics?pattern=&limit=&after=b", `{"topics":[]}`},
		"one topic":              {"/topics/a.subscribed", `{"name":"a.subscribed","subscribers":1,"messages":0}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want+"\n", settle(s.get(t, tt.path).body)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
