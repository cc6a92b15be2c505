// Command echo is a WebSocket server that sends every message back. It stands on the
// transport that Fanfare stands on, so that the public protocol suites, which want an
// echo, can be pointed at it:
//
//	go run ./transport/echo -address 127.0.0.1:9001 -mode epoll
//
// Autobahn's, for one, needs a file fuzzingclient.json in the directory report,
//
//	{"outdir": "/report", "servers": [{"url": "ws://127.0.0.1:9001"}],
//	 "cases": ["*"], "exclude-cases": ["12.*", "13.*"]}
//
// and then runs with
//
//	docker run --rm --network host -v "$PWD/report:/report" crossbario/autobahn-testsuite \
//	    wstest --mode fuzzingclient --spec /report/fuzzingclient.json
//
// Sections 12 and 13 are about compression, which the server does not offer. Every path is
// an echo, and a message has at most 16 MiB. SIGINT and SIGTERM end the server in order:
// every peer gets 1001.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"fanfare/transport"
)

const (
	// frameSize bounds a message, in bytes: the largest of Autobahn's.
	frameSize = 16 << 20
	// silence is how long a peer may send nothing. Suites are slow, and not pinged.
	silence = time.Hour
	// linger is how long a peer has to take its close frame.
	linger = time.Second
	// handshakeTime is how long a peer may take to ask for a WebSocket.
	handshakeTime = 2 * time.Second
	// shutdownTime bounds the end. It has room for the two above.
	shutdownTime = 5 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends. The first line of output names the address.
func run(ctx context.Context, arguments []string, output, complaints io.Writer) error {
	flags := flag.NewFlagSet("echo", flag.ContinueOnError)
	flags.SetOutput(complaints)
	address := flags.String("address", "127.0.0.1:9001", "host and port to listen on")
	mode := flags.String("mode", string(transport.ModeAuto), "how sockets are read: auto, epoll or goroutine")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	switch transport.Mode(*mode) {
	case transport.ModeAuto, transport.ModeEpoll, transport.ModeGoroutine:
	default:
		return fmt.Errorf("no mode %q: it is auto, epoll or goroutine", *mode)
	}
	carrier, err := transport.New(transport.Options{
		Mode:      transport.Mode(*mode),
		FrameSize: frameSize,
		Silence:   silence,
		Linger:    linger,
		Logger:    slog.New(slog.NewTextHandler(complaints, nil)),
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		return errors.Join(err, carrier.Close(ctx))
	}
	s := newServer(carrier)
	served := make(chan error, 1)
	go func() { served <- s.app.Listener(listener) }()
	_, _ = fmt.Fprintf(output, "listening on ws://%s\n", listener.Addr())
	select {
	case err := <-served:
		return errors.Join(err, s.shutdown())
	case <-ctx.Done():
		return errors.Join(s.shutdown(), <-served)
	}
}
