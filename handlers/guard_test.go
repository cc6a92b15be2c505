package handlers_test

import (
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"fanfare/models"
)

func TestGuardHost(t *testing.T) {
	s := start(t)
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		host string
		want int
	}{
		"localhost":                      {"localhost", 200},
		"localhost and port":             {"localhost:" + port, 200},
		"localhost and another port":     {"localhost:1", 200},
		"capitals":                       {"LOCALHOST:" + port, 200},
		"127.0.0.1":                      {"127.0.0.1", 200},
		"127.0.0.1 and port":             {"127.0.0.1:" + port, 200},
		"anywhere in 127/8":              {"127.9.9.9:" + port, 200},
		"::1":                            {"[::1]", 200},
		"::1 and port":                   {"[::1]:" + port, 200},
		"::1 in full":                    {"[0:0:0:0:0:0:0:1]", 200},
		"127.0.0.1 as IPv6, which is no": {"[::ffff:127.0.0.1]:" + port, 200},

		"foreign name":                    {"evil.com", 403},
		"foreign name and port":           {"evil.com:" + port, 403},
		"name that begins like 127":       {"127.0.0.1.evil.com", 403},
		"name that begins like our own":   {"localhost.evil.com", 403},
		"name that ends like our own":     {"evil-localhost", 403},
		"name below our own":              {"evil.localhost", 403},
		"own with a dot, which is strict": {"localhost.", 403},
		"unspecified address":             {"0.0.0.0:" + port, 403},
		"unspecified IPv6":                {"[::]:" + port, 403},
		"private address":                 {"192.168.0.1", 403},
		"private address as IPv6":         {"[::ffff:192.168.0.1]", 403},
		"short address":                   {"127.1", 403},
		"address as a number":             {"2130706433", 403},
		"address in octal":                {"0177.0.0.1", 403},
		"address in hexadecimal":          {"0x7f.0.0.1", 403},
		"zone":                            {"[::1%25lo]", 403},
		"two ports":                       {"localhost:1:2", 403},
		"port alone":                      {":" + port, 403},
		"empty":                           {"", 403},
		"user and foreign name":           {"localhost@evil.com", 403},
		"list of names":                   {"localhost, evil.com", 403},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := s.dialRaw(t)
			c.send(t, "GET /topics HTTP/1.1\r\nHost: "+tt.host+"\r\nConnection: close\r\n\r\n")
			a := c.answer(t, "GET")
			switch {
			case tt.want == 200 && a.status != 200:
				t.Errorf("%d %s", a.status, a.body)
			case tt.want == 403 && a.status != 400: // or else fasthttp has refused it
				a.checkProblem(t, 403, models.CodeForbidden)
			}
		})
	}
}

