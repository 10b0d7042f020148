"""The second copy of the log, as the truncation guard reads it; and the emptying of the tables before a replay.

Used by `guard` alone. What fills the copy is `store`, which also owns its shape.
"""

import json
from collections.abc import Sequence
from typing import Final

import asyncpg

from chassis.database import Pool
from chassis.log import RawMessage
from services.indexer.ports import StoreUnavailable

_TAIL: Final = """
    SELECT sequence, subject, payload, headers, stored_at FROM event_log
    WHERE stream = $1 AND sequence BETWEEN $2 AND $3 ORDER BY sequence
"""
_WATERMARK: Final = "SELECT sequence FROM watermarks WHERE stream = $1"
# Everything that the log fills. The watermarks stay as rows: they say which streams are projected.
_EMPTY: Final = """
    TRUNCATE nft_collections, collection_trees, collection_drifts, observed_trees, assets, mint_operations,
             mint_results, mint_minutes, event_log, parked_messages;
    UPDATE watermarks SET sequence = 0;
"""
_UNAVAILABLE: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)


class PostgresVault:
    """Implements `guard.Vault`. Every method raises StoreUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def watermark(self, stream: str) -> int:
        """See `guard.Vault.watermark`."""
        try:
            return int(await self._pool.fetchval(_WATERMARK, stream))
        except _UNAVAILABLE as error:  # retry, by the caller: nothing was changed
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error

    async def messages(self, stream: str, first: int, last: int) -> Sequence[RawMessage]:
        """See `guard.Vault.messages`."""
        try:
            rows = await self._pool.fetch(_TAIL, stream, first, last)
        except _UNAVAILABLE as error:  # retry, by the caller: nothing was changed
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
        return [
            RawMessage(row["subject"], row["sequence"], row["stored_at"], row["payload"], json.loads(row["headers"]))
            for row in rows
        ]

    async def empty(self) -> None:
        """See `guard.Vault.empty`."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(_EMPTY)
        except _UNAVAILABLE as error:  # retry, by the caller: all of it or nothing is gone
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
