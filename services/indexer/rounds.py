"""Work on collections in rounds: those that something has happened to, and from time to time all of them.

Used by the counter and the reconciler, which say what to do with them. A burst of news is one round.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from uuid import UUID

from chassis.clock import Clock
from chassis.log import LogUnavailable
from chassis.telemetry import get_logger
from services.indexer.pauses import pause_after
from services.indexer.ports import StoreUnavailable

_log = get_logger(__name__)


class Partly(Exception):
    """A round is through, but for these collections: they alone are worked on again. The text says why."""

    def __init__(self, collections: Iterable[UUID], reason: Exception) -> None:
        super().__init__(str(reason))
        self.collections = frozenset(collections)


class Rounds:
    """Calls `work` with the wanted collections, or with None for all; `name` says in the log what it does.

    `interval` is how often all are wanted, `pause` the least time between two rounds, both in seconds; after a long
    round it is `rest` times as long as that took. A round that LogUnavailable or StoreUnavailable ends is done again,
    and what Partly names of one.
    """

    def __init__(
        self,
        work: Callable[[frozenset[UUID] | None], Awaitable[None]],
        clock: Clock,
        *,
        interval: float,
        pause: float,
        rest: float = 0.0,
        name: str,
    ) -> None:
        self._work = work
        self._clock = clock
        self._interval = interval
        self._pause = pause
        self._rest = rest
        self._name = name
        self._wanted: set[UUID] = set()
        self._all_wanted = False
        self._due = asyncio.Event()

    def wake(self, collections: Iterable[UUID]) -> None:
        """Something has happened to these collections."""
        self._wanted.update(collections)
        if self._wanted:
            self._due.set()

    def wake_all(self) -> None:
        """Something happened, and nobody knows to which collections."""
        self._all_wanted = True
        self._due.set()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._schedule())
            tasks.create_task(self._rounds())

    async def _schedule(self) -> None:
        while True:
            self.wake_all()
            await self._clock.sleep(self._interval)

    async def _rounds(self) -> None:
        failures = 0
        while True:
            await self._due.wait()
            self._due.clear()
            wanted, everything = frozenset(self._wanted), self._all_wanted
            self._wanted.clear()
            self._all_wanted = False
            began = self._clock.monotonic()
            try:
                await self._work(None if everything else wanted)
                failures = 0
            except (Partly, LogUnavailable, StoreUnavailable) as error:
                # Retry: what was not said is found to be missing again.
                failures += 1
                if isinstance(error, Partly):
                    self._wanted |= error.collections
                else:
                    self._all_wanted = self._all_wanted or everything
                    self._wanted |= wanted
                self._due.set()
                again_in = pause_after(failures)
                _log.warning("a round failed", work=self._name, reason=str(error), again_in=again_in)
                await self._clock.sleep(again_in)
            await self._clock.sleep(max(self._pause, self._rest * (self._clock.monotonic() - began)))
