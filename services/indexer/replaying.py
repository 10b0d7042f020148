"""Applying a stream's messages to tables from where these are, as fast as the machine can: a rebuild.

The same plan, fold and store as the projector's, so the same rows; in larger batches, with the next batch read and
planned while Postgres works on the last one, and put into event_log by a second connection, where the tables are
nobody's yet. Goes on from the tables' own watermark, so an interrupted replay loses
nothing. Not done here: where messages come from (`history`), which process plans (`planning`), in which schema the
tables are (`rebuilding`).
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final, cast

from chassis.log import LogReader, RawMessage
from contracts.streams import Stream
from services.indexer.committing import commit
from services.indexer.entries import Entry
from services.indexer.planning import TURN, Planning, plan_here
from services.indexer.ports import Committed, Store

BATCH: Final = 8_000
"""Most messages of one transaction."""
BATCH_BYTES: Final = 16 * 1024 * 1024
"""About the most payload bytes of one transaction."""
AHEAD: Final = 2
"""Batches that wait, planned."""
Keep = Callable[[str, Sequence[RawMessage]], Awaitable[None]]
"""Keeps messages of a stream that are to be applied."""
Progress = Callable[[str, int], None]
"""Is told of a stream's name and the sequence that it has come to."""


async def replay(
    history: LogReader,
    store: Store,
    stream: Stream,
    up_to: int,
    progress: Progress,
    planning: Planning = plan_here,
    keep: Keep | None = None,
) -> None:
    """Apply every message of `stream` up to sequence `up_to` that the tables do not have yet.

    `keep` is told of each batch while it is planned, and has done its part before the batch is applied.
    Raises what reading raises, Fenced and StoreUnavailable; what was committed until then stays.
    """
    position = await store.watermark(stream.name)
    progress(stream.name, position)
    if position >= up_to:
        return
    batches: asyncio.Queue[list[Entry] | None] = asyncio.Queue(AHEAD)
    read = _batches(history, stream, position, up_to)
    kept = None if keep is None else partial(keep, stream.name)
    reading = asyncio.create_task(_plan_ahead(read, planning, kept, batches))
    try:
        while (batch := await batches.get()) is not None:
            position = await commit(store, stream.name, position, batch, _say_nothing)
            progress(stream.name, position)
        await reading
    finally:
        reading.cancel()
        await asyncio.wait([reading])


def _say_nothing(committed: Committed, entries: Sequence[Entry]) -> None:
    del committed, entries


async def _plan_ahead(
    read: AsyncGenerator[list[RawMessage]],
    planning: Planning,
    keep: Callable[[Sequence[RawMessage]], Awaitable[None]] | None,
    batches: asyncio.Queue[list[Entry] | None],
) -> None:
    """Put planned batches into the queue, and None at the end, unless cancelled."""
    try:
        async with aclosing(read):
            async for batch in read:
                planned = planning(batch) if keep is None else _meanwhile(planning(batch), keep(batch))
                await batches.put(await planned)
    except Exception:
        await batches.put(None)
        raise
    await batches.put(None)


async def _meanwhile(planning: Awaitable[list[Entry]], keeping: Awaitable[None]) -> list[Entry]:
    """Return what is planned when it is kept as well; when one fails the other is cancelled."""
    tasks = asyncio.ensure_future(planning), asyncio.ensure_future(keeping)
    try:
        planned, _ = await asyncio.gather(*tasks)
        return planned
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _batches(history: LogReader, stream: Stream, after: int, up_to: int) -> AsyncGenerator[list[RawMessage]]:
    """Yield the messages beyond `after` up to `up_to`, none of the batches empty."""
    batch: list[RawMessage] = []
    size = 0
    async with aclosing(cast("AsyncGenerator[RawMessage]", history.read(stream, after))) as messages:
        async for raw in messages:
            batch.append(raw)
            size += len(raw.payload)
            if raw.sequence >= up_to:
                break
            if len(batch) >= BATCH or size >= BATCH_BYTES:
                yield batch
                batch, size = [], 0
            elif len(batch) % TURN == 0:
                await asyncio.sleep(0)
    yield batch
