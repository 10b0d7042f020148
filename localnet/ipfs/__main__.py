"""`python -m localnet.ipfs`: arguments, the socket, the ports file, signals. No logic.

Prints nothing when all is well but its address on stderr; ends with status 0 on SIGTERM or SIGINT after the requests in
flight, 2 on a mistake in the arguments, 1 when the port or the data directory is taken.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from localnet.ipfs.app import MAX_FILE_BYTES, create_app
from localnet.ipfs.store import BlockStore, StoreLocked

DRAIN_SECONDS = 10
"""How long requests in flight have after the signal."""

MAX_CONNECTIONS = 512


class Server(uvicorn.Server):
    """uvicorn without its signal handling, which would end the process by the signal instead of with status 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Turn SIGTERM and SIGINT into an orderly end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        self.should_exit = True


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; exits with status 2 on a mistake."""
    parser = argparse.ArgumentParser(prog="python -m localnet.ipfs", description="An embedded IPFS pinning endpoint.")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT", help="port 0 takes a free one")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="directory of blocks and pins")
    parser.add_argument(
        "--ports-file", type=Path, metavar="FILE", help='written once listening, as {"http": "http://…"}'
    )
    parser.add_argument("--max-file-bytes", type=int, default=MAX_FILE_BYTES, metavar="N")
    options = parser.parse_args(arguments)
    host, separator, port = str(options.listen).rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65_535:
        parser.error("--listen is HOST:PORT")
    options.host, options.port = host.strip("[]"), int(port)
    if options.max_file_bytes < 1:
        parser.error("--max-file-bytes is at least 1")
    return options


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; connections wait in its backlog until the server is ready. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:  # stop: told by the caller
        listener.close()
        raise
    return listener


def write_ports_file(path: Path, url: str) -> None:
    """Write the address in one step, so that a reader sees all of it or no file."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps({"pid": str(os.getpid()), "http": url}) + "\n", encoding="utf-8")
    partial.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal; return the exit status."""
    options = parse_arguments(arguments)
    try:
        store = BlockStore(options.data)
    except (StoreLocked, OSError) as error:  # stop: only a person can choose another directory
        sys.stderr.write(f"localnet.ipfs: cannot use {options.data}: {error}\n")
        return 1
    try:
        listener = listen(options.host, options.port)
    except OSError as error:  # stop: only a person can free the port or choose another
        sys.stderr.write(f"localnet.ipfs: cannot listen on {options.listen}: {error.strerror}; choose another port\n")
        store.close()
        return 1
    shown_host = f"[{options.host}]" if ":" in options.host else options.host
    url = f"http://{shown_host}:{listener.getsockname()[1]}"

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        if options.ports_file is not None:
            await asyncio.to_thread(write_ports_file, options.ports_file, url)
        sys.stderr.write(f"localnet.ipfs: {url}/ipfs/<cid>, blocks in {options.data}\n")
        yield

    app = create_app(store, max_file_bytes=options.max_file_bytes, lifespan=lifespan)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    try:
        Server(config).run(sockets=[listener])
    finally:
        store.close()
        listener.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
