package handlers_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fanfare/models"
)

func TestPages(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/", "/swagger/"} {
		t.Run(path, func(t *testing.T) {
			a := s.get(t, path)
			if a.status != http.StatusOK || !strings.HasPrefix(a.body, "<!doctype html>") {
				t.Errorf("%d %.100s", a.status, a.body)
			}
			for name, want := range map[string]string{
				"Content-Type":               "text/html; charset=utf-8",
				"Cross-Origin-Opener-Policy": "same-origin",
				"X-Frame-Options":            "DENY",
				"Referrer-Policy":            "no-referrer",
			} {
				if got := a.header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			checkPolicy(t, a.header.Get("Content-Security-Policy"))
			checkLoadsNothingFromElsewhere(t, a.body)
		})
	}
	if a := s.get(t, "/swagger"); a.status != http.StatusMovedPermanently || a.header.Get("Location") != "/swagger/" {
		t.Errorf("GET /swagger: %d to %q", a.status, a.header.Get("Location"))
	}
	// The page of this name that comes with Swagger UI loads an example from elsewhere.
	s.get(t, "/swagger/index.html").checkProblem(t, 404, models.CodeNotFound)
}

// checkPolicy checks that the page can do nothing but what it is known to need. That it can
// do that much is for the tests in a browser.
func checkPolicy(t *testing.T, policy string) {
	t.Helper()
	directives := make(map[string]string)
	for directive := range strings.SplitSeq(policy, "; ") {
		name, sources, _ := strings.Cut(directive, " ")
		directives[name] = regexp.MustCompile(`'sha256-[A-Za-z0-9+/]{43}='`).ReplaceAllString(sources, "HASH")
	}
	scripts := strings.TrimPrefix(directives["script-src"], "'self' ")
	styles := strings.TrimPrefix(directives["style-src"], "'self' ")
	if scripts != "HASH" || styles != "HASH" {
		t.Errorf("scripts %q, styles %q", scripts, styles)
	}
	delete(directives, "script-src")
	delete(directives, "style-src")
	if diff := cmp.Diff(map[string]string{
		"default-src":     "'none'",
		"base-uri":        "'none'",
		"form-action":     "'none'",
		"frame-ancestors": "'none'",
		"connect-src":     "'self'",
		"img-src":         "data:",
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

// The specification has every route of the API, and no other.
func TestSpecificationHasEveryRoute(t *testing.T) {
	s := start(t)
	a := s.get(t, "/swagger/doc.json")
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	var spec struct {
		Swagger string                    `json:"swagger"`
		Schemes []string                  `json:"schemes"`
		Host    string                    `json:"host"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	unmarshal(t, a.body, &spec)
	if spec.Swagger != "2.0" || spec.Host != "" || !slices.Equal(spec.Schemes, []string{"http"}) {
		t.Errorf("swagger %q, host %q, schemes %q", spec.Swagger, spec.Host, spec.Schemes)
	}
	var described []string
	for path, methods := range spec.Paths {
		for method := range methods {
			described = append(described, strings.ToUpper(method)+" "+path)
		}
	}
	var routes []string
	for _, route := range s.app.GetRoutes(true) {
		isPage := route.Path == "/" || strings.HasPrefix(route.Path, "/swagger")
		if route.Method != http.MethodHead && !isPage {
			routes = append(routes, route.Method+" "+regexp.MustCompile(`:(\w+)`).ReplaceAllString(route.Path, "{$1}"))
		}
	}
	slices.Sort(described)
	slices.Sort(routes)
	if diff := cmp.Diff(routes, described); diff != "" {
		t.Errorf("routes and specification (-routes +specification):\n%s", diff)
	}
}
