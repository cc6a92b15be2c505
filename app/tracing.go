package app

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"
)

const (
	// exportRetry is how long a batch of spans is offered to a collector that is away, before it is lost.
	exportRetry = 10 * time.Second
	// lastExport is how long the last spans may take to leave at shutdown.
	lastExport = time.Second
	// exportErrors is how often it is logged, at most, that spans cannot be exported.
	exportErrors = time.Minute
)

// tracing makes spans and sends them to a collector. Nil is none.
type tracing struct {
	// Set by newTracing, never changed.
	provider *sdk.TracerProvider
	exporter sdk.SpanExporter
	logger   *slog.Logger

	// mu guards what is logged now and then, until it is closed.
	mu        sync.Mutex
	sometimes rate.Sometimes
	closed    bool
}

// newTracing gives nil if there is to be no tracing. What waits for a collector is bounded: 2,048 spans, the others are dropped.
// OpenTelemetry reports its errors to the whole process: they go to the logger of the last one that was made.
func newTracing(ctx context.Context, config TracingConfig, logger *slog.Logger) (*tracing, error) {
	if config.Endpoint == "" {
		return nil, nil //nolint:nilnil // none
	}
	options := []otlptracehttp.Option{
		otlptracehttp.WithEndpointURL(config.url()),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{
			Enabled: true, InitialInterval: exportRetry / 10, MaxInterval: exportRetry / 2, MaxElapsedTime: exportRetry,
		}),
	}
	if len(config.Headers) > 0 { // or those of OpenTelemetry's own variables would not count
		options = append(options, otlptracehttp.WithHeaders(config.headers()))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(exporter),
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(config.SampleRatio))),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", config.ServiceName), attribute.String("service.version", thisBuild().Version))),
	)
	t := &tracing{
		provider: provider, exporter: exporter, logger: logger,
		sometimes: rate.Sometimes{First: 1, Interval: exportErrors},
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(t.failed))
	return t, nil
}

// failed logs what OpenTelemetry has to say, now and then.
func (t *tracing) failed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.sometimes.Do(func() { t.logger.Warn("traces_not_exported", "error", err) })
	}
}

// tracer is what spans are made with, nil without tracing.
func (t *tracing) tracer() trace.Tracer {
	if t == nil {
		return nil
	}
	return t.provider.Tracer("fanfare")
}

// close sends what waits for the collector. That one is away is no failure of the server's.
func (t *tracing) close(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastExport)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.logger.Warn("traces_lost", "error", err)
		_ = t.exporter.Shutdown(ctx) // which ends an export that is under way
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
}

// url is where spans go to: an endpoint without a path has the one that collectors have.
func (c TracingConfig) url() string {
	if endpoint, err := url.Parse(c.Endpoint); err == nil && strings.Trim(endpoint.Path, "/") == "" {
		endpoint.Path = "/v1/traces"
		return endpoint.String()
	}
	return c.Endpoint
}

// headers are those of each export.
func (c TracingConfig) headers() map[string]string {
	headers := make(map[string]string)
	for _, header := range c.Headers {
		name, value, _ := strings.Cut(header, "=")
		headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return headers
}

// tracing checks the section. A header may be a secret, so it is not repeated.
func (v *validator) tracing(c TracingConfig) {
	if endpoint, err := url.Parse(c.Endpoint); c.Endpoint != "" && (err != nil || endpoint.Host == "" || endpoint.User != nil ||
		endpoint.Scheme != "http" && endpoint.Scheme != "https") {
		v.want("tracing.endpoint", "", "a URL, such as http://localhost:4318")
	}
	for _, header := range c.Headers {
		if name, _, found := strings.Cut(header, "="); !found || strings.TrimSpace(name) == "" {
			v.want("tracing.headers", "", "a list of name=value")
		}
	}
	if !(c.SampleRatio >= 0 && c.SampleRatio <= 1) { // not a number is neither
		v.want("tracing.sample_ratio", c.SampleRatio, "a number from 0 to 1")
	}
	if c.ServiceName == "" {
		v.want("tracing.service_name", c.ServiceName, "a name")
	}
}
