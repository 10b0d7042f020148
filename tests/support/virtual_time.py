"""An event loop whose time is not the machine's: whoever sleeps is woken at once, in the order of the deadlines.

For programs that do no I/O. With them a run depends on nothing but its inputs, so a seed gives the same run again; and
an hour of it takes as long as the work in it.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")
START = datetime(2026, 1, 1, tzinfo=UTC)


class Stuck(Exception):
    """Everybody waits for somebody, and nobody for a time."""


class _NoSelector(selectors.SelectSelector):
    """Waits for nothing, and tells the loop how long it would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck
        self.elapsed += max(0.0, timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop on virtual seconds, from 0."""

    def __init__(self) -> None:
        self._selected = _NoSelector()
        super().__init__(self._selected)

    def time(self) -> float:
        return self._selected.elapsed


class LoopClock:
    """`chassis.clock.Clock` by the time of the running loop."""

    def now(self) -> datetime:
        """The loop's seconds after START."""
        return START + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """The loop's seconds."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running loop."""
        await asyncio.sleep(max(0.0, seconds))


def run_in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end on a loop of its own."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)
