"""Time as a value that is passed in.

Used by everything that waits or stamps: production code gets `SystemClock`, tests get `ManualClock` and move
it by hand. Not done here: slots and block heights, which are the chain's time and come from an RPC node.
"""

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What a component may ask about time."""

    def now(self) -> datetime:
        """Wall-clock time, aware, in UTC. May jump; never subtract two of them to measure."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start that never go back; for durations and deadlines."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; at once, but yielding to the loop, when `seconds` is not positive."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Wall-clock time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of the system's monotonic clock."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that stands still until `advance` is called; one event loop only.

    Sleepers wake in the order of their deadlines, and each sees the time of its own deadline.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        if start.tzinfo is None:
            raise ValueError("a clock starts at an aware datetime")
        self._now = start.astimezone(UTC)
        self._elapsed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        """The time set by the start and every `advance` since."""
        return self._now

    def monotonic(self) -> float:
        """Seconds advanced since the start."""
        return self._elapsed

    @property
    def sleepers(self) -> int:
        """How many tasks are asleep now; lets a test wait for them before advancing."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Sleep until `advance` has passed the deadline."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move time forward, waking sleepers on the way and letting each run before time moves on."""
        if seconds < 0:
            raise ValueError("time does not go back")
        target = self._elapsed + seconds
        await _let_others_run()  # tasks started just before this call get to their first sleep
        while self._sleepers and self._sleepers[0][0] <= target:
            deadline, _, future = heapq.heappop(self._sleepers)
            self._move_to(deadline)
            if not future.done():  # cancelled sleepers stay in the heap until their time comes
                future.set_result(None)
                await _let_others_run()
        self._move_to(target)

    def _move_to(self, elapsed: float) -> None:
        self._now += timedelta(seconds=elapsed - self._elapsed)
        self._elapsed = elapsed


async def _let_others_run() -> None:
    """Give other tasks some turns of the loop: enough for a woken task to reach its next await."""
    for _ in range(10):
        await asyncio.sleep(0)
