package handlers_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"fanfare/handlers/auth"
	"fanfare/models"
)

// secret signs the tests' tokens.
const secret = "0123456789abcdef0123456789abcdef-" + mark

// grant is a token's scopes.
type grant map[string]any

// token signs a token for a user with scopes. Changes may make it another.
func token(user string, scopes grant, changes ...func(jwt.MapClaims)) string {
	claims := jwt.MapClaims{
		"sub": user, "exp": time.Now().Add(time.Hour).Unix(), "aud": "fanfare", "iss": "issuer", "fanfare": scopes,
	}
	for _, change := range changes {
		change(claims)
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		panic(err)
	}
	return signed
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// requestIDPattern finds what differs between answers.
func requestIDPattern() *regexp.Regexp { return regexp.MustCompile(`[a-z0-9]{8}-[0-9]+`) }

// upgrade opens a WebSocket of which nothing has been read.
func (s *server) upgrade(t *testing.T, query string, headers ...string) *wsClient {
	t.Helper()
	header := http.Header{}
	for pair := range slices.Chunk(headers, 2) {
		header.Add(pair[0], pair[1])
	}
	conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+s.address+"/ws"+query, header)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &wsClient{Conn: conn}
}

// apiKey is one that may publish to keys.>.
const apiKey = "key-" + mark + "-0123456789"

// withAuth has the server take tokens that are signed with secret, and a key, and strangers as
// they are described.
func withAuth(t *testing.T, anonymous models.Scopes) func(*setup) {
	t.Helper()
	authenticator, err := auth.New(auth.Options{
		Tokens: &auth.TokenOptions{
			Algorithms: []string{"HS256"}, Key: []byte(secret), Issuer: "issuer", Audience: "fanfare",
		},
		Keys: []auth.Key{
			{Name: "reports", Hash: auth.HashKey(apiKey), Scopes: models.Scopes{Publish: []models.Pattern{"keys.>"}}},
		},
		Anonymous: anonymous,
	})
	if err != nil {
		t.Fatal(err)
	}
	return func(s *setup) { s.handlers.Settings.Auth, s.handlers.AuthTimeout = authenticator, patience }
}

// access is what a route answers to whom: nobody, somebody with other scopes, with the right ones,
// and an administrator without any.
type access struct {
	method, path, body           string
	nobody, others, right, admin int
}

