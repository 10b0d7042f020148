"""The cluster on a port: binds, serves HTTP and WebSocket, makes slots, stops cleanly.

Used by `python -m localnet.cluster` and by tests in process. Real validators serve WebSocket on the port after the
HTTP one and clients derive it so (web3.js, umi); solana-py is often pointed at the same port. Both work here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass

import msgspec
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from localnet.cluster.context import Context, DasReader
from localnet.cluster.das_feed import DasFeed
from localnet.cluster.model import LedgerLimits
from localnet.cluster.node import Node, NodeOptions
from localnet.cluster.programs import NO_PROGRAMS, find_programs
from localnet.cluster.rpc import MAX_BODY_BYTES, Dispatcher
from localnet.cluster.settings import ClusterSettings
from localnet.cluster.websocket import Hub

PAIR_ATTEMPTS = 50
SHUTDOWN_SECONDS = 2
MAX_WEBSOCKET_MESSAGE_BYTES = 64 * 1024

_log = structlog.get_logger(__name__)


class PortTaken(RuntimeError):
    """A wanted port is in use. The message says which and what to do; never retried here."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the cluster is reached."""

    rpc: str
    websocket: str


def bind_pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Listening sockets on `port` and the one after it; port 0 looks for a free pair. Raises PortTaken."""
    for _ in range(PAIR_ATTEMPTS if port == 0 else 1):
        try:
            first = _bind(host, port)
        except OSError as error:
            raise _taken(host, port, error) from error
        number = first.getsockname()[1]
        try:
            return first, _bind(host, number + 1)
        except (OSError, OverflowError) as error:  # retried with another free port, unless the port was given
            first.close()
            if port != 0:
                raise _taken(host, number + 1, error) from error
    raise PortTaken(f"no two adjacent free ports on {host} after {PAIR_ATTEMPTS} tries; name one with --listen")


def _bind(host: str, port: int) -> socket.socket:
    # asyncio turns Nagle's delay off only for sockets that name their protocol; with it on, answers take 40 ms.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound


def _taken(host: str, port: int, error: BaseException) -> PortTaken:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return PortTaken(f"port {port} on {host} is in use; stop what uses it or choose another with --listen")
    return PortTaken(f"cannot listen on {host}:{port}: {error}")


def application(node: Node, das: DasReader | None = None) -> Starlette:
    """The ASGI application of one node."""
    dispatcher = Dispatcher(Context(node, das))
    hub = Hub(node)

    async def rpc(request: Request) -> Response:
        try:
            body = await _bounded_body(request)
        except ClientDisconnect:  # stops: nobody is left to answer
            return Response(status_code=400)
        if body is None:
            return Response("request body too large", status_code=413)
        reply = await dispatcher.answer(body)
        return Response(reply.body, reply.status, reply.headers, media_type="application/json")

    async def health(_request: Request) -> Response:
        return Response("ok", media_type="text/plain")

    return Starlette(
        routes=[
            Route("/", rpc, methods=["POST"]),
            Route("/health", health, methods=["GET"]),
            WebSocketRoute("/", hub.serve),
        ]
    )


async def _bounded_body(request: Request) -> bytes | None:
    """The body of a request; None when it is too large."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: who runs the cluster decides what ends it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@dataclass(frozen=True, slots=True)
class RunningCluster:
    """A cluster that answers. `failed` is done only when it broke; its exception says why."""

    node: Node
    addresses: Addresses
    failed: asyncio.Future[None]


@contextlib.asynccontextmanager
async def running_cluster(
    settings: ClusterSettings, options: NodeOptions | None = None
) -> AsyncGenerator[RunningCluster]:
    """Run a cluster for the length of the block. Raises PortTaken, StoreError, ProgramsError.

    `options` replaces what the settings say of the node, for tests.
    """
    sockets = bind_pair(settings.host, settings.port)
    try:
        programs = find_programs(settings.programs) if settings.programs is not None else NO_PROGRAMS
        node = await Node.open(options or _options(settings), programs)
    except BaseException:
        for bound in sockets:
            bound.close()
        raise
    das = await DasFeed.start(node)
    server = _Server(_uvicorn_config(node, das))
    for bound in sockets:
        bound.listen(512)
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(server.serve(sockets=list(sockets)), name="cluster-http")
    slots = asyncio.create_task(node.run(), name="cluster-slots")
    for task in (serving, slots):
        task.add_done_callback(lambda done: _report(done, failed))
    try:
        yield RunningCluster(node, _addresses(sockets), failed)
    finally:
        # Requests first, while there is a chain to answer from. Failures were reported through `failed`.
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        await node.close()
        await asyncio.gather(slots, return_exceptions=True)
        failed.cancel()


def _report(task: asyncio.Task[None], failed: asyncio.Future[None]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None and not failed.done():
        failed.set_exception(error)


def _options(settings: ClusterSettings) -> NodeOptions:
    return NodeOptions(
        data=settings.data,
        slot_seconds=settings.slot_ms / 1000 or None,
        limits=LedgerLimits(confirmed_after=settings.confirmed_after, finalized_after=settings.finalized_after),
    )


def _uvicorn_config(node: Node, das: DasReader) -> uvicorn.Config:
    return uvicorn.Config(
        application(node, das),
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=MAX_WEBSOCKET_MESSAGE_BYTES,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def _addresses(sockets: tuple[socket.socket, socket.socket]) -> Addresses:
    host, port = sockets[0].getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return Addresses(f"http://{shown}:{port}", f"ws://{shown}:{sockets[1].getsockname()[1]}")


def encode_addresses(addresses: Addresses) -> bytes:
    """The content of the ports file."""
    return msgspec.json.encode(addresses)
