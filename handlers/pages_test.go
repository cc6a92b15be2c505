package handlers_test

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/clients/js"
	"fanfare/docs"
	"fanfare/models"
	"fanfare/web"
)

func TestPages(t *testing.T) {
	s := start(t)
	// What is inline is let in by its hash, and the console has nothing inline.
	for path, sources := range map[string]string{"/": "'self'", "/swagger/": "'self' HASH"} {
		t.Run(path, func(t *testing.T) {
			a := s.get(t, path)
			if a.status != http.StatusOK || !strings.HasPrefix(a.body, "<!doctype html>") {
				t.Errorf("%d %.100s", a.status, a.body)
			}
			checkHeaders(t, a, map[string]string{
				"Content-Type":               "text/html; charset=utf-8",
				"Cross-Origin-Opener-Policy": "same-origin",
				"X-Frame-Options":            "DENY",
				"Referrer-Policy":            "no-referrer",
			})
			checkPolicy(t, a.header.Get("Content-Security-Policy"), sources)
			checkLoadsNothingFromElsewhere(t, a.body)
		})
	}
	if a := s.get(t, "/swagger"); a.status != http.StatusMovedPermanently || a.header.Get("Location") != "/swagger/" {
		t.Errorf("GET /swagger: %d to %q", a.status, a.header.Get("Location"))
	}
	// The page of this name that comes with Swagger UI loads an example from elsewhere.
	s.get(t, "/swagger/index.html").checkProblem(t, 404, models.CodeNotFound)
}

// A copy of the client is good for as long as the server has the same one.
func TestClientScript(t *testing.T) {
	s := start(t)
	a := s.get(t, "/client.js")
	if a.status != http.StatusOK || a.body != js.Client() {
		t.Errorf("%d %.100s", a.status, a.body)
	}
	tag := a.header.Get("ETag")
	if !regexp.MustCompile(`^W/"[\w-]{43}"$`).MatchString(tag) {
		t.Errorf("ETag %q", tag)
	}
	headers := map[string]string{"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "no-cache", "ETag": tag}
	checkHeaders(t, a, headers)
	if a := s.do(t, "HEAD", "/client.js", ""); a.status != http.StatusOK || a.body != "" {
		t.Errorf("HEAD: %d %.100s", a.status, a.body)
	}
	for name, test := range map[string]struct {
		copies string
		status int
	}{
		"the same":       {tag, http.StatusNotModified},
		"one of several": {`"other", ` + tag, http.StatusNotModified},
		"another":        {`"other"`, http.StatusOK},
	} {
		a := s.do(t, "GET", "/client.js", "", "If-None-Match", test.copies)
		if a.status != test.status || (a.body == "") != (test.status == http.StatusNotModified) {
			t.Errorf("%s: %d %.100s", name, a.status, a.body)
		}
		delete(headers, "Content-Type") // a 304 needs none
		checkHeaders(t, a, headers)
	}
}

// The console and the client are compressed for whoever can read that.
func TestScriptsAreCompressed(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/client.js", "/console/main.js", "/console/style.css"} {
		plain := s.do(t, "GET", path, "", "Accept-Encoding", "identity")
		a := s.do(t, "GET", path, "", "Accept-Encoding", "gzip")
		if len(a.body) >= len(plain.body)/2 {
			t.Errorf("%s: %d bytes of %d", path, len(a.body), len(plain.body))
		}
		checkHeaders(t, a, map[string]string{
			"Content-Encoding": "gzip", "Vary": "Accept-Encoding", "Content-Type": plain.header.Get("Content-Type"),
			"ETag": plain.header.Get("ETag"),
		})
		checkHeaders(t, plain, map[string]string{"Content-Encoding": "", "Vary": "Accept-Encoding"})
	}
	if a := s.do(t, "GET", "/topics", "", "Accept-Encoding", "gzip"); a.header.Get("Content-Encoding") != "" {
		t.Error("a list is compressed")
	}
}

func checkHeaders(t *testing.T, a answer, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := a.header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
}

// checkPolicy checks that the page can do nothing but what it is known to need. That it can
// do that much is for the tests in a browser. Scripts and styles come from the sources.
func checkPolicy(t *testing.T, policy, sources string) {
	t.Helper()
	directives := make(map[string]string)
	for directive := range strings.SplitSeq(policy, "; ") {
		name, sources, _ := strings.Cut(directive, " ")
		directives[name] = regexp.MustCompile(`'sha256-[A-Za-z0-9+/]{43}='`).ReplaceAllString(sources, "HASH")
	}
	if diff := cmp.Diff(map[string]string{
		"default-src":     "'none'",
		"base-uri":        "'none'",
		"form-action":     "'none'",
		"frame-ancestors": "'none'",
		"connect-src":     "'self'",
		"img-src":         "data:",
		"script-src":      sources,
		"style-src":       sources,
	}, directives); diff != "" {
		t.Errorf("policy (-want +got):\n%s", diff)
	}
}