// allRoutes has a row for every route, and more for those that have several ways.
func allRoutes() map[string]access {
	const ok, none, denied, refused = http.StatusOK, http.StatusNoContent, http.StatusForbidden, http.StatusUnauthorized
	return map[string]access{
		"POST /publish":                   {"POST", "/publish", `{"messages":[{"topic":"a.b","data":1}]}`, refused, ok, ok, denied},
		"POST /topics/:name/publish":      {"POST", "/topics/a.b/publish", "1", refused, denied, ok, denied},
		"GET /topics/:name/messages":      {"GET", "/topics/a.b/messages", "", refused, denied, ok, denied},
		"GET /topics/:name/messages poll": {"GET", "/topics/a.b/messages?wait=1ms&last=1", "", refused, denied, ok, denied},
		"GET /topics/:name/messages all":  {"GET", "/topics/a.%3E/messages", "", refused, denied, ok, denied},
		"GET /topics/:name/messages more": {"GET", "/topics/%3E/messages", "", refused, denied, denied, denied},
		"GET /topics/:name/clients":       {"GET", "/topics/a.b/clients", "", refused, denied, ok, denied},
		"GET /events":                     {"HEAD", "/events?topic=a.*", "", refused, denied, ok, denied},
		"GET /events more":                {"HEAD", "/events?topic=a.*&topic=b", "", refused, denied, denied, denied},
		"GET /events one":                 {"HEAD", "/events?topic=a.b&last=1", "", refused, denied, ok, denied},
		"GET /topics":                     {"GET", "/topics", "", refused, denied, denied, ok},
		"GET /topics/:name":               {"GET", "/topics/kept", "", refused, denied, denied, ok},
		"DELETE /topics/:name/messages":   {"DELETE", "/topics/a.b/messages", "", refused, denied, denied, none},
		"GET /clients":                    {"GET", "/clients", "", refused, denied, denied, ok},
		"DELETE /clients":                 {"DELETE", "/clients?user=nobody", "", refused, denied, denied, ok},
		"GET /clients/:id":                {"GET", "/clients/none", "", refused, denied, denied, http.StatusNotFound},
		"DELETE /clients/:id":             {"DELETE", "/clients/none", "", refused, denied, denied, http.StatusNotFound},
		"GET /metrics":                    {"GET", "/metrics", "", refused, denied, denied, ok},
		"GET /log/level":                  {"GET", "/log/level", "", refused, denied, denied, ok},
		"PUT /log/level":                  {"PUT", "/log/level", `{"level":"debug"}`, refused, denied, denied, ok},
		"GET /debug/pprof/:profile":       {"GET", "/debug/pprof/goroutine", "", refused, denied, denied, ok},
		"GET /livez":                      {"GET", "/livez", "", ok, ok, ok, ok},
		"GET /readyz":                     {"GET", "/readyz", "", ok, ok, ok, ok},
		"GET /":                           {"GET", "/", "", ok, ok, ok, ok},
		"GET /client.js":                  {"GET", "/client.js", "", ok, ok, ok, ok},
		"GET /console/:file":              {"GET", "/console/main.js", "", ok, ok, ok, ok},
		"GET /openapi.json":               {"GET", "/openapi.json", "", ok, ok, ok, ok},
		"GET /asyncapi.json":              {"GET", "/asyncapi.json", "", ok, ok, ok, ok},
		"GET /swagger":                    {"GET", "/swagger", "", 301, 301, 301, 301},
		"GET /swagger/":                   {"GET", "/swagger/", "", ok, ok, ok, ok},
		"GET /swagger/doc.json":           {"GET", "/swagger/doc.json", "", ok, ok, ok, ok},
		"GET /swagger/swagger-ui.css":     {"GET", "/swagger/swagger-ui.css", "", ok, ok, ok, ok},
		"GET /swagger/swagger-ui-bundle.js": {
			"GET", "/swagger/swagger-ui-bundle.js", "", ok, ok, ok, ok,
		},
		"GET /ws": {"GET", "/ws", "", 426, 426, 426, 426}, // TestWebSocketAccess
	}
}

// TestAccess: every route says 401, 403 or yes, as it should. A new one needs a row.
func TestAccess(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{}))
	rights := grant{"publish": []string{"a.>"}, "subscribe": []string{"a.>"}}
	s.publish(t, "kept", "1", bearer(token("setup", grant{"publish": []string{"kept"}}))...)
	routes := allRoutes()
	for _, route := range s.app.GetRoutes(true) {
		// Fiber has HEAD for each GET; unknown methods are turned away.
		if _, found := routes[route.Method+" "+route.Path]; !found && route.Method != http.MethodHead {
			t.Errorf("no row for %s %s", route.Method, route.Path)
		}
	}
	for name, r := range routes {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				who     string
				headers []string
				want    int
			}{
				{"nobody", nil, r.nobody},
				{"others", bearer(token("bob", grant{"publish": []string{"b.>", "a"}, "subscribe": []string{"b.>", "a", "a.b.>"}})), r.others},
				{"right", bearer(token("ada", rights)), r.right},
				{"admin", bearer(token("root", grant{"admin": true})), r.admin},
			} {
				a := s.do(t, r.method, r.path, r.body, c.headers...)
				if a.status != c.want {
					t.Errorf("%s: %d, want %d: %s", c.who, a.status, c.want, a.body)
				}
				switch a.status {
				case http.StatusUnauthorized:
					if r.method != "HEAD" {
						a.checkProblem(t, http.StatusUnauthorized, models.CodeUnauthorized)
					}
					if a.header.Get("WWW-Authenticate") != "Bearer" {
						t.Errorf("WWW-Authenticate: %q", a.header.Get("WWW-Authenticate"))
					}
				case http.StatusForbidden:
					if r.method != "HEAD" {
						a.checkProblem(t, http.StatusForbidden, models.CodeForbidden)
					}
				}
			}
		})
	}
}

