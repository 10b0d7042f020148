"""The table event_log: every message of the projected streams as it was, byte for byte; the second copy of the log.

Used by the store, inside the transaction that applies the messages, and by rebuilds ahead of it. What no program of
ours can have said, by its subject, is not in it (`keepable`), and so is not compared with the log. Not done here:
transactions, and what a message means.
"""

from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as _quoted
from typing import Final

import asyncpg

from chassis.database import Connection
from chassis.log import RawMessage
from services.indexer.ports import StoreUnavailable

AHEAD: Final = 500_000
"""How many messages before the end of the last partition the next one is made."""

MAX_SUBJECT: Final = 500
"""Characters of a subject; ours have a third of that, and an index entry takes no more than 2,704 bytes."""

_COLUMNS: Final = ("stream", "sequence", "subject", "payload", "headers", "stored_at")
# Makes what partitions are missing for the sequences; tells the last one with a place.
_REACH: Final = "SELECT reach_event_log($1, $2, $3)"
_COUNT: Final = "SELECT count(*) FROM event_log WHERE stream = $1 AND sequence > $2 AND sequence <= $3"
_FORGET: Final = "DELETE FROM event_log WHERE stream = $1 AND sequence > $2"


class EventLogTable:
    """Writes the table by whatever connection it is given."""

    def __init__(self) -> None:
        self._roomy: dict[str, int] = {}
        """By stream: the last sequence up to which no partition has to be made."""

    async def make_room(self, connection: Connection, stream: str, first: int, last: int) -> None:
        """Make the partitions that these sequences, and `AHEAD` behind them, belong into.

        In a transaction of its own, so that the locks are short and what is remembered is committed.
        """
        if last > self._roomy.get(stream, 0):
            end = await connection.fetchval(_REACH, stream, first, last + AHEAD)
            self._roomy[stream] = int(end) - AHEAD

    async def add(self, connection: Connection, stream: str, messages: Sequence[RawMessage]) -> None:
        """Add the messages, for which there is room. Raises StoreUnavailable when there is none after all."""
        records = [
            (stream, raw.sequence, raw.subject, raw.payload, header_text(raw.headers), raw.stored_at)
            for raw in messages
            if keepable(raw)
        ]
        try:
            await connection.copy_records_to_table("event_log", columns=_COLUMNS, records=records)
        except asyncpg.CheckViolationError as error:
            # Retry: the tables were emptied or exchanged, and what is remembered of the partitions is wrong.
            self._roomy.pop(stream, None)
            raise StoreUnavailable(f"event_log has no place for the messages of {stream}: {error}") from error

    async def count(self, connection: Connection, stream: str, after: int, to: int) -> int:
        """Return how many messages beyond `after` up to `to` are there."""
        return int(await connection.fetchval(_COUNT, stream, after, to))

    async def forget(self, connection: Connection, stream: str, after: int) -> None:
        """Remove the messages beyond `after`."""
        await connection.execute(_FORGET, stream, after)


def keepable(raw: RawMessage) -> bool:
    """Whether the table can hold a message of this subject. No other names a fact, so the message means nothing."""
    return len(raw.subject) <= MAX_SUBJECT and "\x00" not in raw.subject


def header_text(headers: Mapping[str, str]) -> str:
    """Return headers as JSON in ASCII, so that whatever they hold is valid in the column.

    To the letter what `json.dumps` gives, which makes an encoder in each call: the texts of live and of rebuilt rows
    are compared.
    """
    return "{" + ", ".join([f"{_quoted(name)}: {_quoted(value)}" for name, value in headers.items()]) + "}"
