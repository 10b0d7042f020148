"""The probe server of services that speak no HTTP otherwise: `/health/live`, `/health/ready` and `/metrics`.

Started by `chassis.lifecycle`. It knows just enough HTTP/1.1 for a kubelet, a supervisor, Prometheus and curl: GET and
HEAD, one request a connection, bounded in size, time and number. Not done here: anything a client outside of the
machine's or cluster's network should see.
"""

import asyncio
from typing import Final
from urllib.parse import urlsplit

import msgspec

from chassis.exposition import PATH as METRICS_PATH
from chassis.exposition import scrape
from chassis.health import Health, Kind

_MAX_REQUEST_BYTES: Final = 8 * 1024
_MAX_CONNECTIONS: Final = 32
_TIMEOUT_SECONDS: Final = 10

_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    503: "Service Unavailable",
}
_PATHS: Final[dict[str, Kind]] = {"/health/live": "live", "/health/ready": "ready"}


class ProbeServer:
    """An HTTP server on `listen` (host:port; port 0 takes a free one)."""

    def __init__(self, health: Health, listen: str) -> None:
        self._health = health
        self._host, self._port = parse_listen(listen)
        self._server: asyncio.Server | None = None
        self._connections = 0

    async def start(self) -> str:
        """Listen; returns the URL really listened on. Raises OSError when the port is taken."""
        self._server = await asyncio.start_server(
            self._serve, self._host, self._port, limit=_MAX_REQUEST_BYTES, reuse_address=True
        )
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def close(self) -> None:
        """Stop listening; requests under way are cut off with the event loop."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections <= _MAX_CONNECTIONS:
                async with asyncio.timeout(_TIMEOUT_SECONDS):
                    writer.write(await self._answer(reader))
                    await writer.drain()
        except (OSError, TimeoutError):  # stop: the prober has gone or dawdles; it will come again
            pass
        finally:
            self._connections -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, version = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):  # stop: not HTTP
            return _response(400, {"error": "not an HTTP request"})
        if not version.startswith("HTTP/1."):
            return _response(400, {"error": "HTTP/1.0 or HTTP/1.1 only"})
        if method not in ("GET", "HEAD"):
            return _response(405, {"error": "GET and HEAD only"})
        return await self._resource(urlsplit(target).path, _accept(head), body=method == "GET")

    async def _resource(self, path: str, accept: str, *, body: bool) -> bytes:
        kind = _PATHS.get(path)
        if kind is not None:
            report = await self._health.report(kind)
            return _response(200 if report.ok else 503, report, body=body)
        if path == METRICS_PATH and (metrics := scrape(accept)) is not None:
            return _encoded(200, metrics.content_type, metrics.body, body=body)
        return _response(404, {"error": f"there are {', '.join((*_PATHS, METRICS_PATH))}"}, body=body)


def parse_listen(listen: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as host and port. Raises ValueError."""
    host, separator, port = listen.rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{listen!r} is not host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _accept(head: bytes) -> str:
    """Return the request's Accept header, empty without one."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"accept":
            return value.strip().decode("latin-1")
    return ""


def _response(status: int, content: object, *, body: bool = True) -> bytes:
    return _encoded(status, "application/json", msgspec.json.encode(content), body=body)


def _encoded(status: int, content_type: str, encoded: bytes, *, body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(encoded)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (encoded if body else b"")
