"""Whose chunk is worked on next: of all operations in hand the first chunks, else the chunk of the oldest operation.

Used by `handlers`. A thousand NFTs take minutes to pin, one takes moments: in order of arrival it would wait for all of
a drop that was asked for before it. So that a stream of small mints does not hold up a large one for ever, it has every
fourth turn. Not done here: which operations are in hand (`main`), and the minter's part of the same
(`contracts.streams.MINTER_FIRST`).
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from itertools import count
from typing import Final

from chassis.log import RetryLater

LATER_EVERY: Final = 4
"""Of so many turns that both wait for, one is for a chunk that is not its operation's first."""

_Waiting = tuple[int, int, asyncio.Future[None]]
"""The operation's sequence in the stream, a number that no other one has, and what its turn settles."""


class ChunkTurns:
    """Gives `places` turns at a time."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._first: list[_Waiting] = []
        self._later: list[_Waiting] = []
        self._numbers = count()
        self._firsts_in_a_row = 0
        self._closed = False

    @asynccontextmanager
    async def turn(self, sequence: int, chunk: int) -> AsyncGenerator[None]:
        """Wait for a turn of the operation that was requested at `sequence`; it is over when the context ends.

        Raises RetryLater once no more turns are given.
        """
        if self._closed:
            raise _stopping()
        if self._free:
            self._free -= 1
        else:
            given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heappush(self._later if chunk else self._first, (sequence, next(self._numbers), given))
            try:
                await given
            except asyncio.CancelledError:  # stop: a turn that was given all the same is another's
                if given.done() and not given.cancelled() and given.exception() is None:
                    self._give()
                raise
        try:
            yield
        finally:
            self._give()

    def close(self) -> None:
        """Give no more turns: what waits is left to other processes, at once."""
        self._closed = True
        for *_, waiting in (*self._first, *self._later):
            if not waiting.done():
                waiting.set_exception(_stopping())
        self._first.clear()
        self._later.clear()

    def _give(self) -> None:
        while self._first or self._later:
            if self._later and (not self._first or self._firsts_in_a_row >= LATER_EVERY - 1):
                self._firsts_in_a_row = 0
                *_, waiting = heappop(self._later)
            else:
                self._firsts_in_a_row += 1
                *_, waiting = heappop(self._first)
            if not waiting.done():  # else whoever waited has gone
                waiting.set_result(None)
                return
        self._free += 1


def _stopping() -> RetryLater:
    return RetryLater("this process takes no more chunks", after=0.0)
