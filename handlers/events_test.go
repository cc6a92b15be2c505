package handlers_test

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fanfare/broker"
	"fanfare/models"
)

// muteEngine cannot be read, in the way that the test says.
type muteEngine struct {
	broker.Engine
	read func() error
}

func (e muteEngine) Read(context.Context, broker.Query) (broker.Stretch, error) {
	return broker.Stretch{}, e.read()
}

func (e muteEngine) Tail(context.Context, []models.Pattern, models.ID, int) (models.ID, error) {
	return models.ID{}, e.read()
}

// ackOf is the ack of a subscribe on a stream.
func ackOf(members string) string {
	return `{"type":"ack","action":"subscribe",` + members + `,"id":"ID"}`
}

// text is a text message as a frame.
func text(topic, data string) string {
	return `{"type":"message","id":"ID","topic":"` + topic + `","data":"` + data + `","time":"TIME"}`
}

func TestEvents(t *testing.T) {
	s := start(t)
	l := s.listen(t, "topic=news.*&topic=a%2Fb&topic=%C3%BC&topic=news.*")
	first := l.next()
	if diff := cmp.Diff(ackOf(`"topics":["news.*","a/b","ü"]`), settle(first.data)); diff != "" || first.name != "ack" {
		t.Errorf("the event %q (-want +got):\n%s", first.name, diff)
	}
	if !strings.Contains(first.data, `"id":"`+first.id+`"`) {
		t.Errorf("the ack has the id %s: %s", first.id, first.data)
	}
	c := s.dial(t)
	c.subscribe(t, ">")
	for _, topic := range []string{"news.eu", "a%2Fb", "%C3%BC"} {
		s.publish(t, "nobody's", "x")
		c.next(t)
		id := s.publish(t, topic, "hello")
		if diff := cmp.Diff(event{id: id, data: c.next(t)}, l.next(), cmp.AllowUnexported(event{})); diff != "" {
			t.Errorf("%s (-/ws +/events):\n%s", topic, diff)
		}
	}
}

