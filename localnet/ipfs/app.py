"""Routes and what every answer has in common. Used by `__main__` and, without a socket, by tests.

The API is for this machine's services, so requests that a browser sends across origins are refused there, as Kubo
does; the gateway is for everybody.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from localnet.ipfs.gateway import Gateway
from localnet.ipfs.rpc import Rpc, failure
from localnet.ipfs.store import BlockStore

MAX_FILE_BYTES = 100 * 1_048_576
"""Most bytes of one added file unless told otherwise; the gateway service takes far smaller images."""

_COMMON_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
)
_PUBLIC_HEADERS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, HEAD, OPTIONS"),
    (b"access-control-allow-headers", b"Range, If-None-Match, If-Range"),
    (b"access-control-expose-headers", b"Content-Length, Content-Range, ETag, X-Ipfs-Path"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def create_app(
    store: BlockStore, *, max_file_bytes: int = MAX_FILE_BYTES, lifespan: Lifespan | None = None
) -> Starlette:
    """Return the endpoint over `store`, which the caller opens and closes."""
    rpc = Rpc(store, max_file_bytes=max_file_bytes)
    gateway = Gateway(store)
    commands: dict[str, Callable[[Request], Awaitable[Response]]] = {
        "add": rpc.add,
        "pin/add": rpc.pin_add,
        "pin/rm": rpc.pin_rm,
        "pin/ls": rpc.pin_ls,
        "block/get": rpc.block_get,
        "block/stat": rpc.block_stat,
        "version": rpc.version,
        "{command:path}": rpc.unknown,
    }
    routes = [Route(f"/api/v0/{name}", command, methods=["POST"]) for name, command in commands.items()]
    routes.append(Route("/ipfs/{path:path}", gateway.get, methods=["GET", "HEAD"]))
    routes.append(Route("/ipfs/{path:path}", _preflight, methods=["OPTIONS"]))
    routes.append(Route("/health", _health, methods=["GET"]))
    app = Starlette(routes=routes, lifespan=lifespan)
    app.add_middleware(Guard)
    return app


class Guard:
    """Puts the common headers on every answer and keeps browsers of other origins off the API."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        headers = _COMMON_HEADERS + (_PUBLIC_HEADERS if path.startswith("/ipfs/") else ())

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *headers]}
            await send(message)

        app = self._app
        if path.startswith("/api/") and any(name == b"origin" for name, _ in scope["headers"]):
            # A browser names the page's origin with every cross-origin POST; the services send none.
            app = failure(403, "this API is not for web pages")
        await app(scope, receive, send_with_headers)


async def _preflight(_request: Request) -> Response:
    return Response(status_code=204)


async def _health(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})