// TestBatchAccess: of a batch, what is not allowed is refused message by message.
func TestBatchAccess(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{}))
	a := s.do(t, "POST", "/publish", `{"messages":[{"topic":"a.b","data":1},{"topic":"b","data":2}]}`,
		bearer(token("ada", grant{"publish": []string{"a.>"}}))...)
	var answer struct {
		Results []batchResult `json:"results"`
	}
	unmarshal(t, a.body, &answer)
	if r := answer.Results; len(r) != 2 || r[0].ID == "" || r[1].Code != models.CodeForbidden || r[1].Status != http.StatusForbidden {
		t.Errorf("%d %s", a.status, a.body)
	}
	if all := s.retained(t, ">"); len(all) != 1 || all[0].Topic != "a.b" || all[0].From != "ada" {
		t.Errorf("published was %+v", all)
	}
}

// askError is ask for what is answered by an error, whose message is left out.
func (c *wsClient) askError(t *testing.T, text string) string {
	t.Helper()
	return settleError(t, c.ask(t, text))
}

// TestStrangers: they may do what is open to everybody, and are told to say who they are for
// the rest. They may do so any time.
func TestStrangers(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{Publish: []models.Pattern{"open.in"}, Subscribe: []models.Pattern{"open.>"}}))
	s.publish(t, "open.in", "1")
	if a := s.do(t, "POST", "/topics/open.out/publish", "1"); a.status != http.StatusUnauthorized {
		t.Errorf("%d %s", a.status, a.body)
	}
	c := s.dial(t)
	c.subscribe(t, "open.*")
	for _, request := range []string{
		`{"action":"subscribe","topic":">","ref":1}`,
		`{"action":"subscribe","topics":["open.a","b"],"ref":1}`,
		`{"action":"presence","topic":"a","ref":1}`,
		`{"action":"publish","topic":"open.out","data":1,"ref":1}`,
	} {
		if got := c.askError(t, request); got != failure(models.CodeUnauthorized, "1") {
			t.Errorf("%s is answered with %s", request, got)
		}
	}
	ada := token("ada", grant{"publish": []string{">"}, "subscribe": []string{"open.>"}})
	if got := c.ask(t, `{"action":"auth","token":"`+ada+`","ref":3}`); got != `{"type":"ack","action":"auth","ref":3}` {
		t.Errorf("got %s", got)
	}
	if got := c.askError(t, `{"action":"subscribe","topic":">","ref":1}`); got != failure(models.CodeForbidden, "1") {
		t.Errorf("got %s", got)
	}
	if got := c.ask(t, `{"action":"publish","topic":"open.out","data":1}`); !strings.Contains(got, `"from":"ada"`) {
		t.Errorf("got %s", got)
	}
}

// TestFrom: it is the name of the token or the key, whatever the message says.
func TestFrom(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{Publish: []models.Pattern{"open"}}))
	s.publish(t, "open", `{"from":"eve"}`)
	s.publish(t, "open", `1`, bearer(token("ada", grant{"publish": []string{"open"}}))...)
	s.publish(t, "keys.a", `2`, bearer(apiKey)...)
	if a := s.do(t, "POST", "/topics/keys.a/publish?access_token="+apiKey, `3`); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
	var from []string
	for _, m := range s.retained(t, ">") {
		from = append(from, m.From)
	}
	if diff := cmp.Diff([]string{"", "ada", "reports", "reports"}, from); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWebSocketAccess: a browser cannot see a 401, so whoever has no good token is told on the
// connection, and that it need not come back.
func TestWebSocketAccess(t *testing.T) {
	for name, c := range map[string]struct {
		query   string
		headers []string
		code    models.Code
	}{
		"a bad token":            {headers: bearer("no"), code: models.CodeUnauthorized},
		"a bad token in the URL": {query: "?access_token=no", code: models.CodeUnauthorized},
		"an expired one":         {headers: bearer(token("ada", nil, expired)), code: models.CodeUnauthorized},
		"another scheme":         {headers: []string{"Authorization", "Basic YTpi"}, code: models.CodeUnauthorized},
		"two tokens": {
			query: "?access_token=" + token("ada", nil), headers: bearer(token("ada", nil)), code: models.CodeInvalidRequest,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, withAuth(t, models.Scopes{}))
			conn := s.upgrade(t, c.query, c.headers...)
			if got := settleError(t, conn.next(t)); got != failure(c.code, "") {
				t.Errorf("got %s", got)
			}
			if code := conn.closeCode(t); code != int(models.CloseUnauthorized) {
				t.Errorf("close code %d", code)
			}
		})
	}
}

