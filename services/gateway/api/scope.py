"""What surrounds every request: its id, its span, its log line, the security headers, and the last resort for errors.

A plain ASGI middleware, installed by `api/app.py` inside the CORS one, so that answers to mistakes of ours carry CORS
headers too.
"""

import re
import time
from http import HTTPStatus

import structlog
import uuid_utils
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis import metrics, telemetry
from chassis.telemetry import SpanKind, get_logger
from services.gateway.api.failures import internal_error
from services.gateway.api.fields import Fields, fields_of
from services.gateway.api.peers import client_host

REQUEST_ID_HEADER = "X-Request-Id"
FORWARDED = "X-Forwarded-For"
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

_TRACE_FIELDS = ("traceparent", "tracestate")
_RAW_REQUEST_ID = REQUEST_ID_HEADER.lower().encode()
_RAW_SECURITY = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

_log = get_logger(__name__)


class RequestScope:
    """Wraps the application; one span, one log line and one id a request. `trusted_proxies`: see `peers.py`."""

    def __init__(self, app: ASGIApp, trusted_proxies: int = 0) -> None:
        self._app = app
        self._trusted_proxies = trusted_proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = fields_of(scope)
        if (client := scope.get("client")) and self._trusted_proxies:
            scope["client"] = (client_host(client[0], headers.getlist(FORWARDED), self._trusted_proxies), client[1])
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(headers.get(REQUEST_ID_HEADER))
        scope.setdefault("state", {})["request_id"] = request_id
        exchange = _Exchange(send, request_id, answer_headers(scope))
        with (
            structlog.contextvars.bound_contextvars(request_id=request_id),
            telemetry.span(
                scope["method"],
                context=telemetry.extract({name: headers[name] for name in _TRACE_FIELDS if name in headers}),
                kind=SpanKind.SERVER,
                attributes={
                    "http.request.method": scope["method"],
                    "url.path": scope["path"],
                    "url.scheme": scope["scheme"],
                },
            ) as span,
        ):
            started = time.perf_counter()
            await self._answer(scope, receive, exchange)
            _tell(scope, headers, exchange.status, time.perf_counter() - started, span)

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


class _Exchange:
    """Passes the answer on, adding headers and remembering its status; 0 until it begins."""

    def __init__(self, send: Send, request_id: str, extra: dict[str, str]) -> None:
        self.request_id = request_id
        self._extra = extra
        self.status = 0
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given: list[tuple[bytes, bytes]] = message.setdefault("headers", [])
            ours = [(_RAW_REQUEST_ID, self.request_id.encode())]
            ours += [(name.lower().encode(), value.encode("latin-1")) for name, value in self._extra.items()]
            named = {name for name, _ in ours}
            kept = [pair for pair in given if pair[0] not in named]
            named.update(name for name, _ in kept)
            message["headers"] = kept + ours + [pair for pair in _RAW_SECURITY if pair[0] not in named]
        await self._send(message)


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


def _tell(scope: Scope, headers: Fields, status: int, seconds: float, span: telemetry.Span) -> None:
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
    write = _log.debug if scope["path"].startswith(_QUIET_PREFIX) else _log.info
    client = scope.get("client")
    write(
        "http request",
        method=method,
        path=scope["path"],
        status=status,
        duration_ms=round(seconds * 1000, 1),
        user_agent=headers.get("user-agent"),
        ip=client[0] if client else None,
        **state.get("line_fields", {}),
    )
