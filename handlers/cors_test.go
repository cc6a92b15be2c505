package handlers_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"fanfare/models"
)

const (
	listed      = "https://app.example"
	otherListed = "http://localhost:3000"
)

func listing(s *setup) { s.handlers.Settings.AllowedOrigins = []string{listed, otherListed} }

// preflight is what a browser asks before a request of that origin.
func preflight(origin, method string) []string {
	return []string{"Origin", origin, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", "content-type"}
}

// corsHeaders are those that have to do with CORS.
func corsHeaders(header http.Header) map[string]string {
	found := make(map[string]string)
	for name, values := range header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
			found[name] = strings.Join(values, "; ")
		}
	}
	// Scripts can be compressed; that has nothing to do with origins.
	vary := strings.TrimSuffix(strings.TrimSuffix(found["Vary"], "Accept-Encoding"), ", ")
	if found["Vary"] = vary; vary == "" {
		delete(found, "Vary")
	}
	return found
}

// readable are the CORS headers of an answer that a page of the origin may read.
func readable(origin string) map[string]string {
	return map[string]string{
		"Access-Control-Allow-Origin":   origin,
		"Access-Control-Expose-Headers": "Retry-After, X-Request-Id",
		"Vary":                          "Origin",
	}
}

// target is a request for a route, or for what is none.
type target struct{ method, path string }

// targets are all routes, and more.
func (s *server) targets(t *testing.T) []target {
	t.Helper()
	targets := []target{{"GET", "/nowhere"}, {"FOO", "/topics"}, {"FOO", "/nowhere"}, {"OPTIONS", "/topics/a/publish"}}
	for _, route := range s.app.GetRoutes(true) {
		targets = append(targets, target{route.Method, strings.NewReplacer(":name", "a", ":id", "a").Replace(route.Path)})
	}
	if len(targets) < 20 {
		t.Fatalf("only %d routes", len(targets))
	}
	return targets
}

// Whatever the route and whatever it answers: pages of the allowed origins may read it,
// and those of no other.
func TestCORSOnEveryRoute(t *testing.T) {
	s := start(t, listing)
	own := "http://" + s.address
	_, port, _ := strings.Cut(s.address, ":")
	tests := map[string]struct {
		headers []string
		refused bool
		want    map[string]string
	}{
		"no page":                {},
		"own":                    {headers: []string{"Origin", own}},
		"own under another name": {headers: []string{"Host", "localhost:" + port, "Origin", "http://localhost:" + port}},
		"listed":                 {headers: []string{"Origin", listed, "Sec-Fetch-Site", "cross-site"}, want: readable(listed)},
		"listed, the other":      {headers: []string{"Origin", otherListed, "Sec-Fetch-Site", "same-site"}, want: readable(otherListed)},

		"foreign":                     {headers: []string{"Origin", "https://evil.test"}, refused: true},
		"null":                        {headers: []string{"Origin", "null"}, refused: true},
		"empty":                       {headers: []string{"Origin", ""}, refused: true},
		"star":                        {headers: []string{"Origin", "*"}, refused: true},
		"begins like the own":         {headers: []string{"Origin", own + ".evil.test"}, refused: true},
		"own with a dot":              {headers: []string{"Host", "localhost:" + port, "Origin", "http://localhost.:" + port}, refused: true},
		"own with https":              {headers: []string{"Origin", "https://" + s.address}, refused: true},
		"own with another port":       {headers: []string{"Origin", "http://127.0.0.1:1"}, refused: true},
		"own in capitals":             {headers: []string{"Host", "localhost:" + port, "Origin", "http://LOCALHOST:" + port}, refused: true},
		"own of another name":         {headers: []string{"Origin", "http://localhost:" + port}, refused: true},
		"begins like a listed":        {headers: []string{"Origin", listed + ".evil.test"}, refused: true},
		"ends like a listed":          {headers: []string{"Origin", "https://evil-app.example"}, refused: true},
		"below a listed":              {headers: []string{"Origin", "https://sub.app.example"}, refused: true},
		"listed with a dot":           {headers: []string{"Origin", "https://app.example."}, refused: true},
		"listed with http":            {headers: []string{"Origin", "http://app.example"}, refused: true},
		"listed with https":           {headers: []string{"Origin", "https://localhost:3000"}, refused: true},
		"listed with a port":          {headers: []string{"Origin", listed + ":444"}, refused: true},
		"listed with its own port":    {headers: []string{"Origin", listed + ":443"}, refused: true},
		"listed in capitals":          {headers: []string{"Origin", "https://APP.example"}, refused: true},
		"listed with a slash":         {headers: []string{"Origin", listed + "/"}, refused: true},
		"listed with a path":          {headers: []string{"Origin", listed + "/a"}, refused: true},
		"listed as a user":            {headers: []string{"Origin", listed + "@evil.test"}, refused: true},
		"list with a comma":           {headers: []string{"Origin", listed + "," + otherListed}, refused: true},
		"list with a space":           {headers: []string{"Origin", listed + " " + otherListed}, refused: true},
		"two, both listed":            {headers: []string{"Origin", listed, "Origin", otherListed}, refused: true},
		"two, listed first":           {headers: []string{"Origin", listed, "Origin", "https://evil.test"}, refused: true},
		"two, listed last":            {headers: []string{"Origin", "https://evil.test", "Origin", listed}, refused: true},
		"listed, but a foreign host":  {headers: []string{"Origin", listed, "Host", "evil.test"}, refused: true},
		"listed, but through a proxy": {headers: []string{"Origin", listed, "Via", "1.1 proxy"}, refused: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, target := range s.targets(t) {
				a := s.do(t, target.method, target.path, "", tt.headers...)
				if (a.status == http.StatusForbidden) != tt.refused {
					t.Errorf("%s: %d %s", target, a.status, a.body)
				}
				if tt.refused && target.method != http.MethodHead {
					a.checkProblem(t, http.StatusForbidden, models.CodeForbidden)
				}
				if diff := cmp.Diff(tt.want, corsHeaders(a.header), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s: CORS headers (-want +got):\n%s", target, diff)
				}
				checkProtected(t, target, a)
			}
		})
	}
}

