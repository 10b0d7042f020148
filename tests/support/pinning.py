"""The embedded pinning endpoint and the ipfs service as child processes, for tests that want them over real sockets."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from localnet.child import Child, ChildSpec, minimal_environ, ports_file_ready, running
from localnet.ipfs.app import create_app
from localnet.ipfs.store import BlockStore


@dataclass(frozen=True)
class PinningEndpoint:
    """A running `python -m localnet.ipfs`."""

    child: Child
    data: Path

    @property
    def url(self) -> str:
        return self.child.addresses["http"]

    @property
    def host_and_port(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.child.kill(number)
        return await self.child.wait()


@asynccontextmanager
async def pinning_endpoint(directory: Path, *options: str) -> AsyncGenerator[PinningEndpoint]:
    """Run the endpoint over `directory`, which is made if needed; on a free port unless the options say otherwise."""
    ports, data = directory / "ports.json", directory / "data"
    spec = ChildSpec(
        name="pinning endpoint",
        command=(
            *(sys.executable, "-m", "localnet.ipfs"),
            *("--data", str(data), "--ports-file", str(ports)),
            *options,
        ),
        log_file=directory / "log",
        ready=ports_file_ready(ports),
    )
    async with running(spec) as child:
        yield PinningEndpoint(child, data)


class Gate:
    """Lets the first uploads through and holds the others until it is opened."""

    def __init__(self, app: ASGIApp, uploads: int) -> None:
        self._app = app
        self._left = uploads
        self._opened = asyncio.Event()
        self.holding = asyncio.Event()
        """Set once an upload is held."""

    def open(self) -> None:
        """Let everything through from now on."""
        self._opened.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/add"):
            self._left -= 1
            if self._left < 0:
                self.holding.set()
                await self._opened.wait()
        await self._app(scope, receive, send)


class _QuietServer(uvicorn.Server):
    """uvicorn as a guest in the test's process: signals stay the test's."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def gated_endpoint(directory: Path, uploads: int) -> AsyncGenerator[tuple[str, Gate]]:
    """Serve the endpoint in this process behind a gate that holds all but the first uploads; yield its URL and gate."""
    store = BlockStore(directory)
    gate = Gate(create_app(store), uploads)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = _QuietServer(uvicorn.Config(gate, log_level="warning", lifespan="off"))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", gate
        finally:
            gate.open()
            server.should_exit = True
            await serving
            store.close()


def ipfs_service_spec(directory: Path, nats_url: str, kubo_url: str, **environ: str) -> ChildSpec:
    """Describe the ipfs service as a process; `nats_url` may hold user and password, `environ` more settings."""
    ports, nats = directory / "ports.json", urlsplit(nats_url)
    return ChildSpec(
        name="ipfs service",
        command=(sys.executable, "-m", "services.ipfs"),
        log_file=directory / "log",
        ready=ports_file_ready(ports),
        environ=minimal_environ(
            NATS_URL=f"nats://{nats.hostname}:{nats.port}",
            NATS_USER=nats.username or "",
            NATS_PASSWORD=nats.password or "",
            KUBO_URL=kubo_url,
            PORTS_FILE=str(ports),
            LOG_FORMAT="json",
            **environ,
        ),
    )