// TestWebSocketWithoutToken: it may say who it is for a while, and do nothing else.
func TestWebSocketWithoutToken(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{}))
	c := s.dial(t)
	if got := c.askError(t, `{"action":"subscribe","topic":"a","ref":1}`); got != failure(models.CodeUnauthorized, "1") {
		t.Errorf("got %s", got)
	}
	if got := c.askError(t, `{"action":"auth","token":"no","ref":2}`); got != failure(models.CodeUnauthorized, "2") {
		t.Errorf("got %s", got)
	}
	if got := c.ask(t, `{"action":"auth","token":"`+token("ada", grant{"subscribe": []string{"a"}})+`","ref":3}`); !strings.HasPrefix(got, `{"type":"ack"`) {
		t.Errorf("got %s", got)
	}
	c.subscribe(t, "a")

	hurried := start(t, withAuth(t, models.Scopes{}), func(s *setup) { s.handlers.AuthTimeout = time.Millisecond })
	late := hurried.upgrade(t, "")
	if got := late.next(t); !strings.HasPrefix(got, `{"type":"welcome"`) {
		t.Errorf("got %s", got)
	}
	if got := settleError(t, late.next(t)); got != failure(models.CodeUnauthorized, "") {
		t.Errorf("got %s", got)
	}
	if code := late.closeCode(t); code != int(models.CloseUnauthorized) {
		t.Errorf("close code %d", code)
	}
}

// TestRenewal: a token is renewed by another one of the same user, and ends what that does not
// cover. A bad one changes nothing.
func TestRenewal(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{}))
	all := grant{"subscribe": []string{">"}, "publish": []string{">"}}
	c := s.dial(t, bearer(token("ada", all))...)
	c.subscribe(t, "a")
	c.subscribe(t, "b.*")
	for name, bad := range map[string]string{
		"another user's": token("bob", all), "no token": "no", "expired": token("ada", all, expired),
	} {
		code := models.CodeUnauthorized
		if name == "another user's" {
			code = models.CodeForbidden
		}
		if got := c.askError(t, `{"action":"auth","token":"`+bad+`","ref":1}`); got != failure(code, "1") {
			t.Errorf("%s: %s", name, got)
		}
	}
	less := token("ada", grant{"subscribe": []string{"a.>", "a"}, "publish": []string{"a", "b.c"}})
	if got := c.ask(t, `{"action":"auth","token":"`+less+`","ref":1}`); got != `{"type":"notice","code":"forbidden","topic":"b.*"}` {
		t.Errorf("got %s", got)
	}
	if got := c.next(t); got != `{"type":"ack","action":"auth","ref":1}` {
		t.Errorf("got %s", got)
	}
	c.send(t, `{"action":"publish","topic":"b.c","data":1}`)
	if got := c.ask(t, `{"action":"publish","topic":"a","data":2}`); !strings.Contains(got, `"data":2`) {
		t.Errorf("got %s", got)
	}
	if got := c.askError(t, `{"action":"publish","topic":"b.d","data":1}`); got != failure(models.CodeForbidden, "") {
		t.Errorf("got %s", got)
	}
}

// TestTokenExpiry: it ends WebSockets, streams and polls.
func TestTokenExpiry(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{}))
	soon := token("ada", grant{"subscribe": []string{">"}}, func(c jwt.MapClaims) { c["exp"] = time.Now().Add(2 * time.Second).Unix() })
	c := s.dial(t, bearer(soon)...)
	l := s.listen(t, "topic=a", bearer(soon)...)
	polled := make(chan answer, 1)
	go func() {
		a, _ := s.try("GET", "/topics/a/messages?wait=25s", "", bearer(soon)...)
		polled <- a
	}()
	if code := c.closeCode(t); code != int(models.CloseTokenExpired) {
		t.Errorf("close code %d", code)
	}
	l.next() // its ack
	if e := l.next(); e.name != "close" || e.data != `{"type":"close","code":4003,"reason":"token expired"}` {
		t.Errorf("the stream ends with %+v", e)
	}
	if a := <-polled; a.status != http.StatusOK {
		t.Errorf("the poll is answered with %d %s", a.status, a.body)
	}
	if a := s.do(t, "GET", "/topics/a/messages", "", bearer(soon)...); a.status != http.StatusUnauthorized {
		t.Errorf("it is still good: %d", a.status)
	}
}

