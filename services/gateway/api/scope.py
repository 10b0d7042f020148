"""What surrounds every request: its place, id, span and log line, the security headers, the last resort for errors.

A plain ASGI middleware, put around every route by `api/app.py`, inside `api/origins.py`, so that answers to mistakes of
ours carry CORS headers too. It is one for all of that, because each layer costs a request as much as what is in it.
"""

import re
import time
from contextlib import AbstractContextManager
from http import HTTPStatus

import uuid_utils
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from chassis import logs, metrics, telemetry
from chassis.telemetry import SpanKind, get_logger
from services.gateway.api.admission import Admission, Place, bounded
from services.gateway.api.failures import internal_error, refusal
from services.gateway.api.fields import field, fields_named, fields_of
from services.gateway.api.patience import BodyPatience
from services.gateway.api.peers import client_host
from services.gateway.errors import Overloaded

REQUEST_ID_HEADER = "X-Request-Id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET_PREFIX = "/health"

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Strict-Transport-Security": "max-age=31536000",
    "Cache-Control": "no-store",
}

_FORWARDED = b"x-forwarded-for"
_TRACE_FIELDS = {b"traceparent": "traceparent", b"tracestate": "tracestate"}
_RAW_REQUEST_ID = REQUEST_ID_HEADER.lower().encode()
_RAW_SECURITY = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
_SECURITY_NAMES = frozenset(name for name, _ in _RAW_SECURITY)

RawHeader = tuple[bytes, bytes]

_OVERLOADED = Overloaded()

_log = get_logger(__name__)


class RequestScope:
    """Wraps an application; one span, one log line and one id a request. `trusted_proxies`: see `peers.py`."""

    def __init__(self, app: ASGIApp, admission: Admission, trusted_proxies: int = 0) -> None:
        self._app = app
        self._admission = admission
        self._trusted_proxies = trusted_proxies
        self._lines = _log.bind()  # made once: structlog makes a logger for each line otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] == "http":
            if self._admission.refuses(scope):
                await _refuse(scope, receive, send)
            else:
                await self._surround(scope, receive, send)
            return
        if scope["type"] == "websocket":
            self._find_client(scope)
        await self._app(scope, receive, send)

    async def _surround(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._find_client(scope)
        request_id = _request_id(field(scope, _RAW_REQUEST_ID))
        scope["state"]["request_id"] = request_id
        exchange = _Exchange(send, request_id, answer_headers(scope))
        place = Place(self._admission, scope) if bounded(scope) else None
        patience = BodyPatience(receive, place)
        bound = logs.bind(request_id=request_id)
        try:
            with _span(scope) as span:
                started = time.perf_counter()
                await self._answer(scope, patience.receive, exchange)
                _tell(self._lines, scope, exchange.status, time.perf_counter() - started, span)
        finally:
            logs.unbind(bound)
            if place:
                place.end()

    async def _answer(self, scope: Scope, receive: Receive, exchange: "_Exchange") -> None:
        try:
            await self._app(scope, receive, exchange.send)
        except ClientDisconnect:  # stop: nobody is left to answer
            exchange.status = 499
        except Exception:  # stop: a mistake of ours; logged whole, told without any of it
            _log.exception("request failed", method=scope["method"], path=scope["path"])
            if exchange.status:
                raise  # the answer has begun: only cutting the connection tells the caller
            await internal_error(exchange.request_id)(scope, receive, exchange.send)

    def _find_client(self, scope: Scope) -> None:
        if self._trusted_proxies and (client := scope.get("client")):
            forwarded = fields_named(scope, _FORWARDED)
            scope["client"] = (client_host(client[0], forwarded, self._trusted_proxies), client[1])


class _Exchange:
    """Passes the answer on, adding headers and remembering its status; 0 until it begins."""

    __slots__ = ("_extra", "_send", "request_id", "status")

    def __init__(self, send: Send, request_id: str, extra: dict[str, str]) -> None:
        self.request_id = request_id
        self._extra = extra
        self.status = 0
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            ours = [(_RAW_REQUEST_ID, self.request_id.encode())]
            if self._extra:
                ours += [(name.lower().encode(), value.encode("latin-1")) for name, value in self._extra.items()]
            message["headers"] = _joined(list(message.get("headers", ())), ours)
        await self._send(message)


def _joined(given: list[RawHeader], ours: list[RawHeader]) -> list[RawHeader]:
    """Return the headers of an answer: `ours` before those that it was given, these before the security headers."""
    owned = dict(ours)
    if not owned.keys().isdisjoint(dict(given)):
        given = [pair for pair in given if pair[0] not in owned]
    joined = given + ours
    named = dict(joined).keys()
    return joined + (
        _RAW_SECURITY if named.isdisjoint(_SECURITY_NAMES) else [pair for pair in _RAW_SECURITY if pair[0] not in named]
    )


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request for which there is no place."""
    request_id = str(uuid_utils.uuid7())
    await refusal(request_id, _OVERLOADED)(scope, receive, _Exchange(send, request_id, {}).send)


def _span(scope: Scope) -> AbstractContextManager[telemetry.Span]:
    sent = fields_of(scope)
    trace = {name: sent[raw].decode("latin-1") for raw, name in _TRACE_FIELDS.items() if raw in sent}
    if not telemetry.recording():
        return telemetry.carried(trace)
    method = scope["method"]
    attributes = {"http.request.method": method, "url.path": scope["path"], "url.scheme": scope["scheme"]}
    return telemetry.span(method, context=telemetry.extract(trace), kind=SpanKind.SERVER, attributes=attributes)


def answer_headers(scope: Scope) -> dict[str, str]:
    """Return the headers that the answer will have beside its own, refused or not; for adding to them."""
    return scope.setdefault("state", {}).setdefault("answer_headers", {})


def line_fields(scope: Scope) -> dict[str, object]:
    """Return the fields that the request's log line will have beside its own; for adding to them."""
    return scope.setdefault("state", {}).setdefault("line_fields", {})


def name_route(scope: Scope, route: str) -> None:
    """Say which route the request is answered by, where the framework has not found it."""
    scope.setdefault("state", {})["route"] = route


def _request_id(given: str | None) -> str:
    """Return the caller's own id when it is harmless in a log, or else a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else str(uuid_utils.uuid7())


def _tell(lines: FilteringBoundLogger, scope: Scope, status: int, seconds: float, span: telemetry.Span) -> None:
    """Say how the request went: in its span, in the metrics, and in one line of the log."""
    method, state = scope["method"], scope["state"]
    route: str = state.get("route") or getattr(scope.get("route"), "path", None) or ""
    if span.is_recording():
        if route:
            span.update_name(f"{method} {route}")
            span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            telemetry.fail(span, str(status))
    metrics.HTTP_DURATION.record(seconds, method=method, route=route, status=str(status))
    write = lines.debug if scope["path"].startswith(_QUIET_PREFIX) else lines.info
    client = scope.get("client")
    write(
        "http request",
        method=method,
        path=scope["path"],
        status=status,
        duration_ms=round(seconds * 1000, 1),
        user_agent=field(scope, b"user-agent"),
        ip=client[0] if client else None,
        **state.get("line_fields", {}),
    )
