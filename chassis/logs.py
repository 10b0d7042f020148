"""Structured logs: one JSON object a line on stderr, or coloured text on a terminal.

Used through `chassis.telemetry`. Every line carries the service, its version and the trace and span identifiers;
lines of libraries that use the standard `logging` come out the same way. Not done here: shipping logs anywhere.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, cast

import msgspec
import structlog
from opentelemetry import trace
from structlog.typing import EventDict, Processor, WrappedLogger

from chassis import trace_context
from chassis.redaction import redact, redact_mapping
from chassis.settings import LogFormat, LogLevel

# Libraries whose "info" is a line for each request, with its URL, whose path may hold a provider's API key. Not even
# at level debug: a secret must not depend on a log level.
_QUIET: Final = ("httpx", "httpx2", "httpcore", "httpcore2", "uvicorn.access", "opentelemetry", "asyncio", "solana")


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger; `log.info("mint requested", operation=...)`: a fixed sentence, then fields."""
    return cast("structlog.stdlib.BoundLogger", structlog.get_logger(name))


def configure_logs(service_name: str, version: str, level: LogLevel, log_format: LogFormat) -> None:
    """Send structlog and the standard `logging` to stderr in one format. May be called again."""
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _ServiceFields(service_name, version, console=console),
        _add_trace,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a module-level logger must see a later configure
    )
    handler = _StderrHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # Tracebacks as text, before redaction: frames' local variables are never rendered.
                structlog.processors.format_exc_info,
                _redact,
                structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if console else _render_json,
            ],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel("WARNING")


class _StderrHandler(logging.Handler):
    """Writes to what `sys.stderr` is at the time, so that redirecting it works after the set-up too."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record as one line."""
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # stop: logging must not break the work; `logging` itself says what happened
            self.handleError(record)


class _ServiceFields:
    """Adds the service's name and version; on a terminal they would only be noise."""

    def __init__(self, service_name: str, version: str, *, console: bool) -> None:
        self._fields = {} if console else {"service": service_name, "version": version}

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        for name, value in self._fields.items():
            event.setdefault(name, value)
        return event


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if carried := trace_context.current():
        event["trace_id"], event["span_id"] = carried.trace_id, carried.span_id
        return event
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
        event["span_id"] = trace.format_span_id(context.span_id)
    return event


def _redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return redact_mapping(cast("dict[object, object]", event))


def _render_json(_logger: WrappedLogger, _method: str, event: MutableMapping[str, Any]) -> str:
    """One line; the sentence, time and level first, so that a human reading raw lines finds them."""
    ordered = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    ordered.update(event)
    return msgspec.json.encode(ordered, enc_hook=lambda value: redact(repr(value))).decode()
