"""Committing a batch of entries, whatever is among them: the message that the tables cannot hold is found and parked.

Used by the projector and by replays, which so end with the same rows.
"""

from collections.abc import Callable, Sequence

from services.indexer.entries import Entry, park
from services.indexer.ports import Committed, Refused, Store

Told = Callable[[Committed, Sequence[Entry]], None]
"""Is called after every committed transaction, with what was in it; must not block."""


async def commit(store: Store, stream: str, after: int, entries: Sequence[Entry], told: Told) -> int:
    """Commit the entries and return the new position; a refused batch is halved until the culprit is alone.

    Raises Fenced, TablesChanged and StoreUnavailable; and Refused when the tables are not what this program expects.
    """
    try:
        committed = await store.apply(stream, after, entries)
    except Refused as error:
        if len(entries) > 1:
            middle = len(entries) // 2
            position = await commit(store, stream, after, entries[:middle], told)
            return await commit(store, stream, position, entries[middle:], told)
        if entries[0].parked is not None:
            raise  # stop: a message that changes nothing is refused
        return await commit(store, stream, after, [park(entries[0].raw, str(error))], told)
    told(committed, entries)
    return entries[-1].raw.sequence
