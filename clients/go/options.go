package fanfare

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options is how a client connects. The zero Options are for a server that lets anybody in.
type Options struct {
	// Token is a JWT or an API key. Once the server refuses it, or it has expired, the client ends with
	// CodeUnauthorized. Default: none.
	Token string

	// TokenSource gets a token whenever one is needed: for each connection, and to renew a JWT before it
	// expires. It is asked again if it fails, and once more if the server refuses what it gave; refused again,
	// the client ends. Its context ends after 30 s, or with the client. Not together with Token. Default: none.
	TokenSource func(ctx context.Context) (string, error)

	// HTTPClient makes the WebSocket handshakes; its transport has the proxy, the certificates, the addresses. It
	// needs HTTP/1.1. Its Timeout bounds the handshake. Default: http.DefaultClient.
	HTTPClient *http.Client

	// Header goes with each handshake. Default: nothing more.
	Header http.Header

	// OnConnect is called after each time that the client has connected, and the server has taken its token, with
	// the id that the server gave the connection. Default: nil.
	//
	// OnConnect and OnDisconnect are called one after another, by a goroutine of their own. When they are slow, the client
	// waits for them at some point; and Close waits for the one that runs, so they must not call it.
	OnConnect func(clientID string)

	// OnDisconnect is called after each connection that broke, and each attempt that failed, with the reason. The
	// next attempt is made after the pause. When there is none, Done and Err tell. Default: nil.
	OnDisconnect func(reason error, pause time.Duration)
}

// endpoint gives the URL of the WebSocket of a server.
func endpoint(server string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", err
	}
	switch u.Scheme {
	case "http", "ws":
		u.Scheme = "ws"
	case "https", "wss":
		u.Scheme = "wss"
	default:
		return "", errors.New("fanfare: the URL of a server begins with http://, https://, ws:// or wss://")
	}
	if u.Host == "" {
		return "", errors.New("fanfare: the URL of the server has no host")
	}
	u.Fragment, u.RawFragment = "", ""
	if !strings.HasSuffix(u.Path, "/ws") {
		return u.JoinPath("ws").String(), nil
	}
	return u.String(), nil
}
