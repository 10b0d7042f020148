"""Others' images by turns: servers that take their time hold up the operation that names them, and no other.

Used by `pinning`. Fetching takes no place among those that pin, one operation has a few fetches at once, and after a
while it stands back for the others and goes on with its next delivery; what it fetched is remembered in its session.
Not done here: fetching (`adapters.outside`).
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from chassis.clock import Clock
from services.ipfs.ports import OutsideImages, PinUnavailable
from services.ipfs.sessions import Session

AT_ONCE: Final = 16
"""Images of all operations that are fetched and then pinned; each has a temporary file."""

TURN_SECONDS: Final = 60.0
"""After so long an operation begins no other fetch: its place among those that are worked on is for the next one."""

PAUSE_SECONDS: Final = 1.0


class OutsideTurns:
    """Gives places to fetch through `inner`."""

    def __init__(self, inner: OutsideImages, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self._places = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def turn(self, session: Session) -> AsyncGenerator[OutsideImages]:
        """Wait for a place, and yield what fetches; the place is held for as long as the context is open.

        Raises PinUnavailable when the operation's turn is over; the first of a turn is let through.
        """
        async with session.fetches:
            now = self._clock.monotonic()
            if session.turn_began is None:
                session.turn_began = now
            elif now - session.turn_began >= TURN_SECONDS:
                raise PinUnavailable("its images are fetched slowly, others come first", after=PAUSE_SECONDS)
            async with self._places:
                yield self._inner
