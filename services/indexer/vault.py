"""The second copy of the log, as it is compared with the log; and the emptying of the tables before a replay.

Used by `guard` and `pruning`. What fills the copy is `store`, which also owns its shape.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from chassis.database import UNAVAILABLE, Pool, Row
from chassis.log import RawMessage
from contracts.guard import Truncated
from services.indexer.ports import StoreUnavailable

PAGE: Final = 10_000
"""Messages read by one statement."""

_TAIL: Final = """
    SELECT sequence, subject, payload, headers, stored_at FROM event_log
    WHERE stream = $1 AND sequence BETWEEN $2 AND $3 ORDER BY sequence
"""
# By the index on operations, whose condition is the one on the stream.
_OPERATIONS: Final = """
    SELECT split_part(subject, '.', 4) AS operation, sequence, subject, payload, headers, stored_at FROM event_log
    WHERE stream = 'MINT' AND split_part(subject, '.', 4) = ANY($1::text[]) ORDER BY sequence
"""
_SUBJECTS: Final = """
    SELECT sequence, subject FROM event_log WHERE stream = 'MINT' AND split_part(subject, '.', 4) = ANY($1::text[])
"""
_LOSSES: Final = "SELECT told FROM log_losses ORDER BY number"
_KEEP: Final = "INSERT INTO log_losses (truncation, told) VALUES ($1, $2) ON CONFLICT (truncation) DO NOTHING"
_WATERMARK: Final = "SELECT sequence FROM watermarks WHERE stream = $1"
# Everything that the log fills. The watermarks stay as rows: they say which streams are projected.
_EMPTY: Final = """
    TRUNCATE nft_collections, collection_trees, collection_drifts, observed_trees, assets, mint_operations,
             mint_results, mint_minutes, mint_latencies, event_log, parked_messages;
    UPDATE watermarks SET sequence = 0;
"""


class PostgresVault:
    """Implements `two_copies.Vault` and `pruning.Copies`. Every method raises StoreUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def watermark(self, stream: str) -> int:
        """See `two_copies.Vault.watermark`."""
        try:
            return int(await self._pool.fetchval(_WATERMARK, stream))
        except UNAVAILABLE as error:  # retry, by the caller: nothing was changed
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    async def messages(self, stream: str, first: int, last: int) -> Sequence[RawMessage]:
        """See `two_copies.Vault.messages`."""
        found: list[RawMessage] = []
        for start in range(first, last + 1, PAGE):  # in bites: a statement has half a minute
            end = min(last, start + PAGE - 1)
            found += [_message(row) for row in await self._fetch(_TAIL, stream, start, end)]
        return found

    async def subjects(self, operations: Collection[str]) -> Sequence[tuple[int, str]]:
        """See `two_copies.Vault.subjects`."""
        return [(row["sequence"], row["subject"]) for row in await self._fetch(_SUBJECTS, list(operations))]

    async def operations(self, operations: Collection[str]) -> Mapping[str, Sequence[RawMessage]]:
        """See `pruning.Copies.operations`."""
        found: dict[str, list[RawMessage]] = {}
        for row in await self._fetch(_OPERATIONS, list(operations)):
            found.setdefault(row["operation"], []).append(_message(row))
        return found

    async def _fetch(self, query: str, *values: object) -> Sequence[Row]:
        try:
            return await self._pool.fetch(query, *values)
        except UNAVAILABLE as error:  # retry, by the caller: nothing was changed
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    async def losses(self) -> Sequence[Truncated]:
        """See `two_copies.Vault.losses`."""
        return [msgspec.json.decode(row["told"], type=Truncated) for row in await self._fetch(_LOSSES)]

    async def keep(self, loss: Truncated) -> None:
        """See `two_copies.Vault.keep`."""
        try:
            await self._pool.execute(_KEEP, loss.truncation, msgspec.json.encode(loss).decode())
        except UNAVAILABLE as error:  # retry, by the caller: it is kept or not, and may be kept again
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    async def empty(self) -> None:
        """See `two_copies.Vault.empty`."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(_EMPTY)
        except UNAVAILABLE as error:  # retry, by the caller: all of it or nothing is gone
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


def _message(row: Row) -> RawMessage:
    return RawMessage(row["subject"], row["sequence"], row["stored_at"], row["payload"], json.loads(row["headers"]))