// The request target may name the host, too, and then it is the one that counts
// (RFC 9112, section 3.2.2). Here both must be good.
func TestGuardRequestTarget(t *testing.T) {
	s := start(t)
	tests := map[string]struct {
		target, host string
		want         int
	}{
		"own target, own host":        {"http://localhost/topics", "localhost", 200},
		"foreign target, own host":    {"http://evil.com/topics", "localhost", 403},
		"own target, foreign host":    {"http://localhost/topics", "evil.com", 403},
		"foreign https target":        {"https://evil.com/topics", "localhost", 403},
		"user in a foreign target":    {"http://localhost@evil.com/topics", "localhost", 403},
		"target without a scheme":     {"//evil.com/topics", "localhost", 404},
		"target with a path like one": {"/http://localhost/topics", "evil.com", 403},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := s.dialRaw(t)
			c.send(t, "GET "+tt.target+" HTTP/1.1\r\nHost: "+tt.host+"\r\nConnection: close\r\n\r\n")
			if a := c.answer(t, "GET"); a.status != tt.want {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}

func TestGuardOrigin(t *testing.T) {
	s := start(t, func(s *setup) {
		s.handlers.Settings.AllowedOrigins = []string{"https://app.example", "http://localhost:3000"}
	})
	own := "http://" + s.address
	_, port, _ := strings.Cut(s.address, ":")
	tests := map[string]struct {
		headers []string
		want    int
	}{
		"no page":                          {nil, 200},
		"typed address":                    {[]string{"Sec-Fetch-Site", "none"}, 200},
		"own page":                         {[]string{"Sec-Fetch-Site", "same-origin"}, 200},
		"own page, with Origin":            {[]string{"Origin", own, "Sec-Fetch-Site", "same-origin"}, 200},
		"own page of an old browser":       {[]string{"Origin", own}, 200},
		"own page under another name":      {[]string{"Host", "localhost:" + port, "Origin", "http://localhost:" + port}, 200},
		"allowed origin":                   {[]string{"Origin", "https://app.example", "Sec-Fetch-Site", "cross-site"}, 200},
		"allowed origin of an old browser": {[]string{"Origin", "http://localhost:3000"}, 200},

		"foreign origin":                      {[]string{"Origin", "https://evil.com"}, 403},
		"null":                                {[]string{"Origin", "null"}, 403},
		"null from an own frame":              {[]string{"Origin", "null", "Sec-Fetch-Site", "same-origin"}, 403},
		"own name under another one":          {[]string{"Origin", "http://localhost:8080.evil.com"}, 403},
		"own origin and more":                 {[]string{"Origin", own + ".evil.com"}, 403},
		"own origin as a user":                {[]string{"Origin", own + "@evil.com"}, 403},
		"own origin and a path":               {[]string{"Origin", own + "/"}, 403},
		"other port":                          {[]string{"Origin", "http://127.0.0.1:1"}, 403},
		"no port":                             {[]string{"Origin", "http://127.0.0.1"}, 403},
		"own port of another loopback name":   {[]string{"Origin", "http://localhost:" + port}, 403},
		"https":                               {[]string{"Origin", "https://" + s.address}, 403},
		"no scheme":                           {[]string{"Origin", s.address}, 403},
		"allowed origin and more":             {[]string{"Origin", "https://app.example.evil.com"}, 403},
		"allowed origin with another scheme":  {[]string{"Origin", "http://app.example"}, 403},
		"allowed origin with a port":          {[]string{"Origin", "https://app.example:444"}, 403},
		"list of origins":                     {[]string{"Origin", own + " https://evil.com"}, 403},
		"cross-site without Origin":           {[]string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another port of this machine":        {[]string{"Sec-Fetch-Site", "same-site"}, 403},
		"a value that browsers do not have":   {[]string{"Sec-Fetch-Site", mark}, 403},
		"image of a foreign page":             {[]string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 403},
		"link of a foreign page":              {link(), 403},
		"own origin, then a foreign one":      {[]string{"Origin", own, "Origin", "https://evil.com"}, 403},
		"own site, then a foreign one":        {[]string{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Site", "cross-site"}, 403},
		"address typed but Origin is foreign": {[]string{"Origin", "https://evil.com", "Sec-Fetch-Site", "none"}, 403},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, request := range [][3]string{
				{"GET", "/topics", ""}, {"HEAD", "/topics", ""}, {"POST", "/topics/a/publish", mark}, {"GET", "/livez", ""},
			} {
				a := s.do(t, request[0], request[1], request[2], tt.headers...)
				switch {
				case tt.want == 200 || request[0] == "HEAD":
					if a.status != tt.want {
						t.Errorf("%s: %d %s", request, a.status, a.body)
					}
				default:
					a.checkProblem(t, 403, models.CodeForbidden)
				}
			}
		})
	}
}

// link is what a browser sends when somebody follows a link of a foreign page.
func link() []string {
	return []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-User", "?1"}
}

func TestGuardLinks(t *testing.T) {
	s := start(t)
	frame := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}
	script := []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "script"}
	tests := map[string]struct {
		method, path string
		headers      []string
		want         int
	}{
		"console":                {"GET", "/", link(), 200},
		"Swagger UI":             {"GET", "/swagger/", link(), 200},
		"Swagger UI, no slash":   {"GET", "/swagger", link(), 301},
		"console in a frame":     {"GET", "/", frame, 403},
		"console as a script":    {"GET", "/", script, 403},
		"POST to the console":    {"POST", "/", link(), 403},
		"link with an Origin":    {"GET", "/", append(link(), "Origin", "https://evil.com"), 403},
		"link from a proxy":      {"GET", "/", append(link(), "Forwarded", "for=1.2.3.4"), 403},
		"link to a foreign name": {"GET", "/", append(link(), "Host", "evil.com"), 403},
		"topics":                 {"GET", "/topics", link(), 403},
		"a topic":                {"GET", "/topics/a", link(), 403},
		"clients":                {"GET", "/clients", link(), 403},
		"specification":          {"GET", "/swagger/doc.json", link(), 403},
		"a socket":               {"GET", "/ws", append(link(), handshake()...), 403},
		"no such page":           {"GET", "/" + mark, link(), 403},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := s.do(t, tt.method, tt.path, "", tt.headers...)
			if tt.want == 403 {
				a.checkProblem(t, 403, models.CodeForbidden)
			} else if a.status != tt.want {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}

func TestGuardProxies(t *testing.T) {
	s := start(t)
	tests := map[string]struct {
		name, value string
		want        int
	}{
		"Forwarded":                  {"Forwarded", "for=127.0.0.1", 403},
		"X-Forwarded-For":            {"X-Forwarded-For", "127.0.0.1", 403},
		"X-Forwarded-For, empty":     {"X-Forwarded-For", "", 403},
		"X-Forwarded-For, lower":     {"x-forwarded-for", "127.0.0.1", 403},
		"X-Forwarded-For, upper":     {"X-FORWARDED-FOR", "127.0.0.1", 403},
		"X-Forwarded-Host":           {"X-Forwarded-Host", "localhost", 403},
		"X-Forwarded-Proto":          {"X-Forwarded-Proto", "https", 403},
		"X-Forwarded-Port":           {"X-Forwarded-Port", "443", 403},
		"X-Forwarded-Server":         {"X-Forwarded-Server", "proxy", 403},
		"X-Forwarded-Prefix":         {"X-Forwarded-Prefix", "/a", 403},
		"one that is still to come":  {"X-Forwarded-Anything", "x", 403},
		"X-Real-IP":                  {"X-Real-IP", "127.0.0.1", 403},
		"Via":                        {"Via", "1.1 proxy", 403},
		"a name that only resembles": {"X-Forwarded", "x", 200},
		"another name":               {"X-Requested-With", "x", 200},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := s.dialRaw(t)
			c.send(t, "GET /topics HTTP/1.1\r\nHost: localhost\r\n"+tt.name+": "+tt.value+"\r\nConnection: close\r\n\r\n")
			a := c.answer(t, "GET")
			if tt.want == 403 {
				a.checkProblem(t, 403, models.CodeForbidden)
			} else if a.status != tt.want {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}

// Whatever routes there are, none is open to a foreign name, origin or proxy.
func TestGuardStandsBeforeEveryRoute(t *testing.T) {
	s := start(t)
	strangers := map[string][]string{
		"foreign host":   {"Host", "evil.com"},
		"foreign origin": {"Origin", "https://evil.com"},
		"cross-site":     {"Sec-Fetch-Site", "cross-site"},
		"proxy":          {"X-Forwarded-For", "127.0.0.1"},
	}
	for _, target := range s.targets(t) {
		for name, headers := range strangers {
			t.Run(target.method+" "+target.path+" "+name, func(t *testing.T) {
				a := s.do(t, target.method, target.path, "", append(headers, handshake()...)...)
				if target.method == "HEAD" {
					if a.status != 403 {
						t.Errorf("%d", a.status)
					}
					return
				}
				a.checkProblem(t, 403, models.CodeForbidden)
			})
		}
	}
}

func TestGuardOfTheHandshake(t *testing.T) {
	s := start(t, func(s *setup) { s.handlers.Settings.AllowedOrigins = []string{"https://app.example"} })
	tests := map[string]struct {
		origin string
		open   bool
	}{
		"no page":        {"", true},
		"own page":       {"http://" + s.address, true},
		"allowed origin": {"https://app.example", true},
		"foreign origin": {"https://evil.com", false},
		"null":           {"null", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			header := http.Header{}
			if tt.origin != "" {
				header.Set("Origin", tt.origin)
			}
			conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+s.address+"/ws", header)
			if err == nil {
				_ = conn.Close()
			}
			if response == nil {
				t.Fatal(err)
			}
			if tt.open {
				if err != nil {
					t.Errorf("%v: %d", err, response.StatusCode)
				}
				_ = response.Body.Close()
				return
			}
			a, err := newAnswer(response, nil)
			if err != nil {
				t.Fatal(err)
			}
			a.checkProblem(t, 403, models.CodeForbidden)
		})
	}
}

// TestLocalHosts: a server that is for its own machine refuses other host names, also where it knows
// its callers: a foreign name may have been pointed at it. Elsewhere it has to be reached by its name.
func TestLocalHosts(t *testing.T) {
	for name, local := range map[string]bool{"for this machine": true, "for others": false} {
		t.Run(name, func(t *testing.T) {
			s := start(t, withAuth(t, models.Scopes{Publish: []models.Pattern{"open"}}), func(s *setup) { s.handlers.Settings.LocalHosts = local })
			s.publish(t, "open", "1")
			a := s.do(t, "POST", "/topics/open/publish", "1", "Host", "evil.test", "Origin", "http://evil.test")
			if local {
				a.checkProblem(t, http.StatusForbidden, models.CodeForbidden)
			} else if a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}

// TestRefusedOriginsAreCounted like any other request.
func TestRefusedOriginsAreCounted(t *testing.T) {
	s := start(t, func(s *setup) { s.handlers.Settings.Requests = slowly(2) })
	for range 2 {
		s.do(t, "GET", "/topics", "", "Origin", "https://evil.test").checkProblem(t, http.StatusForbidden, models.CodeForbidden)
	}
	checkRateLimited(t, s.do(t, "GET", "/topics", "", "Origin", "https://evil.test"))
	// A page must not be able to keep out whoever reads it.
	if a := s.get(t, "/topics"); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
}
