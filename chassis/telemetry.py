"""Logs, traces and metrics of a service, set up once.

Used by every main.py (`configure`), by messaging (trace context in NATS headers) and by whoever logs
(`get_logger`). Traces and metrics are exported by OTLP/HTTP when the standard `OTEL_EXPORTER_OTLP_*` variables ask
for it; otherwise no span is made and nothing of OpenTelemetry's SDK is loaded: the caller's trace is only carried on
(`chassis.trace_context`), so that the log lines of one mint can still be joined across services. Not done here: which
metrics there are, and keeping them for Prometheus (`chassis.metrics`).
"""

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Final

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import Meter
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, Status, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from chassis import exposition, trace_context
from chassis.logs import configure_logs, get_logger
from chassis.redaction import scrub
from chassis.settings import LogFormat, LogLevel

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

__all__ = [
    "Context",
    "Link",
    "Span",
    "SpanKind",
    "Telemetry",
    "carried",
    "configure",
    "extract",
    "fail",
    "get_logger",
    "here",
    "inject",
    "meter",
    "recording",
    "span",
    "together",
    "unrecorded",
]

_INSTRUMENTATION: Final = "mintstream"
FLUSH_SECONDS: Final = 3.0
"""What the exporters get together to send what is left when the service stops."""

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer(_INSTRUMENTATION)  # finds the provider once there is one
_CARRIED: Final = "mintstream.trace_context"
"""Where a `Context` has the trace that is only carried on."""
_CURRENT: Final = nullcontext(INVALID_SPAN)
"""The span of whoever goes on with the current trace; it keeps nothing, so one serves all."""


@dataclass(slots=True)
class _State:
    recording: bool = False
    """Whether spans go to an exporter."""


_state = _State()


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What `configure` set up, to be shut down when the service ends."""

    tracer_provider: "TracerProvider | None" = None
    meter_provider: "MeterProvider | None" = None

    def shutdown(self) -> None:
        """Send what is still buffered, for FLUSH_SECONDS. Blocks: call it after the event loop has ended.

        The providers' own timeouts bound no request that is on its way, of which there may be several: a collector
        that takes connections and never answers would hold the process up for a minute.
        """
        flushing = [
            Thread(target=provider.shutdown, name="send what is left", daemon=True)
            for provider in (self.tracer_provider, self.meter_provider)
            if provider is not None
        ]
        for each in flushing:
            each.start()
        deadline = monotonic() + FLUSH_SECONDS
        for each in flushing:
            each.join(max(0.0, deadline - monotonic()))


def configure(
    service_name: str,
    version: str,
    level: LogLevel = "info",
    format: LogFormat = "auto",  # noqa: A002  (the word of the LOG_FORMAT setting)
    environ: Mapping[str, str] = os.environ,
    *,
    enable_metrics: bool = True,
) -> Telemetry:
    """Set up logs to stderr, metrics for `/metrics`, and, when `environ` names an OTLP endpoint, the export of both.

    Call it once in a process: OpenTelemetry keeps the first provider it is given, so that a call after one that set up
    an export changes the logs only.
    """
    configure_logs(service_name, version, level, format)
    if enable_metrics and not _disabled(environ):
        exposition.open_to_scrapes()
    export_traces = _exports("TRACES", environ)
    export_metrics = enable_metrics and _exports("METRICS", environ)
    if _state.recording or not (export_traces or export_metrics):
        return Telemetry()
    resource = _resource(service_name, version, environ)
    tracer_provider = meter_provider = None
    if export_traces:
        tracer_provider = _tracer_provider(resource)
        trace.set_tracer_provider(tracer_provider)
        _state.recording = True
    if export_metrics:
        meter_provider = _meter_provider(resource)
        metrics.set_meter_provider(meter_provider)
    return Telemetry(tracer_provider, meter_provider)


def meter(name: str = _INSTRUMENTATION) -> Meter:
    """The meter to make instruments with; they do nothing, at next to no cost, unless metrics are exported."""
    return metrics.get_meter(name)


def recording() -> bool:
    """Whether spans are recorded. Whoever asks can spare itself the attributes of a span that nobody sees."""
    return _state.recording


def span(
    name: str,
    *,
    context: Context | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Mapping[str, AttributeValue] | None = None,
    links: Sequence[Link] = (),
    expected: tuple[type[Exception], ...] = (),
) -> AbstractContextManager[Span]:
    """Run the body in a span, a child of `context` or else of the current span.

    An exception that leaves the body goes on; it is noted on the span with its scrubbed text, and unless it is one of
    `expected`, which are answers and no errors, it marks the span as failed.
    """
    if not _state.recording:
        return unrecorded(context)
    return _recorded(name, context, kind, attributes, links, expected)


def unrecorded(context: Context | None = None) -> AbstractContextManager[Span]:
    """Give the body a trace for its log lines and messages, that of `context` or the current one, and nothing else."""
    if context is None:
        return _CURRENT if trace_context.current() is not None else trace_context.Carrying(trace_context.begin())
    return trace_context.Carrying(_carried(context) or trace_context.begin())


def carried(headers: Mapping[str, str]) -> AbstractContextManager[Span]:
    """As `unrecorded`, with the trace that `headers` carry: for every message, so by the shortest way."""
    return trace_context.Carrying(trace_context.read(headers) or trace_context.begin())


@contextmanager
def _recorded(
    name: str,
    context: Context | None,
    kind: SpanKind,
    attributes: Mapping[str, AttributeValue] | None,
    links: Sequence[Link],
    expected: tuple[type[Exception], ...],
) -> Generator[Span, None, None]:
    with _tracer.start_as_current_span(
        name,
        context=context,
        kind=kind,
        attributes=attributes,
        links=links,
        record_exception=False,  # its traceback would leave the process unscrubbed
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except Exception as error:  # stop here and re-raise: only noted on the span
            text = scrub(str(error))
            current.add_event("exception", {"exception.type": type(error).__qualname__, "exception.message": text})
            if not isinstance(error, expected):
                fail(current, type(error).__qualname__, f"{type(error).__name__}: {text}")
            raise


def fail(failed: Span, error_type: str, text: str | None = None) -> None:
    """Mark a span as failed, with the class of the error and a text without secrets."""
    failed.set_attribute("error.type", error_type)
    failed.set_status(Status(StatusCode.ERROR, text))


def here() -> Link | None:
    """A link to the current span, for whoever does a part of its work together with others'; None when not recorded."""
    current = get_current_span()
    return Link(current.get_span_context()) if current.is_recording() else None


