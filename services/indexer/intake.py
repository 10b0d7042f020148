"""Reading ahead: the messages that are ready while the projector is busy with the batch before.

Used by the projector, so that a batch is whatever has arrived in the meantime: one message when the log is quiet, many
when it is busy, and never a wait for a batch to fill. Bounded in number and bytes.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Self

from chassis.log import RawMessage


@dataclass(frozen=True, slots=True)
class Limits:
    """Most messages, and about the most payload bytes, that are held at once."""

    messages: int = 512
    bytes: int = 8 * 1024 * 1024


class Intake:
    """Pulls `messages` in a task of its own while open; `take` gives what has come so far."""

    def __init__(self, messages: AsyncIterator[RawMessage], limits: Limits) -> None:
        self._messages = messages
        self._limits = limits
        self._buffer: deque[RawMessage] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._stopped = False
        self._pump: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start reading."""
        self._pump = asyncio.create_task(self._read())
        self._pump.add_done_callback(lambda _: self._arrived.set())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop reading and close the iterator."""
        assert self._pump is not None
        self._pump.cancel()
        await asyncio.wait([self._pump])

    def stop(self) -> None:
        """Let `take` return an empty batch from now on."""
        self._stopped = True
        self._arrived.set()

    async def take(self) -> list[RawMessage]:
        """Return at least one message, and all that are there; none only after `stop` or the end of the messages.

        Raises what reading them raised, once everything read before it was taken.
        """
        assert self._pump is not None, "an intake is opened before it is used"
        while not (self._buffer or self._stopped or self._pump.done()):
            self._arrived.clear()
            await self._arrived.wait()
        if self._stopped:
            return []
        if not self._buffer:
            self._pump.result()
        batch = list(self._buffer)
        self._buffer.clear()
        self._bytes = 0
        self._room.set()
        return batch

    async def _read(self) -> None:
        try:
            async for message in self._messages:
                while self._full():
                    self._room.clear()
                    await self._room.wait()
                self._buffer.append(message)
                self._bytes += len(message.payload)
                self._arrived.set()
        finally:
            close = getattr(self._messages, "aclose", None)
            if close is not None:
                await close()

    def _full(self) -> bool:
        return len(self._buffer) >= self._limits.messages or self._bytes >= self._limits.bytes
