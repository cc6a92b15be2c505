package handlers_test

import (
	"crypto/tls"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"fanfare/transport"
)

// startTLS is start with TLS. The client of the result trusts its certificate.
func startTLS(t *testing.T) *server {
	t.Helper()
	lender := httptest.NewTLSServer(nil)
	t.Cleanup(lender.Close)
	s := start(t, func(s *setup) {
		s.tls = &tls.Config{Certificates: lender.TLS.Certificates, MinVersion: tls.VersionTLS12}
		s.carrier.Mode = transport.ModeGoroutine
	})
	s.client, s.scheme = lender.Client(), "https"
	return s
}

// TestGuardOriginOverTLS: the server's own origin has the scheme that the request came with.
func TestGuardOriginOverTLS(t *testing.T) {
	s := startTLS(t)
	_, port, _ := strings.Cut(s.address, ":")
	for name, tt := range map[string]struct {
		headers []string
		want    int
	}{
		"no page":                     {nil, 200},
		"own page":                    {[]string{"Origin", "https://" + s.address}, 200},
		"own page under another name": {[]string{"Host", "localhost:" + port, "Origin", "https://localhost:" + port}, 200},
		"own page without the port":   {[]string{"Host", "localhost", "Origin", "https://localhost"}, 200},
		"own page in clear":           {[]string{"Origin", "http://" + s.address}, 403},
		"other port":                  {[]string{"Origin", "https://127.0.0.1:1"}, 403},
		"foreign origin":              {[]string{"Origin", "https://evil.com"}, 403},
		"foreign host":                {[]string{"Host", "evil.com", "Origin", "https://evil.com"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			if a := s.do(t, "GET", "/topics", "", tt.headers...); a.status != tt.want {
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
}

// TestSpecificationOverTLS: Swagger UI asks in the way that the page came.
func TestSpecificationOverTLS(t *testing.T) {
	for want, s := range map[string]*server{"http": start(t), "https": startTLS(t)} {
		var spec struct {
			Schemes []string `json:"schemes"`
		}
		s.getInto(t, "/swagger/doc.json", &spec)
		if len(spec.Schemes) != 1 || spec.Schemes[0] != want {
			t.Errorf("%q, want %s", spec.Schemes, want)
		}
	}
}

// TestNoHandshake: what does not begin with one is closed at once, and is in the log for
// those who look for it.
func TestNoHandshake(t *testing.T) {
	s := startTLS(t)
	c := s.dialRaw(t)
	c.send(t, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if answers := c.answers(t); len(answers) > 0 {
		t.Errorf("%+v", answers)
	}
	want := regexp.MustCompile(`level=DEBUG msg=tls_handshake_failed error=".+" remote_address=` + c.LocalAddr().String() + "\n")
	eventually(t, func() bool { return want.MatchString(s.log.String()) })
}