func expired(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Minute).Unix() }

// signed signs claims another way.
func signed(method jwt.SigningMethod, key any, claims jwt.MapClaims, header map[string]any) string {
	token := jwt.NewWithClaims(method, claims)
	maps.Copy(token.Header, header)
	text, err := token.SignedString(key)
	if err != nil {
		panic(err)
	}
	return text
}

// TestRefusedTokens: whatever is wrong with a token, the answer is the same, and says nothing of it.
func TestRefusedTokens(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	withRSA, err := auth.New(auth.Options{Tokens: &auth.TokenOptions{Algorithms: []string{"RS256"}, Key: publicPEM}})
	if err != nil {
		t.Fatal(err)
	}
	all := grant{"subscribe": []string{">"}, "publish": []string{">"}, "admin": true}
	claims := func() jwt.MapClaims {
		return jwt.MapClaims{"sub": "ada", "exp": time.Now().Add(time.Hour).Unix(), "aud": "fanfare", "iss": "issuer", "fanfare": all}
	}
	good := token("ada", all)
	parts := strings.Split(good, ".")
	ways := map[string]func(s *setup){
		"a secret":     withAuth(t, models.Scopes{}),
		"a public key": func(s *setup) { s.handlers.Settings.Auth, s.handlers.AuthTimeout = withRSA, patience },
	}
	tokens := map[string]string{
		"no token":              mark,
		"empty parts":           "..",
		"alg none":              signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(), nil),
		"alg none, no dot":      strings.TrimSuffix(signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(), nil), "."),
		"no signature":          parts[0] + "." + parts[1] + ".",
		"another secret":        signed(jwt.SigningMethodHS256, []byte(strings.Repeat("x", 64)), claims(), nil),
		"the empty secret":      signed(jwt.SigningMethodHS256, []byte{}, claims(), nil),
		"public key as secret":  signed(jwt.SigningMethodHS256, publicPEM, claims(), nil),
		"another algorithm":     signed(jwt.SigningMethodHS384, []byte(secret), claims(), nil),
		"the other RSA":         signed(jwt.SigningMethodPS256, rsaKey, claims(), nil),
		"claims of another":     strings.Join([]string{parts[0], strings.Split(token("eve", all), ".")[1], parts[2]}, "."),
		"not for us":            token("ada", all, func(c jwt.MapClaims) { c["aud"] = []string{"others"} }),
		"for nobody":            token("ada", all, func(c jwt.MapClaims) { delete(c, "aud") }),
		"of another issuer":     token("ada", all, func(c jwt.MapClaims) { c["iss"] = "others" }),
		"expired":               token("ada", all, expired),
		"without an expiry":     token("ada", all, func(c jwt.MapClaims) { delete(c, "exp") }),
		"an expiry that is not": token("ada", all, func(c jwt.MapClaims) { c["exp"] = "never" }),
		"not yet valid":         token("ada", all, func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Hour).Unix() }),
		"without a name":        token("", all),
		"a name that is none":   token("a\nb", all),
		"a very long name":      token(strings.Repeat("a", 256), all),
		"scopes that are none":  token("ada", grant{"subscribe": []string{"a..b"}}),
		"scopes of a kind":      token("ada", grant{"subscribe": "everything"}),
		"critical":              signed(jwt.SigningMethodHS256, []byte(secret), claims(), map[string]any{"crit": []string{"b64"}, "b64": false}),
		"large":                 token("ada", grant{"note": strings.Repeat("x", 10<<10)}),
	}
	for way, change := range ways {
		t.Run(way, func(t *testing.T) {
			s := start(t, change)
			first := ""
			for name, text := range tokens {
				a := s.do(t, "GET", "/clients", "", bearer(text)...)
				a.checkProblem(t, http.StatusUnauthorized, models.CodeUnauthorized)
				body := requestIDPattern().ReplaceAllString(a.body, "ID")
				if first == "" {
					first = body
				}
				if a.status != http.StatusUnauthorized || body != first {
					t.Errorf("%s: %d %s", name, a.status, a.body)
				}
			}
			for _, secret := range []string{parts[1], parts[2], secret, mark} {
				if strings.Contains(s.log.String(), secret) {
					t.Errorf("the log has %q", secret)
				}
			}
		})
	}
	t.Run("100 KiB", func(t *testing.T) {
		s := start(t, ways["a secret"])
		huge := token("ada", grant{"note": strings.Repeat("x", 100<<10)})
		if a := s.do(t, "GET", "/clients", "", bearer(huge)...); a.status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%d %s", a.status, a.body)
		}
		if a := s.do(t, "GET", "/clients?access_token="+huge, ""); a.status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%d %s", a.status, a.body)
		}
		large := token("ada", grant{"note": strings.Repeat("x", 50<<10)})
		if got := s.dial(t).askError(t, `{"action":"auth","token":"`+large+`","ref":1}`); got != failure(models.CodeUnauthorized, "1") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("good ones", func(t *testing.T) {
		secretive, open := start(t, ways["a secret"]), start(t, ways["a public key"])
		for name, a := range map[string]answer{
			"a secret":     secretive.do(t, "GET", "/clients", "", bearer(good)...),
			"lower case":   secretive.do(t, "GET", "/clients", "", "Authorization", "bearer "+good),
			"in the URL":   secretive.do(t, "GET", "/clients?access_token="+good, ""),
			"a public key": open.do(t, "GET", "/clients", "", bearer(signed(jwt.SigningMethodRS256, rsaKey, claims(), nil))...),
		} {
			if a.status != http.StatusOK {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
		}
	})
}

