"""Traces and metrics of a process arrive at an OTLP/HTTP endpoint when, and only when, one is configured."""

import os
import subprocess
import sys
from collections.abc import Generator

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.otlp import Sink, listening

PROGRAM = """
from chassis import telemetry

handle = telemetry.configure("minter", "1.2.3", "info", "json")
counter = telemetry.meter().create_counter("mint.items")
with telemetry.span("outer", attributes={"messaging.system": "nats"}, kind=telemetry.SpanKind.PRODUCER):
    headers = {}
    telemetry.inject(headers)
    counter.add(3)
try:
    with telemetry.span("inner", context=telemetry.extract(headers)):
        raise ValueError("lost postgresql://u:hunter2@h/d")
except ValueError:
    pass
handle.shutdown()
"""


@pytest.fixture
def sink() -> Generator[tuple[str, Sink], None, None]:
    with listening() as (url, received):
        yield url, received


def run(**environ: str) -> None:
    base = {"PATH": os.environ["PATH"], "OTEL_EXPORTER_OTLP_COMPRESSION": "none"}
    subprocess.run([sys.executable, "-c", PROGRAM], check=True, env=base | environ)


def test_spans_and_metrics_are_exported(sink: tuple[str, Sink]) -> None:
    url, received = sink
    run(OTEL_EXPORTER_OTLP_ENDPOINT=url)
    requests = [ExportTraceServiceRequest.FromString(body) for body in received.bodies("/v1/traces")]
    resources = [each for request in requests for each in request.resource_spans]
    attributes = {pair.key: pair.value.string_value for pair in resources[0].resource.attributes}
    assert (attributes["service.name"], attributes["service.version"]) == ("minter", "1.2.3")
    spans = {span.name: span for each in resources for scope in each.scope_spans for span in scope.spans}
    assert spans.keys() == {"outer", "inner"}
    assert spans["inner"].trace_id == spans["outer"].trace_id
    assert spans["inner"].parent_span_id == spans["outer"].span_id
    assert [pair.value.string_value for pair in spans["outer"].attributes] == ["nats"]
    assert spans["inner"].status.message == "ValueError: lost postgresql://u:[redacted]@h/d"
    metrics = [ExportMetricsServiceRequest.FromString(body) for body in received.bodies("/v1/metrics")]
    names = [
        metric.name
        for request in metrics
        for each in request.resource_metrics
        for scope in each.scope_metrics
        for metric in scope.metrics
    ]
    assert "mint.items" in names
    assert not any(b"hunter2" in body for bodies in received.posts.values() for body in bodies)


def test_one_signal_alone(sink: tuple[str, Sink]) -> None:
    url, received = sink
    run(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{url}/mine", OTEL_SERVICE_NAME="renamed")
    assert received.posts.keys() == {"/mine"}
    assert b"renamed" in received.bodies("/mine")[0]


@pytest.mark.parametrize(
    "environ",
    [{}, {"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}],
)
def test_nothing_is_exported_unasked(sink: tuple[str, Sink], environ: dict[str, str]) -> None:
    url, received = sink
    run(**environ, **({"OTEL_EXPORTER_OTLP_ENDPOINT": url} if environ else {}))
    assert received.posts == {}
