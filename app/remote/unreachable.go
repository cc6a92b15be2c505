package remote

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
)

// Unreachable is a server that has given no answer.
type Unreachable struct {
	Server *url.URL
	Err    error
}

// Error implements error.
func (u *Unreachable) Error() string {
	text := fmt.Sprintf("cannot reach %s: %s", u.Server, u.Reason())
	if advice := u.Advice(); advice != "" {
		text += ". " + advice
	}
	return text
}

// Unwrap gives what happened.
func (u *Unreachable) Unwrap() error { return u.Err }

// Reason is what happened, in a few words.
func (u *Unreachable) Reason() string {
	var timeout net.Error
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var certificate x509.CertificateInvalidError
	switch {
	case errors.Is(u.Err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(u.Err, syscall.ECONNRESET), errors.Is(u.Err, syscall.EPIPE):
		return "connection reset"
	case errors.As(u.Err, &dns) && dns.IsNotFound:
		return "there is no host " + u.Server.Hostname()
	case u.speaksHTTP():
		return "it speaks HTTP without TLS"
	case errors.As(u.Err, &authority):
		return "its certificate is of an authority that is not known here"
	case errors.As(u.Err, &host):
		return "its certificate is for another host"
	case errors.As(u.Err, &certificate) && certificate.Reason == x509.Expired:
		return "its certificate has expired, or is not valid yet"
	case errors.Is(u.Err, context.DeadlineExceeded), errors.As(u.Err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(u.Err, io.EOF), errors.Is(u.Err, io.ErrUnexpectedEOF):
		return "it closes the connection without a word"
	}
	var request *url.Error
	if errors.As(u.Err, &request) {
		return request.Err.Error()
	}
	return u.Err.Error()
}

// Advice is what to do about it, empty if that is not known.
func (u *Unreachable) Advice() string {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	switch {
	case errors.Is(u.Err, syscall.ECONNREFUSED) && isLocal(u.Server.Hostname()):
		return "Is the server running? Start it with: fanfare"
	case errors.Is(u.Err, syscall.ECONNREFUSED):
		return "Is the server running there, and is it the right port?"
	case u.speaksHTTP():
		return "Try http:// in place of https://"
	case errors.As(u.Err, &authority):
		return "Put the authority's certificate, in PEM, into a file, and its name into SSL_CERT_FILE; or the server's chain is not complete"
	case errors.As(u.Err, &host):
		return "Use a name that the certificate is for: " + strings.Join(host.Certificate.DNSNames, ", ")
	case u.Server.Scheme == "http" && (errors.Is(u.Err, io.EOF) || errors.Is(u.Err, syscall.ECONNRESET)):
		return "Does it speak TLS? Then the URL begins with https://"
	}
	return ""
}

// speaksHTTP tells whether the answer to a TLS handshake was no TLS.
func (u *Unreachable) speaksHTTP() bool {
	var header tls.RecordHeaderError
	return errors.As(u.Err, &header) || strings.Contains(u.Err.Error(), "server gave HTTP response to HTTPS client")
}

// isTransient tells whether it may help to try again: not where a name or a certificate is wrong.
func (u *Unreachable) isTransient() bool {
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var certificate x509.CertificateInvalidError
	isFinal := errors.As(u.Err, &dns) && dns.IsNotFound || u.speaksHTTP() ||
		errors.As(u.Err, &authority) || errors.As(u.Err, &host) || errors.As(u.Err, &certificate)
	return !isFinal
}

func isLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
