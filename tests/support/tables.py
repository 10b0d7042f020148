"""The projection's tables as values, to compare two of them."""

import dataclasses
from typing import Any, Final

import msgspec

from chassis.database import Executor
from services.indexer.changes import RecordDrift
from services.indexer.tables import Collection, Item, Operation, Tree
from tests.support.memory_tables import MemoryTables

TABLES: Final = {
    "nft_collections": "id",
    "collection_trees": "collection_id, number",
    "collection_drifts": "collection_id, sequence",
    "observed_trees": "tree_address",
    "assets": "asset_id",
    "mint_operations": "id",
    "mint_results": "operation_id, item_index",
    "mint_minutes": "minute",
    "mint_latencies": "minute, up_to_ms",
    "event_log": "stream, sequence",
    "parked_messages": "stream, sequence",
    "watermarks": "stream",
}

Dump = dict[str, list[dict[str, Any]]]


async def dump(database: Executor) -> Dump:
    """Every row of every table, in the order of its key."""
    return {
        table: [dict(row) for row in await database.fetch(f"SELECT * FROM {table} ORDER BY {key}")]
        for table, key in TABLES.items()
    }


def expected(tables: MemoryTables) -> Dump:
    """What `dump` gives when Postgres holds the same as `tables`."""
    operations = sorted(tables.operations.values(), key=lambda row: row.id)
    items = sorted(tables.items.values(), key=lambda row: (row.operation_id, row.item_index))
    collections = sorted(tables.collections.values(), key=lambda row: row.id)
    return {
        "nft_collections": [_columns(row) for row in collections],
        "collection_trees": [_columns(tree) for _, tree in sorted(tables.trees.items())],
        "collection_drifts": [_drift(change) for _, change in sorted(tables.drifts.items())],
        "mint_operations": [
            _columns(row)
            | {"metadata": msgspec.json.decode(row.metadata or "null")}
            | {"transaction_id": str(row.id), "results": [], "created_at": row.start_time}
            for row in operations
        ],
        "mint_results": [_columns(row) | {"id": row.id} for row in items],
        "mint_minutes": [{"minute": at, **dataclasses.asdict(each)} for at, each in sorted(tables.minutes.items())],
        "mint_latencies": [
            {"minute": at, "up_to_ms": up_to, "items": items} for (at, up_to), items in sorted(tables.latencies.items())
        ],
        "watermarks": [{"stream": name, "sequence": at} for name, at in sorted(tables.watermarks.items())],
    }


def comparable(rows: Dump) -> Dump:
    """The tables that `expected` knows, with JSON columns read."""
    operations = [
        row | {name: msgspec.json.decode(row[name]) for name in ("metadata", "results")}
        for row in rows["mint_operations"]
    ]
    drifts = [row | {"differences": msgspec.json.decode(row["differences"])} for row in rows["collection_drifts"]]
    names = ("nft_collections", "collection_trees", "mint_results", "mint_minutes", "mint_latencies", "watermarks")
    kept = {name: rows[name] for name in names}
    return kept | {"mint_operations": operations, "collection_drifts": drifts}


def _drift(change: RecordDrift) -> dict[str, Any]:
    told = change.drift
    names = ("slot", "log", "projection", "chain", "observed", "living", "das")
    return {name: getattr(told, name) for name in names} | {
        "collection_id": told.collection,
        "sequence": change.sequence,
        "told_at": change.at,
        "differences": msgspec.json.decode(change.differences),
    }


def _columns(row: Operation | Item | Collection | Tree) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}
