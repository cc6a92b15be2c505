package handlers_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// BenchmarkPublishRequest measures what a publish over HTTP costs, its socket aside.
func BenchmarkPublishRequest(b *testing.B) {
	const body = `{"n":1,"text":"a message of some length"}`
	s := start(b, func(s *setup) { s.handlers.Logger = slog.New(slog.DiscardHandler) })
	handle := s.app.Handler()
	var request fasthttp.RequestCtx
	b.ReportAllocs()
	for b.Loop() {
		request.Request.Reset()
		request.Response.Reset()
		request.Request.Header.SetMethod("POST")
		request.Request.SetRequestURI("/topics/news.eu/publish")
		request.Request.Header.SetHost("localhost")
		request.Request.SetBodyStream(strings.NewReader(body), len(body))
		handle(&request)
		if status := request.Response.StatusCode(); status != fasthttp.StatusOK {
			b.Fatalf("%d %s", status, request.Response.Body())
		}
	}
}
