"""The rows of the projection's tables, named and typed as in `sql/migrations`.

Made and changed by `rows`, loaded and written by `store`. Columns that follow from others (`transaction_id`) are
properties. Not done here: what changes them.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(slots=True)
class Operation:
    """One row of `mint_operations`. `settled_sequence`: the message that settled the last item.

    `metadata` is JSON; it never changes and can be large: it is None in a row that was loaded.
    """

    id: UUID
    collection_id: UUID
    recipient: str
    caller: str
    operation_type: str
    total_nfts: int
    batch_size: int
    metadata: str | None
    start_time: datetime
    updated_at: datetime
    status: str = "pending"
    completed_nfts: int = 0
    failed_nfts: int = 0
    cancelled_nfts: int = 0
    error_message: str | None = None
    first_error: str | None = None
    estimated_completion: datetime | None = None
    end_time: datetime | None = None
    settled_sequence: int | None = None

    @property
    def transaction_id(self) -> str:
        """The id as the API's text."""
        return str(self.id)

    @property
    def created_at(self) -> datetime:
        """The time of the request."""
        return self.start_time

    @property
    def settled(self) -> int:
        """How many items have come to their end."""
        return self.completed_nfts + self.failed_nfts + self.cancelled_nfts


@dataclass(slots=True)
class Item:
    """One row of `mint_results`. `id` follows from operation and index, so it is the same in every replay."""

    id: UUID
    operation_id: UUID
    item_index: int
    nft_name: str
    created_at: datetime
    updated_at: datetime
    status: str = "pending"
    ipfs_uri: str | None = None
    ipfs_hash: str | None = None
    image_uri: str | None = None
    signature: str | None = None
    asset_id: str | None = None
    leaf_index: int | None = None
    nonce: int | None = None
    tree_address: str | None = None
    slot: int | None = None
    finalized_slot: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    settled_at: datetime | None = None


@dataclass(slots=True)
class Collection:
    """One row of `nft_collections`."""

    id: UUID
    name: str
    symbol: str
    standard: str | None
    """None: an import whose account was not read yet."""
    description: str
    image_url: str | None
    external_url: str | None
    capacity: int
    seller_fee_basis_points: int
    is_public: bool
    allow_minting: bool
    created_at: datetime
    updated_at: datetime
    stage: str = "requested"
    status: str = "paused"
    uri: str | None = None
    tree_address: str | None = None
    collection_address: str | None = None
    creator_address: str | None = None
    minted: int = 0
    has_valid_tree: bool = False
    supports_das: bool = False
    counted_slot: int | None = None
    imported: bool = False
    minted_before: int = 0
    error_code: str | None = None
    error_message: str | None = None


@dataclass(slots=True)
class Tree:
    """One row of `collection_trees`. `minted` and `valid` are as the chain was last counted, None before that.

    The size is not known whole of a tree that was projected before it was kept, until a replay.
    """

    collection_id: UUID
    number: int
    tree_address: str
    max_depth: int
    max_buffer_size: int | None
    canopy_depth: int | None
    capacity: int
    added_at: datetime
    minted: int | None = None
    valid: bool | None = None
