package handlers_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"fanfare/models"
)

// proxies has the server trust some.
func proxies(texts ...string) func(*setup) {
	return func(s *setup) {
		for _, text := range texts {
			s.handlers.Settings.TrustedProxies = append(s.handlers.Settings.TrustedProxies, netip.MustParsePrefix(text))
		}
	}
}

// TestForwardedFor: a trusted proxy says where a request comes from, and nobody else does. The
// test comes from 127.0.0.1.
func TestForwardedFor(t *testing.T) {
	const here, near, far = "127.0.0.0/8", "10.0.0.0/8", "2001:db8:1::/48"
	tests := map[string]struct {
		trusted []string
		headers []string
		want    string // "" is the connection's own
	}{
		"nobody is trusted":       {nil, []string{"192.0.2.1"}, ""},
		"somebody else is":        {[]string{near}, []string{"192.0.2.1"}, ""},
		"no header":               {[]string{here}, nil, "127.0.0.1"},
		"one proxy":               {[]string{here}, []string{"192.0.2.1"}, "192.0.2.1"},
		"what the client says":    {[]string{here}, []string{"198.51.100.1, 192.0.2.1"}, "192.0.2.1"},
		"a proxy it does not say": {[]string{here, near}, []string{"10.0.0.1, 192.0.2.1"}, "192.0.2.1"},
		"two proxies":             {[]string{here, near}, []string{"198.51.100.1, 192.0.2.1, 10.0.0.1"}, "192.0.2.1"},
		"the second is not":       {[]string{here}, []string{"192.0.2.1, 10.0.0.1"}, "10.0.0.1"},
		"several lines":           {[]string{here, near}, []string{"198.51.100.1", "192.0.2.1", "10.0.0.1,10.0.0.2"}, "192.0.2.1"},
		"proxies alone":           {[]string{here, near}, []string{"10.0.0.2, 10.0.0.1"}, "10.0.0.2"},
		"IPv6":                    {[]string{here, far}, []string{"2001:db8:2::1, 2001:db8:1::1"}, "2001:db8:2::1"},
		"IPv4 as IPv6":            {[]string{here, near}, []string{"::ffff:192.0.2.1, ::ffff:10.0.0.1"}, "192.0.2.1"},
		"with ports":              {[]string{here, near, far}, []string{"192.0.2.1:80, 10.0.0.1:1, [2001:db8:1::1]:2"}, "192.0.2.1"},
		"zone":                    {[]string{here}, []string{"fe80::1%" + mark}, "fe80::1"},
		"garbage":                 {[]string{here}, []string{mark}, "127.0.0.1"},
		"garbage behind a proxy":  {[]string{here, near}, []string{"192.0.2.1, " + mark + ", 10.0.0.1"}, "10.0.0.1"},
		"garbage further on":      {[]string{here}, []string{mark + ", 192.0.2.1"}, "192.0.2.1"},
		"empty":                   {[]string{here}, []string{""}, "127.0.0.1"},
		"empty at the end":        {[]string{here}, []string{"192.0.2.1,"}, "127.0.0.1"},
		"white space":             {[]string{here}, []string{" \t192.0.2.1 "}, "192.0.2.1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t, withAuth(t, models.Scopes{Subscribe: []models.Pattern{">"}}), proxies(tt.trusted...))
			var headers []string
			for _, value := range tt.headers {
				headers = append(headers, "X-Forwarded-For", value)
			}
			c := s.dial(t, headers...)
			if tt.want == "" {
				tt.want = c.LocalAddr().String()
			}
			var info clientInfo
			unmarshal(t, s.do(t, "GET", "/clients/"+c.id, "", bearer(token("root", grant{"admin": true}))...).body, &info)
			if info.RemoteAddress != tt.want {
				t.Errorf("the client is from %s, want %s", info.RemoteAddress, tt.want)
			}
			// Whoever is refused, too.
			s.do(t, "GET", "/clients", "", headers...)
			if want := "by.address=" + strings.Split(tt.want, ":")[0]; !strings.Contains(s.log.String(), want) {
				t.Errorf("the log has no %s:\n%s", want, s.log)
			}
		})
	}
}

// TestForwardedProto: behind a trusted proxy with TLS, the server's own origin is https.
func TestForwardedProto(t *testing.T) {
	tests := map[string]struct {
		trusted []string
		proto   []string
		own     string
	}{
		"nobody is trusted": {nil, []string{"https"}, "http"},
		"somebody else is":  {[]string{"10.0.0.0/8"}, []string{"https"}, "http"},
		"https":             {[]string{"127.0.0.1/32"}, []string{"https"}, "https"},
		"http":              {[]string{"127.0.0.1/32"}, []string{"http"}, "http"},
		"not said":          {[]string{"127.0.0.1/32"}, nil, "http"},
		"something else":    {[]string{"127.0.0.1/32"}, []string{mark}, "http"},
		"the proxy's own":   {[]string{"127.0.0.1/32"}, []string{"http, https"}, "https"},
		"not the client's":  {[]string{"127.0.0.1/32"}, []string{"https", "http"}, "http"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t, withAuth(t, models.Scopes{Subscribe: []models.Pattern{">"}}), proxies(tt.trusted...))
			var headers []string
			for _, value := range tt.proto {
				headers = append(headers, "X-Forwarded-Proto", value)
			}
			for _, scheme := range []string{"http", "https"} {
				a := s.do(t, "GET", "/topics/a/messages", "", append(headers, "Host", "fanfare.example", "Origin", scheme+"://fanfare.example")...)
				if scheme == tt.own && a.status != http.StatusOK {
					t.Errorf("its own %s: %d %s", scheme, a.status, a.body)
				}
				if scheme != tt.own {
					a.checkProblem(t, http.StatusForbidden, models.CodeForbidden)
				}
			}
		})
	}
}

// TestForwardedWithoutAuthentication: a trusted proxy does not open the door.
func TestForwardedWithoutAuthentication(t *testing.T) {
	s := start(t, proxies("127.0.0.1/32"))
	s.do(t, "GET", "/topics", "", "X-Forwarded-For", "127.0.0.1").checkProblem(t, http.StatusForbidden, models.CodeForbidden)
}
