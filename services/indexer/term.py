"""One term of the leading indexer: project both streams, and once caught up, publish what follows from the rows.

Made anew for every term, because a standby that takes over knows nothing of what the last leader did. Not done here:
becoming the leader (`leadership`).
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Protocol
from uuid import UUID

from chassis.clock import Clock
from chassis.log import EventLog, LogReader
from contracts.streams import COLLECTION, MINT
from services.indexer.closing import Closer
from services.indexer.counting import Counter
from services.indexer.ports import Chain, Committed, CreatedCollections, SettledOperations, Store
from services.indexer.projector import Projector


class Log(EventLog, LogReader, Protocol):
    """The log as this service uses it."""


class Tables(Store, SettledOperations, CreatedCollections, Protocol):
    """The tables as this service uses them."""


class Publisher(Protocol):
    """A task that says something of collections once the tables have caught up with the log."""

    def wake(self, collections: Iterable[UUID]) -> None:
        """Something has moved in these collections."""
        ...

    async def run(self) -> None:
        """Publish until cancelled."""
        ...


class Term:
    """The tasks of a leading indexer. `count_interval` is in seconds."""

    def __init__(
        self,
        log: Log,
        tables: Tables,
        chain: Chain,
        clock: Clock,
        *,
        count_interval: float,
        publishers: Sequence[Publisher] = (),
        beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """`beside` runs for as long as the term, and is cancelled at its end; `publishers` run beside the counter."""
        self._publishers = publishers
        self._beside = beside
        self._closer = Closer(log, tables, clock)
        self._counter = Counter(log, chain, tables, clock, interval=count_interval)
        # One projector a stream: each applies its own order, and no row depends on both.
        self._projectors = [
            Projector(stream, log=log, store=tables, clock=clock, on_commit=self._on_commit)
            for stream in (MINT, COLLECTION)
        ]

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping` is set, then finish the batches in hand and return.

        Raises what stops a projector, such as LogTruncated and Fenced.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                others = [tasks.create_task(self._publish()), tasks.create_task(self._stop_when(stopping))]
                if self._beside is not None:
                    others.append(tasks.create_task(self._beside()))
                await asyncio.wait([tasks.create_task(projector.run()) for projector in self._projectors])
                for task in others:
                    task.cancel()
        except BaseExceptionGroup as group:
            # Stop: the first failure is the reason, the others follow from it.
            raise _first(group) from None

    async def _stop_when(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        for projector in self._projectors:
            projector.stop()

    async def _publish(self) -> None:
        """Publish only what a caught-up projection knows: what it has not read yet may say it already."""
        for projector in self._projectors:
            await projector.caught_up.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._closer.run())
            tasks.create_task(self._counter.run())
            for publisher in self._publishers:
                tasks.create_task(publisher.run())

    def _on_commit(self, committed: Committed) -> None:
        if committed.settled or committed.unheard:
            self._closer.wake()
        if committed.unheard:
            self._counter.missed()
        self._counter.wake(committed.to_count)
        self._counter.sync(committed.to_sync)
        for publisher in self._publishers:
            publisher.wake(committed.to_count | committed.to_sync)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error  # pyright: ignore[reportUnknownArgumentType]
