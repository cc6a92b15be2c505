package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"fanfare/app/remote"
)

// certificateWarning is how long before its end a certificate should have been renewed.
const certificateWarning = 14 * 24 * time.Hour

// network goes from the name to TLS.
func (e *examination) network(ctx context.Context) bool {
	if proxy, err := e.proxy(ctx); err != nil {
		e.bad("proxy", "HTTP_PROXY, HTTPS_PROXY or NO_PROXY cannot be read", "")
		return false
	} else if proxy != "" {
		e.proxied = true
		e.note("proxy", "the environment sends requests through %s: the way behind it is not looked at", proxy)
		return true
	}
	return e.resolve(ctx) && e.connect(ctx) && e.secure(ctx)
}

// proxy is the one that the environment has for the server.
func (e *examination) proxy(ctx context.Context) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.Server.URL.String(), nil)
	if err != nil || e.Transport.Proxy == nil {
		return "", err
	}
	u, err := e.Transport.Proxy(request)
	if err != nil || u == nil {
		return "", err
	}
	return u.Redacted(), nil
}

// address is where to connect to.
func (e *examination) address() string {
	port := "80"
	if e.Server.URL.Scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(e.Server.URL.Hostname(), cmp.Or(e.Server.URL.Port(), port))
}

func (e *examination) resolve(ctx context.Context) bool {
	host := e.Server.URL.Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		return true // there is nothing to resolve
	}
	ctx, cancel := e.within(ctx)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		u := &remote.Unreachable{Server: e.Server.URL, Err: err}
		e.bad("name", u.Reason(), "Is the name right? It is looked up in /etc/hosts and in the DNS")
		return false
	}
	slices.Sort(addresses)
	e.good("name", "%s is %s", host, strings.Join(addresses, ", "))
	return true
}

func (e *examination) connect(ctx context.Context) bool {
	ctx, cancel := e.within(ctx)
	defer cancel()
	begin := time.Now()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", e.address())
	if err != nil {
		u := &remote.Unreachable{Server: e.Server.URL, Err: err}
		advice := u.Advice()
		if ctx.Err() != nil {
			advice = "Something on the way swallows packets, such as a firewall, or the address is wrong"
		}
		e.bad("connection", fmt.Sprintf("%s: %s", e.address(), u.Reason()), advice)
		return false
	}
	_ = conn.Close()
	e.good("connection", "%s, after %s", conn.RemoteAddr(), inMilliseconds(time.Since(begin)))
	return true
}

func (e *examination) secure(ctx context.Context) bool {
	if e.Server.URL.Scheme != "https" {
		return true
	}
	ctx, cancel := e.within(ctx)
	defer cancel()
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if e.Transport.TLSClientConfig != nil {
		config = e.Transport.TLSClientConfig.Clone()
	}
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", e.address())
	if err != nil {
		e.fails("TLS", &remote.Unreachable{Server: e.Server.URL, Err: err})
		return false
	}
	defer conn.Close()                          //nolint:errcheck // nothing was written
	state := conn.(*tls.Conn).ConnectionState() //nolint:forcetypeassert // it is one
	end := state.PeerCertificates[0].NotAfter   // the leaf is always there
	text := fmt.Sprintf("%s, certificate until %s", tls.VersionName(state.Version), end.Local().Format(time.DateOnly))
	if time.Until(end) < certificateWarning {
		e.warn("TLS", text, "Renew it soon")
		return true
	}
	e.good("TLS", "%s", text)
	return true
}

// speaksTLS tells whether there is TLS where plain HTTP was expected.
func (e *examination) speaksTLS(ctx context.Context) bool {
	ctx, cancel := e.within(ctx)
	defer cancel()
	config := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // nothing is sent: it is whether there is any TLS at all
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", e.address())
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