// checkProtected checks for what every answer has, whoever asked.
func checkProtected(t *testing.T, target target, a answer) {
	t.Helper()
	copies := "no-store"
	isFile := slices.Contains([]string{"/client.js", "/openapi.json", "/asyncapi.json"}, target.path)
	if isFile && a.status == http.StatusOK {
		copies = "no-cache"
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options":       "nosniff",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cache-Control":                copies,
	} {
		if got := a.header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %s: %q, want %q", target, name, got, want)
		}
	}
}

func TestCORSPreflight(t *testing.T) {
	s := start(t, listing)
	want := readable(listed)
	want["Access-Control-Allow-Methods"] = "GET, HEAD, POST, PUT, DELETE"
	want["Access-Control-Allow-Headers"] = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Traceparent, Tracestate"
	want["Access-Control-Max-Age"] = "7200"
	ofThisMachine := maps.Clone(want)
	ofThisMachine["Access-Control-Allow-Private-Network"] = "true"
	private := []string{"Access-Control-Request-Private-Network", "true"}
	tests := map[string]struct {
		headers []string
		status  int
		want    map[string]string
	}{
		"listed":                     {preflight(listed, "POST"), 204, want},
		"listed, to this machine":    {append(preflight(listed, "POST"), private...), 204, ofThisMachine},
		"listed, and not private":    {append(preflight(listed, "POST"), private[0], "false"), 204, want},
		"listed, but no preflight":   {[]string{"Origin", listed}, 405, readable(listed)},
		"own, which needs none":      {preflight("http://"+s.address, "POST"), 405, nil},
		"no page":                    {[]string{"Access-Control-Request-Method", "POST"}, 405, nil},
		"foreign":                    {preflight("https://evil.test", "POST"), 403, nil},
		"foreign, to this machine":   {append(preflight("https://evil.test", "POST"), private...), 403, nil},
		"null":                       {preflight("null", "POST"), 403, nil},
		"listed, but a foreign host": {append(preflight(listed, "POST"), "Host", "evil.test"), 403, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := s.do(t, "OPTIONS", "/topics/a/publish", "", tt.headers...)
			if a.status != tt.status {
				t.Errorf("%d %s", a.status, a.body)
			}
			if diff := cmp.Diff(tt.want, corsHeaders(a.header), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("CORS headers (-want +got):\n%s", diff)
			}
		})
	}
}

// Nobody is on an empty list.
func TestCORSIsOffByDefault(t *testing.T) {
	s := start(t)
	for _, origin := range []string{"", "*", "null", listed} {
		for _, method := range []string{"GET", "OPTIONS"} {
			a := s.do(t, method, "/topics", "", preflight(origin, "GET")...)
			a.checkProblem(t, http.StatusForbidden, models.CodeForbidden)
			if found := corsHeaders(a.header); len(found) > 0 {
				t.Errorf("%s of %q: %v", method, origin, found)
			}
		}
	}
}

// The header of a stream goes out by another way than that of other answers.
func TestCORSOfAStream(t *testing.T) {
	s := start(t, listing)
	for _, accept := range []string{"text/event-stream", "application/x-ndjson"} {
		l := s.listen(t, "topic=a", "Origin", listed, "Accept", accept)
		if diff := cmp.Diff(readable(listed), corsHeaders(l.header)); diff != "" {
			t.Errorf("%s: CORS headers (-want +got):\n%s", accept, diff)
		}
		if got := l.header.Get("Cross-Origin-Resource-Policy"); got != "same-origin" {
			t.Errorf("%s: Cross-Origin-Resource-Policy %q", accept, got)
		}
		l.leave()
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	for _, accept := range []string{"text/event-stream", "*/*"} { // the first as a stream, the second as a problem
		a := s.do(t, "GET", "/events?topic=a", "", "Origin", listed, "Accept", accept)
		if diff := cmp.Diff(readable(listed), corsHeaders(a.header)); diff != "" {
			t.Errorf("%s, during the shutdown, %d: CORS headers (-want +got):\n%s", accept, a.status, diff)
		}
	}
}

// A body that is too large is so for a listed origin alone: others are refused before it is read.
func TestCORSOfWhatIsTooLarge(t *testing.T) {
	s := start(t, listing)
	body := strings.Repeat("x", messageSize+1)
	a := s.do(t, "POST", "/topics/a/publish", body, "Origin", listed)
	a.checkProblem(t, http.StatusRequestEntityTooLarge, models.CodePayloadTooLarge)
	if diff := cmp.Diff(readable(listed), corsHeaders(a.header)); diff != "" {
		t.Errorf("CORS headers (-want +got):\n%s", diff)
	}
	checkProtected(t, target{"POST", "too large"}, a)
	a = s.do(t, "POST", "/topics/a/publish", body, "Origin", "https://evil.test")
	a.checkProblem(t, http.StatusForbidden, models.CodeForbidden)
	checkProtected(t, target{"POST", "foreign"}, a)
}