// TestNothingSecretIsLogged at any level: no token, key or payload, in whatever way it comes.
func TestNothingSecretIsLogged(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{}))
	all := token("ada", grant{"subscribe": []string{">"}, "publish": []string{">"}, "admin": true})
	bad := token("ada", nil, expired)
	payload := `"` + mark + `"`
	for _, credential := range []string{all, bad, apiKey} {
		for _, query := range []string{"", "?access_token=" + credential} {
			headers := bearer(credential)
			if query != "" {
				headers = nil
			}
			for _, r := range allRoutes() {
				if r.path == "/ws" || strings.Contains(r.path, "?") {
					continue
				}
				s.do(t, r.method, r.path+query, payload, headers...)
			}
			conn := s.upgrade(t, query, headers...)
			for _, frame := range []string{
				`{"action":"publish","topic":"a","data":` + payload + `}`,
				`{"action":"auth","token":"` + bad + `"}`,
				`{"action":"auth","token":"` + all + `"}`,
				`{"action":"` + credential + `"}`,
				`{"token":"` + credential,
				payload,
			} {
				if conn.WriteMessage(websocket.TextMessage, []byte(frame)) != nil {
					break // it is closed by now
				}
			}
			_ = conn.WriteMessage(websocket.CloseMessage, nil)
			conn.closeCode(t)
		}
	}
	log := s.log.String()
	for _, secret := range []string{mark, strings.Split(all, ".")[1], strings.Split(all, ".")[2], strings.Split(bad, ".")[1], apiKey, auth.HashKey(apiKey)} {
		if i := strings.Index(log, secret); i >= 0 {
			t.Errorf("the log has %q: %s", secret, log[max(0, i-200):i])
		}
	}
	if !strings.Contains(log, "level=DEBUG") || !strings.Contains(log, "msg=audit") {
		t.Errorf("too little is logged:\n%s", log)
	}
}

