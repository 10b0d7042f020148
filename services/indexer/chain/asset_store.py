"""`assets` and `observed_trees` in Postgres: written in the projection's own transaction, read for the comparisons.

Used by `store` (`AssetTables`, which opens no transaction of its own) and by `reconciling` (`PostgresComparisons`).
"""

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from chassis.database import Connection, Pool, Row
from chassis.queries import load_queries
from contracts.observation import MAX_EXAMPLES, LeafFate
from services.indexer.chain.assets import Asset, Observed, ObservedTree
from services.indexer.chain.differences import Found, Told
from services.indexer.ports import StoreUnavailable

SQL: Final = Path(__file__).parent

_NEW: Final = (
    "asset_id", "tree_address", "leaf_index", "collection_id", "fate", "leaf_hash", "seq", "slot", "signature", "owner",
    "delegate", "frozen", "transferable", "minted_slot", "minted_signature", "collection_address",
)  # fmt: skip
_CHANGED: Final = (
    "asset_id", "fate", "leaf_hash", "seq", "slot", "signature", "owner", "delegate", "frozen", "transferable",
    "collection_address", "collection_changed",
)  # fmt: skip
_TREE: Final = ("tree_address", "collection_id", "seq", "root", "slot")


class _Sql(msgspec.Struct, frozen=True):
    load_trees: str
    put_trees: str
    put_assets: str
    change_assets: str
    leaf_hashes: str
    observed_counts: str
    told_counts: str
    not_on_chain: str
    minted_elsewhere: str
    gone: str
    living_assets: str


class AssetTables:
    """The statements on a connection that is in a transaction."""

    def __init__(self) -> None:
        self._sql = load_queries(SQL).into(_Sql)

    async def load_trees(self, connection: Connection, addresses: Collection[str]) -> dict[str, ObservedTree]:
        """Return the observed ones among the trees."""
        found = await connection.fetch(self._sql.load_trees, list(addresses))
        return {row["tree_address"]: ObservedTree(**row) for row in found}

    async def write(self, connection: Connection, observed: Observed) -> None:
        """Write what the batch observed: a fixed number of statements."""
        if not observed.changed_trees:
            return
        assets = observed.assets.values()
        await connection.execute(self._sql.put_assets, *_arrays(assets, _NEW))
        # A mint makes its row; anything else changes one that is there, or was made just now from what is known.
        changed = [asset for asset in assets if asset.minted_slot is None]
        if changed:
            await connection.execute(self._sql.change_assets, *_arrays(changed, _CHANGED))
        trees = [observed.trees[address] for address in observed.changed_trees]
        await connection.execute(self._sql.put_trees, *_arrays(trees, _TREE))


def _arrays(rows: Iterable[Asset | ObservedTree], columns: Sequence[str]) -> list[list[object]]:
    listed = list(rows)
    return [[getattr(row, column) for row in listed] for column in columns]


class PostgresComparisons:
    """What the tables say of a collection: `parts.Comparisons`. Every method may raise StoreUnavailable."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._sql = load_queries(SQL).into(_Sql)

    async def observed_tree(self, tree: str) -> ObservedTree | None:
        """See `Comparisons.observed_tree`."""
        async with self._connection() as connection:
            found = await connection.fetch(self._sql.load_trees, [tree])
        return ObservedTree(**found[0]) if found else None

    async def leaf_hashes(self, tree: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """See `Comparisons.leaf_hashes`."""
        async with self._connection() as connection:
            found = await connection.fetch(self._sql.leaf_hashes, tree, after, limit)
        return [(row["leaf_index"], row["leaf_hash"]) for row in found]

    async def living_assets(
        self, collection: UUID, collection_address: str, after: str, limit: int
    ) -> list[tuple[str, str, bytes]]:
        """See `Comparisons.living_assets`."""
        async with self._connection() as connection:
            found = await connection.fetch(self._sql.living_assets, collection, collection_address, after, limit)
        return [(row["asset_id"], row["tree_address"], row["leaf_hash"]) for row in found]

    async def told(self, collection: UUID, slot: int, unseen_after: Mapping[str, int]) -> Told:
        """See `Comparisons.told`: one snapshot of all tables."""
        unseen = list(unseen_after.keys()), list(unseen_after.values())
        async with self._connection() as connection, connection.transaction(isolation="repeatable_read"):
            told = await connection.fetch(self._sql.told_counts, collection)
            seen = await connection.fetch(self._sql.observed_counts, collection)
            lost = await connection.fetch(self._sql.not_on_chain, collection, slot, MAX_EXAMPLES, *unseen)
            elsewhere = await connection.fetch(self._sql.minted_elsewhere, collection, MAX_EXAMPLES)
            gone = await connection.fetch(self._sql.gone, collection, MAX_EXAMPLES)
        return Told(
            log=told[0]["log"],
            projection=told[0]["projection"],
            observed=seen[0]["observed"],
            living=seen[0]["living"],
            not_on_chain=_found(lost, "signature"),
            minted_elsewhere=_found(elsewhere, "asset_id"),
            gone={LeafFate(row["fate"]): Found(row["found"], tuple(row["examples"])) for row in gone},
        )

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[Connection, None]:
        try:
            async with self._pool.acquire() as connection:
                yield connection
        except (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
            # Retry, by the caller: these statements only read, so nothing about them can be refused for good.
            raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


def _found(rows: Sequence[Row], column: str) -> Found:
    return Found(rows[0]["found"] if rows else 0, tuple(row[column] for row in rows))
