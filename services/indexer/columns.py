"""The columns of the tables as the statements that write them name them, and rows turned into columns.

Used by `store`. Not done here: the rows themselves (`tables`) and the statements (`sql/queries.sql`).
"""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from services.indexer.changes import RecordDrift
from services.indexer.entries import Entry
from services.indexer.event_log import MAX_SUBJECT
from services.indexer.projection import clean_text

# The columns of COPY, and of the bulk statements in the order of their arrays in queries.sql.
OPERATION_UPDATE: Final = (
    "id", "updated_at", "status", "completed_nfts", "failed_nfts", "cancelled_nfts", "error_message", "first_error",
    "estimated_completion", "end_time", "settled_sequence",
)  # fmt: skip
OPERATION_INSERT: Final = (
    "transaction_id", "collection_id", "recipient", "caller", "operation_type", "total_nfts", "batch_size", "metadata",
    "start_time", "created_at", *OPERATION_UPDATE,
)  # fmt: skip
ITEM_UPDATE: Final = (
    "id", "updated_at", "status", "ipfs_uri", "ipfs_hash", "image_uri", "signature", "asset_id", "leaf_index", "nonce",
    "tree_address", "slot", "finalized_slot", "error_code", "error_message", "settled_at",
)  # fmt: skip
ITEM_INSERT: Final = ("id", "operation_id", "item_index", "nft_name", "created_at", *ITEM_UPDATE[1:])
COLLECTION: Final = (
    "id", "name", "symbol", "standard", "description", "image_url", "external_url", "capacity",
    "seller_fee_basis_points", "is_public", "allow_minting", "created_at", "updated_at", "stage", "status", "uri",
    "tree_address", "collection_address", "creator_address", "minted", "has_valid_tree", "supports_das",
    "counted_slot", "imported", "minted_before", "error_code", "error_message",
)  # fmt: skip
TREE: Final = (
    "collection_id", "number", "tree_address", "max_depth", "max_buffer_size", "canopy_depth", "capacity", "added_at",
    "minted", "valid",
)  # fmt: skip

V = TypeVar("V")


def parked_row(entry: Entry) -> tuple[object, ...]:
    """A row of `parked_messages`."""
    return entry.raw.sequence, clean_text(entry.raw.subject)[:MAX_SUBJECT], entry.parked


def as_columns(values: Iterable[V], fields: Callable[[V], tuple[object, ...]], width: int) -> list[list[object]]:
    """One list for each of the `width` fields of every value."""
    rows = [fields(value) for value in values]
    return [[row[position] for row in rows] for position in range(width)]


def drift_row(change: RecordDrift) -> tuple[object, ...]:
    """A row of `collection_drifts`."""
    told = change.drift
    counts = (told.log, told.projection, told.chain, told.observed, told.living, told.das)
    return (told.collection, change.sequence, change.at, told.slot, *counts, change.differences)
