"""Structured logs: one JSON object a line on stderr, or coloured text on a terminal.

Used through `chassis.telemetry`. Every line carries the service, its version and the trace and span identifiers;
warnings of libraries that use the standard `logging` come out the same way. Not done here: shipping logs anywhere.
"""

import asyncio
import atexit
import contextlib
import logging
import sys
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Final, cast

import msgspec
import structlog
from opentelemetry import trace
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from chassis import trace_context
from chassis.redaction import redact, redact_mapping
from chassis.settings import LogFormat, LogLevel

Renderer = Callable[[WrappedLogger, str, EventDict], str]


_bound: Final[ContextVar[Mapping[str, str]]] = ContextVar("mintstream_log_fields", default=MappingProxyType({}))


def bind(**fields: str) -> Token[Mapping[str, str]]:
    """Give every line of this task these fields instead of those bound before, until `unbind` is called."""
    return _bound.set(fields)


def unbind(bound: Token[Mapping[str, str]]) -> None:
    """Take back what `bind` returned this for."""
    _bound.reset(bound)


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger; `log.info("wallet signed in", wallet=...)`: a fixed sentence, then fields."""
    return cast("FilteringBoundLogger", structlog.get_logger(name))


def configure_logs(service_name: str, version: str, level: LogLevel, log_format: LogFormat) -> None:
    """Send structlog and the standard `logging` to stderr in one format. May be called again."""
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    render = _coloured(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())) if console else _render_json
    line = _Line({} if console else {"service": service_name, "version": version}, render)
    # Our own lines do not go through `logging`, which would look for their place in the code and take a lock for each.
    structlog.configure(
        processors=[_whole],
        logger_factory=partial(_Lines, line),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,  # a module-level logger must see a later configure
    )
    handler = _StderrHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, line],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    # Below a warning libraries tell of each request: its URL, whose path or query may hold a key, and at level debug
    # all of its headers. A secret must not depend on a log level.
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level.upper()]))


class _StderrHandler(logging.Handler):
    """Takes the lines of libraries."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as one line."""
        try:
            _waiting.add(self.format(record), urgent=True)
        except Exception:  # stop: logging must not break the work; `logging` itself says what happened
            self.handleError(record)


class _Lines:
    """What structlog hands its events to: each is one line of stderr."""

    def __init__(self, line: "_Line", name: str) -> None:
        self.name = name
        self._line = line

    def msg(self, level: str, event: EventDict) -> None:
        """Write one event as one line, without delay: the process may be about to end."""
        self._put(level, event, urgent=True)

    def info(self, level: str, event: EventDict) -> None:
        """Write one event as one line, in a moment: a busy service writes many, and each write is a system call."""
        self._put(level, event, urgent=False)

    def _put(self, level: str, event: EventDict, *, urgent: bool) -> None:
        try:
            _waiting.add(self._line(self, level, event), urgent=urgent)
        except Exception as error:  # stop: logging must not break the work; what happened is told without the values
            with contextlib.suppress(OSError, ValueError):
                told = f'{{"level":"error","event":"log line not written","reason":"{type(error).__name__}"}}'
                _waiting.add(told, urgent=True)

    debug = info
    warning = error = critical = msg


def _whole(_logger: WrappedLogger, level: str, event: EventDict) -> tuple[tuple[str, EventDict], dict[str, Any]]:
    """The event and its level as the arguments of `_Lines.msg`."""
    return (level, event), {}


class _Waiting:
    """Lines on their way to what `sys.stderr` is at the time, so that redirecting it works after the set-up too."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        """Which one will write them at its next turn."""

    def add(self, line: str, *, urgent: bool) -> None:
        """Write the line: at once, or, unless it is urgent, with all others of this turn of the event loop."""
        self._lines.append(line)
        try:
            loop = None if urgent else asyncio.get_running_loop()
        except RuntimeError:  # go on: no loop runs in this thread, so there is no turn to wait for
            loop = None
        if loop is None:
            self.write()
        elif loop is not self._loop:
            self._loop = loop
            loop.call_soon(self.write)

    def write(self) -> None:
        """Write what waits. Each line is written once, whoever else writes at the same moment."""
        self._loop = None
        taken: list[str] = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._lines.popleft())
        if taken:
            sys.stderr.write("\n".join(taken) + "\n")
            sys.stderr.flush()


_waiting = _Waiting()


@atexit.register
def flush_logs() -> None:
    """Write the lines that wait; for whoever ends the process without more ado."""
    _waiting.write()


class _Line:
    """Makes a line of an event: one processor for what structlog has eight for, since every request has a line.

    `service` are the fields that every line has; on a terminal they would only be noise.
    """

    def __init__(self, service: Mapping[str, str], render: Renderer) -> None:
        self._service = service
        self._render = render

    def __call__(self, logger: WrappedLogger, level: str, event: EventDict) -> str:
        if "exc_info" in event:  # as text, before redaction: frames' local variables are never rendered
            event = structlog.processors.format_exc_info(logger, level, event)
        # The sentence, time and level first, so that a human reading raw lines finds them.
        line: dict[str, object] = {
            "timestamp": datetime.now(UTC),
            "level": level,
            "event": "",
        }
        line |= redact_mapping(cast("dict[object, object]", event))
        for name, value in _bound.get().items():
            line.setdefault(name, value)
        if "logger" not in line:
            line["logger"] = logger.name
        for name, value in self._service.items():
            line.setdefault(name, value)
        _add_trace(line)
        return self._render(logger, level, line)


def _add_trace(line: dict[str, object]) -> None:
    if carried := trace_context.current():
        line["trace_id"], line["span_id"] = carried.trace_id, carried.span_id
        return
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        line["trace_id"] = trace.format_trace_id(context.trace_id)
        line["span_id"] = trace.format_span_id(context.span_id)


def _coloured(render: Renderer) -> Renderer:
    def rendered(logger: WrappedLogger, level: str, line: EventDict) -> str:
        line["timestamp"] = line["timestamp"].isoformat().replace("+00:00", "Z")
        return render(logger, level, line)

    return rendered


def _render_json(_logger: WrappedLogger, _level: str, line: MutableMapping[str, Any]) -> str:
    return msgspec.json.encode(line, enc_hook=lambda value: redact(repr(value))).decode()
