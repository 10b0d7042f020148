"""An OTLP/HTTP endpoint in this process: it keeps what services send, and draws a trace as a tree.

`python -m tests.support.otlp` mints one NFT on a stack of its own and writes the drawing into docs/observability.md.
"""

import asyncio
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.stack import LiveStack, eventually, live_stack, stack_settings

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "observability.md"
BEGIN, END = "<!-- trace: begin -->\n", "<!-- trace: end -->\n"
LAST = "send mint.completed.v1"
ROOT = "POST /api/mint/batch"


class Sink:
    """What was posted, by path."""

    def __init__(self) -> None:
        self.posts: dict[str, list[bytes]] = {}

    def bodies(self, path: str) -> list[bytes]:
        return self.posts.get(path, [])


@contextmanager
def listening() -> Generator[tuple[str, Sink]]:
    """A sink and its URL; whatever is posted is answered with 200."""
    received = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.posts.setdefault(self.path, []).append(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def exporting(url: str) -> dict[str, str]:
    """The environment in which services send their spans to `url`, soon."""
    return {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{url}/v1/traces",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }


@dataclass(frozen=True)
class Exported:
    """One span as it arrived. Times are Unix nanoseconds."""

    trace: bytes
    id: bytes
    parent: bytes
    name: str
    service: str
    start: int
    end: int
    links: tuple[bytes, ...]
    """Spans of other work that this one did a part of."""
    attributes: Mapping[str, str]
    failed: bool


def spans_of(sink: Sink) -> list[Exported]:
    """Every span that has arrived."""
    found: list[Exported] = []
    for body in sink.bodies("/v1/traces"):
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                found += [
                    Exported(
                        trace=span.trace_id,
                        id=span.span_id,
                        parent=span.parent_span_id,
                        name=span.name,
                        service=named["service.name"],
                        start=span.start_time_unix_nano,
                        end=span.end_time_unix_nano,
                        links=tuple(link.span_id for link in span.links),
                        attributes={each.key: each.value.string_value for each in span.attributes},
                        failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    )
                    for span in scope.spans
                ]
    return found


def trace_of(spans: Sequence[Exported], root: Exported) -> list[Exported]:
    """What happened because of `root`: every span below it, and those of shared work that are linked to one of them."""
    below: dict[bytes, list[Exported]] = defaultdict(list)
    for span in spans:
        for parent in dict.fromkeys((span.parent, *span.links)):
            below[parent].append(span)
    found: dict[bytes, Exported] = {}
    waiting = [root]
    while waiting:
        span = waiting.pop()
        if span.id not in found:
            found[span.id] = span
            waiting += below[span.id]
    return sorted(found.values(), key=lambda span: span.start)


def draw(trace: Sequence[Exported]) -> str:
    """The trace as a tree: milliseconds from its beginning, and each span's length. Repeated spans are counted."""
    began, drawn, lines = trace[0].start, set[bytes](), list[str]()
    ids = {span.id for span in trace}

    def add(spans: Iterable[Exported], depth: int) -> None:
        by_name: dict[tuple[str, str], list[Exported]] = defaultdict(list)
        for span in spans:
            if span.id not in drawn:
                by_name[span.service, span.name].append(span)
        for (service, name), alike in by_name.items():
            drawn.update(span.id for span in alike)
            first = alike[0]
            times = f" x{len(alike)}" if len(alike) > 1 else ""
            link = "" if first.parent in ids or first is trace[0] else " (linked)"
            text = f"{'  ' * depth}{name}{times}{link}"
            lines.append(
                f"{(first.start - began) / 1e6:7.0f} {(first.end - first.start) / 1e6:7.0f}  {service:<8} {text}"
            )
            inner = {span.id for span in alike}
            add((span for span in trace if span.parent in inner or inner & set(span.links)), depth + 1)

    add(trace[:1], 0)
    return "\n".join(["     at    took  service  span", "     ms      ms", *lines]) + "\n"


async def minted_trace(live: LiveStack, sink: Sink) -> list[Exported]:
    """Mint one NFT from a file and return its trace, once the operation's end is said and everything has arrived."""
    collection = await live.collection()
    asked = await live.ask(collection, 1, files=True)
    await live.finalized(asked)
    await live.settled(asked.operation)

    async def arrived() -> list[Exported] | None:
        spans = spans_of(sink)
        roots = [span for span in spans if span.name == ROOT]
        trace = trace_of(spans, roots[-1]) if roots else []
        names = [span.name for span in trace]
        # The end's own projection is the last that happens.
        complete = LAST in names and "send mint.finalized.v1" in names and "project MINT" in names[names.index(LAST) :]
        return trace if complete else None

    return await eventually(arrived, "the whole trace is exported")


async def _drawn() -> str:
    with listening() as (url, sink), tempfile.TemporaryDirectory() as directory:
        settings = stack_settings(Path(directory), slot_ms=400, service_environ=exporting(url))
        async with live_stack(settings) as live:
            return draw(await minted_trace(live, sink))


def main() -> int:
    """Mint, draw and write."""
    text = DOCUMENT.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    DOCUMENT.write_text(f"{before}{BEGIN}\n```text\n{asyncio.run(_drawn())}```\n\n{END}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