// TestAudit: every refused or administrative act has its line, but nobody can fill the log.
func TestAudit(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{}))
	root := bearer(token("root", grant{"admin": true}))
	s.do(t, "DELETE", "/topics/a/messages", "", root...)
	s.do(t, "DELETE", "/clients?user=eve", "", root...)
	s.do(t, "GET", "/clients", "", bearer(token("ada", nil))...)
	c := s.dial(t, bearer(token("ada", nil))...)
	c.ask(t, `{"action":"subscribe","topic":"a"}`)
	s.do(t, "DELETE", "/clients/"+c.id, "", root...)
	c.closeCode(t)
	log := s.log.String()
	for _, want := range []string{
		"level=INFO msg=audit act=purge_topic by.user=root ",
		"level=INFO msg=audit act=disconnect_user by.user=root ",
		"level=INFO msg=audit act=disconnect_client by.user=root ",
		`level=WARN msg=audit outcome=refused act="GET /clients" code=forbidden by.user=ada `,
		"level=WARN msg=audit outcome=refused act=subscribe code=forbidden by.user=ada ",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("not logged: %s\n%s", want, log)
		}
	}
	for range 500 {
		s.do(t, "GET", "/clients", "")
	}
	if lines := strings.Count(s.log.String(), "outcome=refused"); lines < 100 || lines > 400 {
		t.Errorf("%d lines of 502 refusals", lines)
	}
}

// TestActionAccess: every action of a WebSocket says unauthorized, forbidden or yes, as it should,
// also with several topics, of which one is not allowed. A new one needs a row.
func TestActionAccess(t *testing.T) {
	s := start(t, withAuth(t, models.Scopes{}))
	const yes, refused, denied = models.Code(""), models.CodeUnauthorized, models.CodeForbidden
	type row struct {
		frame                        string // without its ref
		nobody, others, right, admin models.Code
	}
	rows := map[string]row{
		"subscribe":            {`"action":"subscribe","topic":"a.b"`, refused, denied, yes, denied},
		"subscribe all":        {`"action":"subscribe","topic":"a.>"`, refused, denied, yes, denied},
		"subscribe more":       {`"action":"subscribe","topic":">"`, refused, denied, denied, denied},
		"subscribe to several": {`"action":"subscribe","topics":["a.b","c"]`, refused, denied, denied, denied},
		"subscribe since":      {`"action":"subscribe","topic":"a.c","since":"all","presence":true`, refused, denied, yes, denied},
		"publish":              {`"action":"publish","topic":"a.b","data":1`, refused, denied, yes, denied},
		"publish elsewhere":    {`"action":"publish","topic":"a","data":1`, refused, denied, denied, denied},
		"presence":             {`"action":"presence","topic":"a.b"`, refused, denied, yes, denied},
		"unsubscribe":          {`"action":"unsubscribe","topic":"none"`, models.CodeNotFound, models.CodeNotFound, models.CodeNotFound, models.CodeNotFound},
		"ping":                 {`"action":"ping"`, yes, yes, yes, yes},
		"auth":                 {`"action":"auth","token":"no"`, refused, refused, refused, refused},
	}
	source, err := os.ReadFile("../models/frame.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range regexp.MustCompile(`\sAction = "(\w+)"`).FindAllSubmatch(source, -1) {
		if _, found := rows[string(action[1])]; !found {
			t.Errorf("no row for %s", action[1])
		}
	}
	own := grant{"publish": []string{"a.>"}, "subscribe": []string{"a.>"}}
	other := grant{"publish": []string{"b.>", "a.c"}, "subscribe": []string{"b.>", "a.*.c"}}
	for name, r := range rows {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				who     string
				headers []string
				want    models.Code
			}{
				{"nobody", nil, r.nobody},
				{"others", bearer(token("bob", other)), r.others},
				{"right", bearer(token("ada", own)), r.right},
				{"admin", bearer(token("root", grant{"admin": true})), r.admin},
			} {
				conn := s.dial(t, c.headers...)
				conn.send(t, "{"+r.frame+`,"ref":1}`)
				var got struct {
					Code models.Code    `json:"code"`
					Ref  jsontext.Value `json:"ref"`
				}
				for string(got.Ref) != "1" {
					unmarshal(t, conn.next(t), &got)
				}
				if got.Code != c.want {
					t.Errorf("%s: %q, want %q", c.who, got.Code, c.want)
				}
			}
		})
	}
}