// checkLoadsNothingFromElsewhere looks for what makes a browser load something.
func checkLoadsNothingFromElsewhere(t *testing.T, page string) {
	t.Helper()
	loads := regexp.MustCompile(`(?i)(?:src|href|action|poster|data)\s*=\s*["']?\s*([^"'\s>]+)|url\(\s*["']?([^"')]+)|@import\s+["']([^"']+)`)
	for _, match := range loads.FindAllStringSubmatch(page, -1) {
		target := match[1] + match[2] + match[3]
		if strings.HasPrefix(target, "//") || regexp.MustCompile(`^(?i:https?|wss?|ftp):`).MatchString(target) {
			t.Errorf("the page names %s", target)
		}
	}
}

// Every file that the console asks for is there, and none that it does not ask for.
func TestConsoleFiles(t *testing.T) {
	s := start(t)
	var fetched []string
	wanted := []string{"style.css", "theme.js", "main.js"}
	page := s.get(t, "/").body
	for _, name := range wanted {
		if !strings.Contains(page, `="console/`+name+`"`) {
			t.Errorf("the page does not ask for %s", name)
		}
	}
	for len(wanted) > 0 {
		name := wanted[0]
		wanted = wanted[1:]
		if slices.Contains(fetched, name) {
			continue
		}
		fetched = append(fetched, name)
		a := s.get(t, "/console/"+name)
		kind := "text/css; charset=utf-8"
		if strings.HasSuffix(name, ".js") {
			kind = "text/javascript; charset=utf-8"
		}
		if a.status != http.StatusOK || a.header.Get("Content-Type") != kind {
			t.Errorf("%s: %d, %s", name, a.status, a.header.Get("Content-Type"))
		}
		if again := s.do(t, "GET", "/console/"+name, "", "If-None-Match", a.header.Get("ETag")); again.status != http.StatusNotModified {
			t.Errorf("%s, which has not changed: %d", name, again.status)
		}
		checkLoadsNothingFromElsewhere(t, a.body)
		for _, match := range regexp.MustCompile(`(?m)^import .* from '\./([\w.]+)';$`).FindAllStringSubmatch(a.body, -1) {
			wanted = append(wanted, match[1])
		}
	}
	embedded := slices.Sorted(maps.Keys(web.ConsoleFiles()))
	slices.Sort(fetched)
	if diff := cmp.Diff(embedded, fetched); diff != "" {
		t.Errorf("files (-embedded +asked for):\n%s", diff)
	}
	for _, name := range []string{"", "index.html", "none.js", "../web.go", "%2e%2e%2fweb.go", ".", ".."} {
		if a := s.get(t, "/console/"+name); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", name, a.status)
		}
	}
}

// Every file that the frame around Swagger UI asks for is there.
func TestSwaggerFiles(t *testing.T) {
	s := start(t)
	files := regexp.MustCompile(`(?:src|href)="\./([^"]+)"`).FindAllStringSubmatch(s.get(t, "/swagger/").body, -1)
	var names []string
	for _, file := range files {
		names = append(names, file[1])
	}
	if diff := cmp.Diff([]string{"swagger-ui.css", "swagger-ui-bundle.js"}, names); diff != "" {
		t.Fatalf("files (-want +got):\n%s", diff)
	}
	types := map[string]string{"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "javascript"}
	for _, name := range names {
		a := s.get(t, "/swagger/"+name)
		if a.status != http.StatusOK || len(a.body) < 10_000 || !strings.Contains(a.header.Get("Content-Type"), types[name]) {
			t.Errorf("%s: %d, %d bytes of %s", name, a.status, len(a.body), a.header.Get("Content-Type"))
		}
	}
}

// The Swagger file is the same as ever, with the scheme of the request.
func TestSwaggerSpec(t *testing.T) {
	a := start(t).get(t, "/swagger/doc.json")
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	var spec struct {
		Swagger string         `json:"swagger"`
		Schemes []string       `json:"schemes"`
		Host    string         `json:"host"`
		Paths   map[string]any `json:"paths"`
	}
	unmarshal(t, a.body, &spec)
	if spec.Swagger != "2.0" || spec.Host != "" || !slices.Equal(spec.Schemes, []string{"http"}) || len(spec.Paths) == 0 {
		t.Errorf("swagger %q, host %q, schemes %q, %d paths", spec.Swagger, spec.Host, spec.Schemes, len(spec.Paths))
	}
}

// The specifications are given as they are in the repository, and are kept like any other file.
func TestSpecifications(t *testing.T) {
	s := start(t, func(s *setup) { s.handlers.Settings.AllowedOrigins = []string{"https://tools.example"} })
	for path, text := range map[string]string{"/openapi.json": docs.OpenAPI(), "/asyncapi.json": docs.AsyncAPI()} {
		a := s.do(t, "GET", path, "", "Origin", "https://tools.example")
		if a.status != http.StatusOK || a.body != text {
			t.Errorf("%s: %d %.100s", path, a.status, a.body)
		}
		checkHeaders(t, a, map[string]string{
			"Content-Type": "application/json", "Cache-Control": "no-cache", "Access-Control-Allow-Origin": "https://tools.example",
		})
		if again := s.do(t, "GET", path, "", "If-None-Match", a.header.Get("ETag")); again.status != http.StatusNotModified {
			t.Errorf("%s, which has not changed: %d", path, again.status)
		}
	}
}
