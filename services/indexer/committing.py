"""Committing a batch of entries, whatever is among them: the message that the tables cannot hold is found and parked.

Used by the projector and by replays, which so end with the same rows.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from services.indexer.changes import OpenOperation
from services.indexer.entries import Entry, park
from services.indexer.ports import Committed, Refused, Store

MAX_OPENED: Final = 50_000
"""Items that one transaction makes rows for, at most: a request of 300 bytes can be for a thousand. Many more would
take longer than a statement may, each time that they are tried."""

Told = Callable[[Committed, Sequence[Entry]], None]
"""Is called after every committed transaction, with what was in it; must not block."""


async def commit(store: Store, stream: str, after: int, entries: Sequence[Entry], told: Told) -> int:
    """Commit the entries and return the new position; a refused batch is halved until the culprit is alone.

    Raises Fenced, TablesChanged and StoreUnavailable; and Refused when the tables are not what this program expects.
    """
    position = after
    for part in _parts(entries):
        position = await _commit(store, stream, position, part, told)
    return position


def _parts(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Yield the entries, in as many parts as their items need."""
    start = items = 0
    for place, entry in enumerate(entries):
        if not entry.changes or type(opened := entry.changes[0]) is not OpenOperation:
            continue
        items += len(opened.names)
        if items > MAX_OPENED and place > start:
            yield entries[start:place]
            start, items = place, len(opened.names)
    yield entries[start:] if start else entries


async def _commit(store: Store, stream: str, after: int, entries: Sequence[Entry], told: Told) -> int:
    try:
        committed = await store.apply(stream, after, entries)
    except Refused as error:
        if len(entries) > 1:
            middle = len(entries) // 2
            position = await _commit(store, stream, after, entries[:middle], told)
            return await _commit(store, stream, position, entries[middle:], told)
        if entries[0].parked is not None:
            raise  # stop: a message that changes nothing is refused
        return await _commit(store, stream, after, [park(entries[0].raw, str(error))], told)
    told(committed, entries)
    return entries[-1].raw.sequence
