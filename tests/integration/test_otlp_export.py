"""Traces and metrics of a process arrive at an OTLP/HTTP endpoint when, and only when, one is configured."""

import os
import socket
import subprocess
import sys
from collections.abc import Generator

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.otlp import Sink, listening

PROGRAM = """
from chassis import metrics, telemetry

handle = telemetry.configure("minter", "1.2.3", "info", "json")
with telemetry.span("outer", attributes={"messaging.system": "nats"}, kind=telemetry.SpanKind.PRODUCER):
    headers = {}
    telemetry.inject(headers)
    metrics.RPC_ERRORS.add(3, node="1 host", kind="refused")
with telemetry.span("other"):
    others = {}
    telemetry.inject(others)
for name, messages in {"alike": [headers, headers], "mixed": [headers, others, {}]}.items():
    context, links = telemetry.together(messages)
    with telemetry.span(name, context=context, links=links):
        pass
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
    assert spans.keys() == {"outer", "inner", "other", "alike", "mixed"}
    assert spans["inner"].trace_id == spans["outer"].trace_id
    assert spans["inner"].parent_span_id == spans["outer"].span_id
    assert [pair.value.string_value for pair in spans["outer"].attributes] == ["nats"]
    assert spans["inner"].status.message == "ValueError: lost postgresql://u:[redacted]@h/d"
    outer, other = spans["outer"], spans["other"]
    assert (spans["alike"].trace_id, spans["alike"].parent_span_id) == (outer.trace_id, outer.span_id)
    assert [link.span_id for link in spans["alike"].links] == [outer.span_id]
    assert not spans["mixed"].parent_span_id, "work for several traces has one of its own"
    assert [link.span_id for link in spans["mixed"].links] == [outer.span_id, other.span_id]
    metrics = [ExportMetricsServiceRequest.FromString(body) for body in received.bodies("/v1/metrics")]
    points = {
        metric.name: metric.sum.data_points
        for request in metrics
        for each in request.resource_metrics
        for scope in each.scope_metrics
        for metric in scope.metrics
    }
    (point,) = points["mintstream.rpc.errors"]
    assert point.as_int == 3
    assert {pair.key: pair.value.string_value for pair in point.attributes} == {"node": "1 host", "kind": "refused"}
    assert not any(b"hunter2" in body for bodies in received.posts.values() for body in bodies)


def test_a_collector_that_does_not_answer_keeps_no_process_from_ending() -> None:
    """Killed at the end of its grace, or not started anew until then: it would wait for an answer to every batch."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        impatient = PROGRAM.replace("handle = ", "telemetry.FLUSH_SECONDS = 0.1\nhandle = ", 1)
        environ = {
            "PATH": os.environ["PATH"],
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "600",
        }
        subprocess.run([sys.executable, "-c", impatient], check=True, env=environ, timeout=60)


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
