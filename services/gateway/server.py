"""The HTTP server: uvicorn, run inside the service's own loop and stopped by its own lifecycle.

Used by `main.py`. Not done here: signals (`chassis.lifecycle`) and what is served (`api/app.py`).
"""

import asyncio
import gc
import socket
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from services.gateway.connections import ImpatientProtocol

BACKLOG = 2048
YOUNG_OBJECTS = 10_000
"""How many more objects than before have Python look for garbage among them; a request under way has hundreds."""
MAX_WEBSOCKET_BYTES = 1024
"""Of what a caller sends over a WebSocket: nothing is expected of it."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on `host`; port 0 takes a free one. Raises OSError, such as for a taken port."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the URL at which a socket is reached from this machine."""
    bound = listener.getsockname()
    host, port = str(bound[0]), int(bound[1])
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(app: ASGIApp, listener: socket.socket, draining: asyncio.Event, grace_seconds: float) -> None:
    """Answer requests until `draining` is set, then finish those under way, for at most about `grace_seconds`."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        http=ImpatientProtocol,
        ws="websockets-sansio",
        ws_max_size=MAX_WEBSOCKET_BYTES,
        backlog=BACKLOG,
        # A little less than the lifecycle's own patience, so that the server is the one to say what it cuts off.
        timeout_graceful_shutdown=max(1, int(grace_seconds) - 1),
    )
    server = _Server(config)
    # What the service is made of by now stays as long as it runs: looking through it for garbage, again and again, took
    # a sixth of a request's time; looking through what belongs to the requests under way, a tenth.
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listener]))
        await draining.wait()
        server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the lifecycle has its own."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