def together(messages: Sequence[Mapping[str, str]]) -> tuple[Context, list[Link]]:
    """The context and the links of one span for several messages, given by their headers.

    It goes on with their trace when all are of one trace; else it begins one of its own, linked to each of theirs.
    """
    if not _state.recording:
        carried = [trace_context.read(headers) for headers in messages]
        of_one = len({each and each.trace_id for each in carried}) == 1
        return _carrying(carried[-1] if of_one else None), []
    links: dict[tuple[int, int], Link] = {}
    traces: set[int] = set()
    last = Context()
    for headers in messages:
        last = extract(headers)
        span_context = get_current_span(last).get_span_context()
        traces.add(span_context.trace_id)
        if span_context.is_valid and span_context.trace_flags.sampled:
            links[span_context.trace_id, span_context.span_id] = Link(span_context)
    return (last if len(traces) == 1 else Context()), list(links.values())


def inject(headers: dict[str, str]) -> None:
    """Write the current span into `headers` as W3C `traceparent` (and `tracestate`); nothing outside of a span."""
    if _state.recording:
        _propagator.inject(headers)
    elif carried := trace_context.current():
        carried.write(headers)


def extract(headers: Mapping[str, str] | None) -> Context:
    """The context that `headers` carry; an empty one when they carry none or nonsense, so a new trace starts.

    Header names are matched without regard to case, as HTTP and NATS gateways may change it.
    """
    if not _state.recording:
        return _carrying(trace_context.read(headers))
    lowered = {name.lower(): value for name, value in (headers or {}).items()}
    return _propagator.extract(lowered, context=Context())


def _carrying(carried: trace_context.TraceContext | None) -> Context:
    return Context() if carried is None else Context({_CARRIED: carried})


def _carried(context: Context) -> trace_context.TraceContext | None:
    found = context.get(_CARRIED)
    return found if isinstance(found, trace_context.TraceContext) else None


def _resource(service_name: str, version: str, environ: Mapping[str, str]) -> "Resource":
    from opentelemetry.sdk.resources import Resource

    name = environ.get("OTEL_SERVICE_NAME") or service_name
    return Resource.create({"service.name": name, "service.version": version, "service.namespace": "mintstream"})


def _exports(signal: str, environ: Mapping[str, str]) -> bool:
    """Whether the standard variables ask for the export of `signal` (TRACES or METRICS).

    https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
    """
    if _disabled(environ):
        return False
    if environ.get(f"OTEL_{signal}_EXPORTER", "").lower() == "none":
        return False
    return bool(environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"))


def _disabled(environ: Mapping[str, str]) -> bool:
    return environ.get("OTEL_SDK_DISABLED", "").lower() == "true"


def _tracer_provider(resource: "Resource") -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=resource, shutdown_on_exit=False)  # sampler: OTEL_TRACES_SAMPLER
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _meter_provider(resource: "Resource") -> "MeterProvider":
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    return MeterProvider(resource=resource, metric_readers=[reader], shutdown_on_exit=False)
