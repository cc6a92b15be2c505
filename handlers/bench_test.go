package handlers_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"fanfare/broker"
	"fanfare/handlers"
	"fanfare/transport"
)

// BenchmarkPublishRequest measures what a publish over HTTP costs, its socket aside.
func BenchmarkPublishRequest(b *testing.B) {
	pubsub, err := broker.New(b.Context(), newMemory(), broker.Options{
		MessageSize: messageSize, FrameSize: frameSize, OutboxSize: 4 << 20, Subscriptions: 1000,
		InFlightSize: 16 << 20, PublishWait: patience, PingInterval: patience,
	})
	if err != nil {
		b.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	carrier, err := transport.New(transport.Options{
		Mode: transportMode(), FrameSize: frameSize, Silence: 2 * patience, Linger: patience, Logger: logger,
	})
	if err != nil {
		b.Fatal(err)
	}
	app := handlers.New(handlers.Options{
		PubSub: pubsub, Carrier: carrier, Logger: logger, Ready: pubsub.Ready, MessageSize: messageSize, Subscriptions: 1000,
		HeaderTimeout: patience, ReadTimeout: patience, WriteTimeout: patience, IdleTimeout: patience,
	})
	handle := app.Handler()
	const body = `{"n":1,"text":"a message of some length"}`
	var request fasthttp.RequestCtx
	b.ReportAllocs()
	for b.Loop() {
		request.Request.Reset()
		request.Response.Reset()
		request.Request.Header.SetMethod("POST")
		request.Request.SetRequestURI("http://localhost/topics/news.eu/publish")
		request.Request.Header.SetHost("localhost")
		request.Request.SetBodyStream(strings.NewReader(body), len(body))
		handle(&request)
		if status := request.Response.StatusCode(); status != fasthttp.StatusOK {
			b.Fatalf("%d %s", status, request.Response.Body())
		}
	}
	if err := pubsub.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	if err := carrier.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
