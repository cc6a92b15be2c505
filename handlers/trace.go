package handlers

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"fanfare/models"
)

// offer publishes a message. With tracing this is a span: of the trace that the message came with, or of a new one; and whoever
// receives the message goes on from there. What was refused before has none.
func (a *api) offer(ctx context.Context, by models.Caller, draft models.Draft) (models.Receipt, error) {
	if a.Tracer == nil {
		return a.PubSub.Publish(ctx, by, draft)
	}
	ctx, span := a.Tracer.Start(traceOf(ctx, draft.Attributes), "publish", trace.WithSpanKind(trace.SpanKindProducer),
		// Semantic conventions for messaging spans. Topics are no part of the name, since there are any number of them.
		trace.WithAttributes(
			attribute.String("messaging.system", "fanfare"),
			attribute.String("messaging.operation.name", "publish"),
			attribute.String("messaging.operation.type", "send"),
			attribute.String("messaging.destination.name", string(draft.Topic)),
			attribute.Int("messaging.message.body.size", len(draft.Data)),
		))
	defer span.End()
	draft.Attributes = withTrace(ctx, draft.Attributes.EventText())
	receipt, err := a.PubSub.Publish(ctx, by, draft)
	if err != nil {
		code := string(models.AsError(err).Code)
		span.SetStatus(codes.Error, code)
		span.SetAttributes(attribute.String("error.type", code))
		return receipt, err
	}
	span.SetAttributes(attribute.String("messaging.message.id", receipt.ID.String()))
	return receipt, nil
}

// traceOf is a context in the trace of a message, if it has one.
func traceOf(ctx context.Context, a *models.Attributes) context.Context {
	if a == nil || a.TraceParent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": a.TraceParent, "tracestate": a.TraceState})
}

// withTrace gives the attributes of a message with an event, or none, in the trace of a context.
func withTrace(ctx context.Context, event []byte) *models.Attributes {
	carrier := make(propagation.MapCarrier, 2)
	propagation.TraceContext{}.Inject(ctx, carrier)
	return models.NewAttributes(carrier["traceparent"], carrier["tracestate"], event)
}
