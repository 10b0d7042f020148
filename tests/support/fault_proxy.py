"""A TCP proxy that fails as networks do: cuts what goes through it, lets it hang, or slows it down.

Stands between one service and one of the parts that it needs, in the soak.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final

from tests.support.ending import end

CHUNK: Final = 65_536


class FaultProxy:
    """Forwards connections to a port on this machine; `port` is its own."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._refuses = False
        self._delay = 0.0
        self._open = asyncio.Event()
        self._open.set()
        self._pumps: set[asyncio.Task[None]] = set()

    def heal(self) -> None:
        """Forward everything, what was held back first."""
        self._refuses, self._delay = False, 0.0
        self._open.set()

    def cut(self) -> None:
        """End every connection and take no other."""
        self._refuses = True
        for pump in self._pumps:
            pump.cancel()

    def hang(self) -> None:
        """Take connections and bytes, and forward nothing: as packets that are dropped."""
        self._open.clear()

    def slow(self, seconds: float) -> None:
        """Hold everything back for so long."""
        self._delay = seconds

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        task = asyncio.current_task()
        assert task is not None
        self._pumps.add(task)
        try:
            await self._forward(reader, writer)
        except (OSError, asyncio.CancelledError):  # stop: either side has gone, or the connection is cut
            pass
        finally:
            self._pumps.discard(task)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            return
        await self._open.wait()
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target)
        ways = [
            asyncio.create_task(self._pump(reader, target_writer)),
            asyncio.create_task(self._pump(target_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            target_writer.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            await self._open.wait()
            if self._delay:
                await asyncio.sleep(self._delay)
            writer.write(data)
            await writer.drain()

    async def close(self) -> None:
        """End every connection."""
        with suppress(asyncio.CancelledError):
            await end(set(self._pumps))


@asynccontextmanager
async def fault_proxy(target: int) -> AsyncGenerator[FaultProxy]:
    """A listening proxy to `target`."""
    proxy = FaultProxy(target)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
