"""The log and the tables as the projection sees them: only while the log is known to be whole.

Thin wrappers around the ports that a term works with; when that is so is decided by `guard`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol, TypeVar, cast
from uuid import UUID

from chassis.log import Consuming, LogLookup, LogReader, LogUnavailable, Message, RawMessage
from contracts.fact import Event, Fact
from contracts.streams import INDEXER_GUARD, Stream
from services.indexer.entries import Entry
from services.indexer.guard import Guard, WatchedLog
from services.indexer.ports import (
    Committed,
    CreatedCollection,
    CreatedCollections,
    SettledOperation,
    SettledOperations,
    Store,
)

CONCURRENCY: Final = 4
"""Challenges that are answered at once."""

F = TypeVar("F", bound=Fact)


class NotedLog:
    """The log, of which the guard remembers how far it was read.

    Of the log alone, which has to hold that message for ever; what was read from the archive it need not hold.
    """

    def __init__(self, log: WatchedLog, guard: Guard) -> None:
        self._log = log
        self._guard = guard

    @property
    def lookup(self) -> LogLookup:
        """See `history.WholeLog.lookup`."""
        return self._log.lookup

    async def first_sequence(self, stream: Stream) -> int:
        """See `history.WholeLog.first_sequence`."""
        return await self._log.first_sequence(stream)

    async def last_sequence(self, stream: Stream) -> int:
        """See `LogReader.last_sequence`."""
        return await self._log.last_sequence(stream)

    async def read(self, stream: Stream, after: int) -> AsyncIterator[RawMessage]:
        """See `LogReader.read`."""
        async with aclosing(cast("AsyncGenerator[RawMessage]", self._log.read(stream, after))) as messages:
            async for raw in messages:
                self._guard.note(stream, raw)
                yield raw


async def attend(log: Consuming, guard: Guard) -> None:
    """Answer challenges, for as long as the tables are those that the term works on; raises Fenced, in a group."""
    async with asyncio.TaskGroup() as tasks:
        fence = tasks.create_task(guard.fence())
        await log.consume(INDEXER_GUARD, guard.on_challenged, concurrency=CONCURRENCY)
        fence.cancel()


class GuardedLog:
    """The log as the projection sees it: read only while it is known to be whole."""

    def __init__(self, log: WatchedLog, guard: Guard, history: LogReader | None = None) -> None:
        """`history` is what the messages are read from; the log alone when None."""
        self._log = log
        self._guard = guard
        self._history = history or NotedLog(log, guard)

    async def last_sequence(self, stream: Stream) -> int:
        """See `LogReader.last_sequence`; raises StoreUnavailable as well."""
        epoch = await self._guard.whole()
        last = await self._log.last_sequence(stream)
        if self._log.connectivity.epoch != epoch:
            raise LogUnavailable("the connection was lost: whether this is the end is not known")
        return last

    async def read(self, stream: Stream, after: int) -> AsyncIterator[RawMessage]:
        """See `LogReader.read`; raises LogUnavailable once the connection was lost."""
        epoch = await self._guard.whole()
        self._guard.begin(stream, epoch)
        async with aclosing(cast("AsyncGenerator[RawMessage]", self._history.read(stream, after))) as messages:
            async for raw in messages:
                if self._log.connectivity.epoch != epoch:
                    raise LogUnavailable("the connection was lost: the log is verified before it is read on")
                yield raw

    async def publish(
        self,
        fact: Fact,
        *,
        cause: Event[Fact] | None,
        expected_sequence: int | None = None,
        fence: str | None = None,
    ) -> int:
        """See `EventLog.publish`."""
        await self._guard.whole()
        return await self._log.publish(fact, cause=cause, expected_sequence=expected_sequence, fence=fence)

    async def publish_once(self, fact: Fact, *, cause: Event[Fact] | None) -> bool:
        """See `EventLog.publish_once`."""
        await self._guard.whole()
        return await self._log.publish_once(fact, cause=cause)

    async def last(self, fact: type[F], **tokens: object) -> Message[F] | None:
        """See `EventLog.last`."""
        return await self._log.last(fact, **tokens)

    async def last_matching(self, stream: Stream, pattern: str) -> Message[Any] | None:
        """See `EventLog.last_matching`."""
        return await self._log.last_matching(stream, pattern)


class Tables(Store, SettledOperations, CreatedCollections, Protocol):
    """The tables as a term uses them."""


class GuardedTables:
    """The tables, into which nothing comes that was read before the connection was lost."""

    def __init__(self, tables: Tables, guard: Guard) -> None:
        self._tables = tables
        self._guard = guard

    async def watermark(self, stream: str) -> int:
        """See `ports.Store.watermark`; raises Fenced when the tables have begun anew."""
        self._guard.check_tables()
        return await self._tables.watermark(stream)

    async def apply(self, stream: str, after: int, entries: Sequence[Entry]) -> Committed:
        """See `ports.Store.apply`."""
        async with self._guard.applying(stream):
            return await self._tables.apply(stream, after, entries)

    async def settled_operations(self, after: int, limit: int) -> list[SettledOperation]:
        """See `ports.SettledOperations.settled_operations`."""
        return await self._tables.settled_operations(after, limit)

    async def created_collections(
        self, after: UUID, limit: int, among: frozenset[UUID] | None
    ) -> list[CreatedCollection]:
        """See `ports.CreatedCollections.created_collections`."""
        return await self._tables.created_collections(after, limit, among)
