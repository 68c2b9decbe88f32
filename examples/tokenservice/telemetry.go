package main

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/smithy-go/tracing/smithyoteltracing"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/kmssign/kmssign/examples/tokenservice/service"
)

// telemetry writes OpenTelemetry traces and metrics. A trace has a span of the
// request, by otelhttp, one of the signing, and those that the AWS SDK makes of
// the KMS call, with the request ID. In a program of your own replace the
// exporters.
type telemetry struct {
	traces  *sdktrace.TracerProvider
	metrics *sdkmetric.MeterProvider
}

// newTelemetry writes traces and metrics to w as JSON, one to a line.
func newTelemetry(w io.Writer) (*telemetry, error) {
	spans, err := stdouttrace.New(stdouttrace.WithWriter(w))
	if err != nil {
		return nil, err
	}
	numbers, err := stdoutmetric.New(stdoutmetric.WithWriter(w))
	if err != nil {
		return nil, err
	}
	named := resource.NewSchemaless(attribute.String("service.name", "tokenservice"))
	return &telemetry{
		traces:  sdktrace.NewTracerProvider(sdktrace.WithBatcher(spans), sdktrace.WithResource(named)),
		metrics: sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(numbers)), sdkmetric.WithResource(named)),
	}, nil
}

// client makes the SDK trace its calls.
func (t *telemetry) client(o *kms.Options) {
	o.TracerProvider = smithyoteltracing.Adapt(t.traces)
}

// service makes the service trace and count its requests. The spans of a caller
// with a traceparent header (W3C Trace Context) become the parents of its own.
func (t *telemetry) service(o *service.Options) {
	o.Middleware = func(h http.Handler) http.Handler {
		return otelhttp.NewHandler(h, "tokenservice",
			otelhttp.WithTracerProvider(t.traces),
			otelhttp.WithMeterProvider(t.metrics),
			otelhttp.WithPropagators(propagation.TraceContext{}))
	}
	tracer := t.traces.Tracer("github.com/kmssign/kmssign/examples/tokenservice")
	o.StartSpan = func(ctx context.Context, name string) (context.Context, func(error)) {
		ctx, span := tracer.Start(ctx, name)
		return ctx, func(err error) {
			if err != nil {
				span.SetStatus(codes.Error, err.Error())
			}
			span.End()
		}
	}
}

// close writes the remaining traces and metrics.
func (t *telemetry) close(ctx context.Context) error {
	return errors.Join(t.traces.Shutdown(ctx), t.metrics.Shutdown(ctx))
}