func TestEventsAsLines(t *testing.T) {
	s := start(t)
	l := s.listen(t, "topic=a", "Accept", "application/x-ndjson")
	line, _ := l.line()
	if diff := cmp.Diff(ackOf(`"topic":"a"`), settle(line)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, data := range []string{"one", "two"} {
		s.publish(t, "a", data)
		line, _ = l.line()
		if diff := cmp.Diff(text("a", data), settle(line)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestEventsHeader(t *testing.T) {
	s := start(t)
	for accept, want := range map[string]string{"": "text/event-stream", "application/x-ndjson": "application/x-ndjson"} {
		t.Run(want, func(t *testing.T) {
			c := s.dialRaw(t)
			request := " /events?topic=a HTTP/1.1\r\nHost: " + s.address + "\r\nAccept: " + accept + "\r\n\r\n"
			c.send(t, "GET"+request)
			got, err := http.ReadResponse(c.r, nil) //nolint:bodyclose // it has no end
			if err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]string{
				"Content-Type":           want,
				"Cache-Control":          "no-store, no-transform",
				"X-Accel-Buffering":      "no",
				"X-Content-Type-Options": "nosniff",
				"Content-Length":         "",
			} {
				if got := got.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if got.StatusCode != 200 || !got.Close || len(got.TransferEncoding) > 0 || got.Header.Get("X-Request-Id") == "" {
				t.Errorf("%+v", got)
			}
			if !strings.Contains(s.log.String(), "path=/events status=200") {
				t.Errorf("not logged:\n%s", s.log)
			}

			// HEAD tells as much, and nobody listens. The first line tells that who does is
			// a client by now.
			(&listener{t: t, body: c.r}).line()
			head := s.dialRaw(t)
			head.send(t, "HEAD"+request)
			a := head.answer(t, "HEAD")
			a.header.Del("Date")
			got.Header.Del("Date")
			a.header.Del("X-Request-Id")
			got.Header.Del("X-Request-Id")
			if diff := cmp.Diff(got.Header, a.header); diff != "" || a.status != 200 {
				t.Errorf("HEAD: %d (-GET +HEAD):\n%s", a.status, diff)
			}
			if rest := head.answers(t); len(rest) > 0 {
				t.Errorf("behind the answer to HEAD: %v", rest)
			}
			var clients clientPage
			if s.getInto(t, "/clients", &clients); len(clients.Clients) != 1 {
				t.Errorf("%d clients", len(clients.Clients))
			}
			_ = c.Close()
			eventually(t, func() bool { s.getInto(t, "/clients", &clients); return len(clients.Clients) == 0 })
		})
	}
}

func TestEventsAccept(t *testing.T) {
	s := start(t)
	const sse, ndjson = "text/event-stream", "application/x-ndjson"
	for name, tt := range map[string]struct {
		headers []string
		want    string
	}{
		"none":                      {nil, sse},
		"curl":                      {[]string{"Accept", "*/*"}, sse},
		"EventSource":               {[]string{"Accept", sse}, sse},
		"lines":                     {[]string{"Accept", ndjson}, ndjson},
		"lines with a parameter":    {[]string{"Accept", ndjson + ";q=0.9"}, ndjson},
		"lines, or anything":        {[]string{"Accept", ndjson + ", */*;q=0.1"}, ndjson},
		"lines are second":          {[]string{"Accept", ndjson + ";q=0.5, " + sse}, sse},
		"lines are first":           {[]string{"Accept", sse + ";q=0.5, " + ndjson}, ndjson},
		"lines are refused":         {[]string{"Accept", ndjson + ";q=0"}, sse},
		"something else":            {[]string{"Accept", "text/html"}, sse},
		"what is no Accept at all":  {[]string{"Accept", ";;,/"}, sse},
		"any application":           {[]string{"Accept", "application/*"}, ndjson},
		"a browser's navigation":    {[]string{"Accept", "text/html,application/xhtml+xml,*/*;q=0.8"}, sse},
		"nothing of all that there": {[]string{"Accept", ""}, sse},
	} {
		t.Run(name, func(t *testing.T) {
			l := s.listen(t, "topic=a", tt.headers...)
			if got := l.header.Get("Content-Type"); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			l.leave()
		})
	}
}

func TestEventsProblems(t *testing.T) {
	s := start(t, func(s *setup) { s.broker.Subscriptions = 3 })
	for name, tt := range map[string]struct {
		query   string
		headers []string
		status  int
		code    models.Code
	}{
		"no topic":                 {"", nil, 400, models.CodeInvalidTopic},
		"another parameter":        {"topics=a", nil, 400, models.CodeInvalidTopic},
		"empty topic":              {"topic=", nil, 400, models.CodeInvalidTopic},
		"one is empty":             {"topic=a&topic=", nil, 400, models.CodeInvalidTopic},
		"half a star":              {"topic=" + mark + "*", nil, 400, models.CodeInvalidTopic},
		"tail inside":              {"topic=%3E." + mark, nil, 400, models.CodeInvalidTopic},
		"reserved":                 {"topic=$" + mark, nil, 400, models.CodeInvalidTopic},
		"white space":              {"topic=a+b", nil, 400, models.CodeInvalidTopic},
		"line feed":                {"topic=a%0Ab", nil, 400, models.CodeInvalidTopic},
		"invalid UTF-8":            {"topic=" + mark + "%FF", nil, 400, models.CodeInvalidTopic},
		"too many":                 {"topic=a&topic=b&topic=c&topic=d", nil, 409, models.CodeTooManySubscriptions},
		"since is no id":           {"topic=a&since=" + mark, nil, 400, models.CodeInvalidCursor},
		"since in capitals":        {"topic=a&since=ALL", nil, 400, models.CodeInvalidCursor},
		"since without an epoch":   {"topic=a&since=-1", nil, 400, models.CodeInvalidCursor},
		"since and last":           {"topic=a&since=all&last=1", nil, 400, models.CodeInvalidRequest},
		"last 0":                   {"topic=a&last=0", nil, 400, models.CodeInvalidRequest},
		"last below 0":             {"topic=a&last=-1", nil, 400, models.CodeInvalidRequest},
		"last too large":           {"topic=a&last=10001", nil, 400, models.CodeInvalidRequest},
		"last is no number":        {"topic=a&last=" + mark, nil, 400, models.CodeInvalidRequest},
		"last overflows":           {"topic=a&last=99999999999999999999", nil, 400, models.CodeInvalidRequest},
		"unknown overflow":         {"topic=a&overflow=" + mark, nil, 400, models.CodeInvalidRequest},
		"Last-Event-ID is no id":   {"topic=a", []string{"Last-Event-ID", mark}, 400, models.CodeInvalidCursor},
		"Last-Event-ID over since": {"topic=a&since=all", []string{"Last-Event-ID", "-"}, 400, models.CodeInvalidCursor},
	} {
		t.Run(name, func(t *testing.T) {
			s.do(t, "GET", "/events?"+tt.query, "", tt.headers...).checkProblem(t, tt.status, tt.code)
			s.do(t, "GET", "/events?"+tt.query, "", append(tt.headers, "Accept", "application/x-ndjson")...).
				checkProblem(t, tt.status, tt.code)
		})
	}
	s.do(t, "POST", "/events?topic=a", "").checkProblem(t, 405, models.CodeMethodNotAllowed)
	var clients clientPage
	if s.getInto(t, "/clients", &clients); len(clients.Clients) != 0 {
		t.Errorf("clients: %+v", clients)
	}
}

func TestEventsAreRefusedToTooMany(t *testing.T) {
	s := start(t, func(s *setup) { s.broker.Clients = 1 })
	l := s.listen(t, "topic=a")
	l.next()
	checkTooManyClients(t, s.get(t, "/events?topic=a"))
	checkTooManyClients(t, s.do(t, "GET", "/events?topic=a", "", "Accept", "application/x-ndjson"))
	// A browser's EventSource would never come back after such an answer.
	a := s.do(t, "GET", "/events?topic=a", "", "Accept", "text/event-stream")
	lines := regexp.MustCompile(`^event: error\ndata: \{"type":"error","code":"too_many_clients",.*\}\n\n` +
		`retry: \d{3,4}\nevent: close\ndata: \{"type":"close","code":1001,.*\}\n\n$`)
	if a.status != 200 || a.header.Get("Content-Type") != "text/event-stream" || !lines.MatchString(a.body) {
		t.Errorf("%d %v: %s", a.status, a.header, a.body)
	}
	l.leave()
	eventually(t, func() bool {
		a := s.do(t, "HEAD", "/events?topic=a", "")
		return a.status == 200
	})
}

// Where a stream begins, and what its ack says of it.
func TestEventsBegin(t *testing.T) {
	s := start(t)
	var ids []string
	for _, data := range []string{"1", "2", "3"} {
		ids = append(ids, s.publish(t, "a", `"`+data+`"`))
		s.publish(t, "b", "other")
	}
	epoch, _, _ := strings.Cut(ids[0], "-")
	all := []string{"1", "2", "3"}
	for name, tt := range map[string]struct {
		query, lastEventID string
		// recovered is what the ack says of it, or nothing.
		recovered string
		want      []string
		live      bool
	}{
		"at the present":              {query: "", live: true},
		"empty parameters":            {query: "&since=&last=&overflow=", live: true},
		"since the first":             {query: "&since=" + ids[0], recovered: "true", want: all[1:]},
		"since the last":              {query: "&since=" + ids[2], recovered: "true"},
		"since all":                   {query: "&since=all", recovered: "true", want: all},
		"since another epoch":         {query: "&since=nobody-7", recovered: "false", want: all},
		"since the future":            {query: "&since=" + epoch + "-1000", recovered: "false", want: all},
		"the last":                    {query: "&last=1", want: all[2:]},
		"the last two":                {query: "&last=2", want: all[1:]},
		"the last of more than there": {query: "&last=10000", want: all},
		"a browser that comes back":   {query: "", lastEventID: ids[1], recovered: "true", want: all[2:]},
		"it has an old since":         {query: "&since=" + ids[0], lastEventID: ids[1], recovered: "true", want: all[2:]},
		"it has a last":               {query: "&last=2", lastEventID: ids[1], recovered: "true", want: all[2:]},
		"it was away for a restart":   {query: "", lastEventID: "restart-2", recovered: "false", want: all},
		"it had no id":                {query: "&last=1", lastEventID: "", want: all[2:]},
	} {
		t.Run(name, func(t *testing.T) {
			var headers []string
			if tt.lastEventID != "" {
				headers = []string{"Last-Event-ID", tt.lastEventID}
			}
			l := s.listen(t, "topic=a"+tt.query, headers...)
			members := `"topic":"a"`
			if tt.recovered != "" {
				members += `,"recovered":` + tt.recovered
			}
			want := []string{ackOf(members)}
			for _, data := range tt.want {
				want = append(want, text("a", data))
			}
			if !tt.live {
				want = append(want, `{"type":"caught_up","topic":"a","id":"ID"}`)
			}
			var got []string
			for range want {
				e := l.next()
				got = append(got, settle(e.data))
				if !strings.Contains(e.data, `"id":"`+e.id+`"`) {
					t.Errorf("the id is %s of %s", e.id, e.data)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			lines := s.listen(t, "topic=a"+tt.query, append(headers, "Accept", "application/x-ndjson")...)
			for _, want := range want {
				if got, _ := lines.line(); settle(got) != want {
					t.Errorf("as a line %s, want %s", got, want)
				}
			}
			// From there on it is live.
			id := s.publish(t, "live", "x")
			l.leave()
			lines.leave()
			live := s.listen(t, "topic=live&topic=a&since="+id)
			live.next()
			live.next()
			s.publish(t, "live", "y")
			if got := live.next(); !strings.Contains(got.data, `"y"`) {
				t.Errorf("live: %s", got.data)
			}
			live.leave()
		})
	}
}

// A browser that reconnects, again and again, with the last id that it saw has
// everything, once.
func TestEventsResume(t *testing.T) {
	s := start(t)
	const messages = 40
	last := ""
	seen := 0
	for seen < messages {
		var headers []string
		if last != "" {
			headers = []string{"Last-Event-ID", last}
		}
		l := s.listen(t, "topic=a.*", headers...)
		if e := l.next(); strings.Contains(e.data, "false") {
			t.Fatalf("after %q: %s", last, e.data)
		}
		s.publish(t, "a."+strconv.Itoa(seen%3), strconv.Itoa(seen))
		s.publish(t, "a."+strconv.Itoa(seen%2), strconv.Itoa(seen+1))
		for range 3 { // of which one may be caught_up
			e := l.next()
			if e.name != "" {
				continue
			}
			if !strings.Contains(e.data, `"data":`+strconv.Itoa(seen)+`,`) {
				t.Fatalf("%s, want the data %d", e.data, seen)
			}
			seen++
			if seen%2 == 0 {
				break
			}
		}
		last = l.lastID
		l.leave()
	}
}

func TestEventsOfHTTP10(t *testing.T) {
	s := start(t)
	c := s.dialRaw(t)
	c.send(t, "GET /events?topic=a HTTP/1.0\r\nHost: "+s.address+"\r\n\r\n")
	response, err := http.ReadResponse(c.r, nil) //nolint:bodyclose // it has no end
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{t: t, body: c.r}
	if e := l.next(); response.StatusCode != 200 || e.name != "ack" {
		t.Errorf("%d %+v", response.StatusCode, e)
	}
	s.publish(t, "a", "x")
	if e := l.next(); settle(e.data) != text("a", "x") {
		t.Errorf("%+v", e)
	}
}

func TestEventsClient(t *testing.T) {
	s := start(t)
	for accept, transport := range map[string]string{"text/event-stream": "sse", "application/x-ndjson": "ndjson"} {
		t.Run(transport, func(t *testing.T) {
			l := s.listen(t, "topic=b.%3E&topic=a", "Accept", accept, "User-Agent", "ünusual \xff agent")
			l.line()
			var clients clientPage
			s.getInto(t, "/clients", &clients)
			if len(clients.Clients) != 1 {
				t.Fatalf("clients: %+v", clients)
			}
			got := clients.Clients[0]
			id := got.ID
			if !strings.HasPrefix(got.RemoteAddress, "127.0.0.1:") {
				t.Errorf("remote address %s", got.RemoteAddress)
			}
			got.ID, got.RemoteAddress, got.ConnectedAt = "", "", ""
			want := clientInfo{Transport: transport, UserAgent: "ünusual \ufffd agent", Subscriptions: []string{"a", "b.>"}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := value(s.scrape(t), "fanfare_clients", transport); got != 1 {
				t.Errorf("fanfare_clients: %v", got)
			}
			l.leave()
			eventually(t, func() bool { return s.get(t, "/clients/"+id).status == 404 })
			eventually(t, func() bool {
				return regexp.MustCompile(`msg=client_closed client_id=` + id + `.* code=100[06] `).MatchString(s.log.String())
			})
		})
	}
}

// The end of a stream says why, and the connection ends with it.
func TestEventsEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		end   func(s *server, id string)
		want  string
		retry bool
	}{
		"disconnected": {
			end:  func(s *server, id string) { _, _ = s.try("DELETE", "/clients/"+id, "") },
			want: `{"type":"close","code":4501,"reason":"disconnected by an administrator"}`,
		},
		"shutdown": {
			end:   func(s *server, _ string) { go func() { _ = s.close() }() },
			want:  `{"type":"close","code":1001,"reason":"server going away"}`,
			retry: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			l := s.listen(t, "topic=a")
			l.next()
			var clients clientPage
			s.getInto(t, "/clients", &clients)
			s.publish(t, "a", "last")
			tt.end(s, clients.Clients[0].ID)
			if e := l.next(); settle(e.data) != text("a", "last") {
				t.Errorf("%+v", e)
			}
			if e := l.next(); e.name != "close" || e.data != tt.want {
				t.Errorf("%+v", e)
			}
			if e, ok := l.try(); ok {
				t.Errorf("behind the end: %+v", e)
			}
			if got, _ := strconv.Atoi(l.retry); (got >= 500 && got <= 3000) != tt.retry {
				t.Errorf("retry: %q", l.retry)
			}
			eventually(t, func() bool { return strings.Contains(s.log.String(), "msg=client_closed") })
		})
	}
}

// What cannot be begun says so, although the answer had begun.
func TestEventsThatCannotBegin(t *testing.T) {
	away := models.Errorf(models.CodeEngineUnavailable, "the log is away")
	for name, tt := range map[string]struct {
		read func() error
		want []string
		log  string
	}{
		"engine unavailable": {
			read: func() error { return away },
			want: []string{failure(models.CodeEngineUnavailable, ""), `{"type":"close","code":1001,"reason":"server going away"}`},
		},
		"panic": {
			read: func() error { panic("nil map " + mark) },
			want: []string{`{"type":"close","code":1011,"reason":"internal error"}`},
			log:  "nil map " + mark,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(s *setup) { s.engine = muteEngine{s.engine, tt.read} })
			l := s.listen(t, "topic=a&last=1")
			var got []string
			for e, ok := l.try(); ok; e, ok = l.try() {
				got = append(got, settleError(t, e.data))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !strings.Contains(s.log.String(), tt.log) {
				t.Errorf("not logged:\n%s", s.log)
			}
			var clients clientPage
			eventually(t, func() bool { s.getInto(t, "/clients", &clients); return len(clients.Clients) == 0 })
		})
	}
}

func TestEventsHeartbeat(t *testing.T) {
	s := start(t, func(s *setup) { s.broker.PingInterval = 20 * time.Millisecond })
	quiet, busy := s.listen(t, "topic=quiet"), s.listen(t, "topic=quiet", "Accept", "application/x-ndjson")
	first := quiet.next()
	busy.line()
	for line, ok := quiet.line(); ok && line != ": "; line, ok = quiet.line() {
		if line != "" {
			t.Fatalf("%q", line)
		}
	}
	if line, ok := busy.line(); !ok || line != "" {
		t.Errorf("an empty line would be %q", line)
	}
	// The log goes on without them: their cursors follow.
	id := s.publish(t, "other", "x")
	for quiet.lastID != id {
		line, ok := quiet.line()
		if !ok {
			t.Fatal("the stream has ended")
		}
		if position, found := strings.CutPrefix(line, "id: "); found {
			quiet.lastID = position
		}
	}
	if quiet.lastID == first.id {
		t.Error("the cursor has not moved")
	}
	want := `{"type":"position","id":"` + id + `"}`
	for line, ok := busy.line(); line != want; line, ok = busy.line() {
		if line != "" || !ok {
			t.Fatalf("%q, want %s", line, want)
		}
	}
}

// Whatever is published, to whatever topic, is one event and one line.
func TestEventsCannotBeForged(t *testing.T) {
	s := start(t)
	for name, body := range map[string]string{
		"line feed":              "a\nb",
		"carriage return":        "a\rb",
		"an event":               "x\n\nevent: close\ndata: {}\n\n",
		"an event, by CR alone":  "x\r\rid: 9\rdata: x\r\r",
		"a line":                 "x\n{\"type\":\"close\"}\n",
		"line separators":        "a\u2028b\u2029c\u0085d\ve\ff",
		"NUL":                    "a\x00b",
		"JSON with line breaks":  "{\n\"a\"\r\n:\r[\n1\n]\n}",
		"JSON with a line break": `"\n\ndata: x\n\n"`,
	} {
		t.Run(name, func(t *testing.T) {
			l, lines := s.listen(t, "topic=a"), s.listen(t, "topic=a", "Accept", "application/x-ndjson")
			l.next()
			lines.line()
			c := s.dial(t)
			c.subscribe(t, "a")
			id := s.publish(t, "a", body)
			// What is a line break in Unicode alone is escaped here.
			want := strings.NewReplacer("\u2028", `\u2028`, "\u2029", `\u2029`, "\u0085", `\u0085`).Replace(c.next(t))
			if diff := cmp.Diff(event{id: id, data: want}, l.next(), cmp.AllowUnexported(event{})); diff != "" {
				t.Errorf("(-/ws +/events):\n%s", diff)
			}
			if got, _ := lines.line(); got != want {
				t.Errorf("as a line %s, want %s", got, want)
			}
			// Nothing else has come.
			s.publish(t, "a", "end")
			if e := l.next(); !strings.Contains(e.data, `"end"`) {
				t.Errorf("behind it comes %+v", e)
			}
			if line, _ := lines.line(); !strings.Contains(line, `"end"`) {
				t.Errorf("behind it comes %s", line)
			}
			l.leave()
			lines.leave()
		})
	}
	for name, topic := range unusualNames() {
		t.Run("topic "+name, func(t *testing.T) {
			l := s.listen(t, "topic="+url.QueryEscape(topic))
			if diff := cmp.Diff(ackOf(`"topic":`+quote(t, topic)), settle(l.next().data)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			id := s.publish(t, url.PathEscape(topic), "x")
			want := event{id: id, data: `{"type":"message","id":"` + id + `","topic":` + quote(t, topic) + `,"data":"x","time":"TIME"}`}
			got := l.next()
			got.data = regexp.MustCompile(`"time":"[^"]*"`).ReplaceAllString(got.data, `"time":"TIME"`)
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(event{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			l.leave()
		})
	}
}

// What a client sends behind its request is no request, and is not answered.
func TestEventsIsTheLastRequest(t *testing.T) {
	s := start(t)
	c := s.dialRaw(t)
	next := "POST /topics/a/publish HTTP/1.1\r\nHost: " + s.address + "\r\nContent-Length: 1\r\n\r\nx"
	// The answer to what came before comes first.
	c.send(t, "GET /livez HTTP/1.1\r\nHost: "+s.address+"\r\n\r\n"+
		"GET /events?topic=a HTTP/1.1\r\nHost: "+s.address+"\r\n\r\n"+next)
	if a := c.answer(t, "GET"); a.status != 200 || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	response, err := http.ReadResponse(c.r, nil) //nolint:bodyclose // it has no end
	if err != nil || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%+v, %v", response, err)
	}
	l := &listener{t: t, body: c.r}
	l.next()
	c.send(t, next)
	s.publish(t, "a", "mine")
	if e := l.next(); settle(e.data) != text("a", "mine") {
		t.Errorf("%+v", e)
	}
	if messages := s.retained(t, "a"); len(messages) != 1 {
		t.Errorf("%d messages", len(messages))
	}
}

// Who does not keep up gets what its policy says.
func TestEventsOverflow(t *testing.T) {
	s := start(t, func(s *setup) { s.broker.OutboxSize = 256 << 10 })
	l := s.listen(t, "topic=much&overflow=drop_oldest")
	l.next()
	var clients struct {
		Clients []struct {
			Dropped uint64 `json:"dropped"`
		} `json:"clients"`
	}
	data := strings.Repeat("x", 50_000)
	published := 0
	for {
		s.publish(t, "much", data)
		published++
		if s.getInto(t, "/clients", &clients); clients.Clients[0].Dropped > 0 {
			break
		}
	}
	s.publish(t, "much", "end")
	published++
	messages, told := 0, 0
	for done := false; !done; {
		e := l.next()
		switch e.name {
		case "":
			messages++
			done = strings.Contains(e.data, `"end"`)
		case "notice":
			var notice models.Notice
			unmarshal(t, e.data, &notice)
			told += int(notice.Count) //nolint:gosec // a small number
		default:
			t.Fatalf("%+v", e)
		}
	}
	if told == 0 || messages+told != published {
		t.Errorf("%d messages and %d told of, %d were published", messages, told, published)
	}
}
