"""The trace that this task belongs to while nothing is recorded: two header values that are only carried on.

Used by `chassis.telemetry` where no exporter is configured, and by `chassis.logs` for the identifiers of a line. It
costs a message well under a microsecond; OpenTelemetry's own contexts and spans cost tens, recorded or not. Headers
are W3C's (https://www.w3.org/TR/trace-context/). Not done here: spans, and what goes on while they are recorded.
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar, Token
from random import getrandbits
from types import TracebackType
from typing import Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

_PLAIN: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""What every part of Mintstream writes. Anything else is left to OpenTelemetry's parser to judge."""

_propagator: Final = TraceContextTextMapPropagator()


class TraceContext(NamedTuple):
    """Whose trace it is, as it stands in headers."""

    traceparent: str
    tracestate: str = ""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return self.traceparent[3:35]

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits: the caller's span, which stands for all of the trace here."""
        return self.traceparent[36:52]

    def write(self, headers: dict[str, str]) -> None:
        """Put it into the headers of a message or request."""
        headers[TRACEPARENT] = self.traceparent
        if self.tracestate:
            headers[TRACESTATE] = self.tracestate


_current: Final[ContextVar[TraceContext | None]] = ContextVar("mintstream_trace", default=None)


def current() -> TraceContext | None:
    """The trace of this task, or None outside of one."""
    return _current.get()


def begin() -> TraceContext:
    """A trace of its own, marked as not sampled."""
    # Not for secrets, as OpenTelemetry's own are not: no system call.
    return TraceContext(f"00-{getrandbits(128) or 1:032x}-{getrandbits(64) or 1:016x}-00")


def read(headers: Mapping[str, str] | None) -> TraceContext | None:
    """The trace that `headers` carry; None when they carry none or nonsense.

    Header names are matched without regard to case, as HTTP and NATS gateways may change it.
    """
    if not headers:
        return None
    given = headers.get(TRACEPARENT)
    if given is not None and TRACESTATE not in headers and _PLAIN.fullmatch(given):
        return TraceContext(given)
    return _judged(headers)


def _judged(headers: Mapping[str, str]) -> TraceContext | None:
    lowered = {name.lower(): value for name, value in headers.items()}
    if TRACEPARENT not in lowered:
        return None
    written: dict[str, str] = {}
    _propagator.inject(written, _propagator.extract(lowered, context=Context()))
    if TRACEPARENT not in written:
        return None
    return TraceContext(written[TRACEPARENT], written.get(TRACESTATE, ""))


class Carrying:
    """A context manager: its body belongs to `trace`. It gives a span that takes everything and keeps nothing."""

    __slots__ = ("_before", "_trace")

    def __init__(self, trace: TraceContext) -> None:
        self._trace = trace
        self._before: Token[TraceContext | None] | None = None

    def __enter__(self) -> Span:
        """Begin."""
        self._before = _current.set(self._trace)
        return INVALID_SPAN

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End; an exception goes on."""
        if self._before is not None:
            _current.reset(self._before)
