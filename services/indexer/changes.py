"""What one event changes in the tables, as values: made by `projection`, carried out by `rows`.

Each change names its row by the identity in the event, holds only what the event itself says, and carries the event's
own time, never the clock's. What a change means for a row that is already there is decided in `rows`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from contracts.collection import CountedTree, TreeShape
from contracts.observation import CollectionDrift, ObservedLeaf


@dataclass(frozen=True, slots=True)
class OpenOperation:
    """A new operation with one pending item for every name."""

    operation: UUID
    collection: UUID
    recipient: str
    caller: str
    operation_type: str
    batch_size: int
    metadata: Mapping[str, Any]
    names: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class StartOperation:
    """A service has begun to work on the operation."""

    operation: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class PinItem:
    """The item's metadata is on IPFS. `ipfs_hash` is None for a URI of another kind."""

    operation: UUID
    index: int
    ipfs_uri: str
    ipfs_hash: str | None
    image_uri: str
    at: datetime


@dataclass(frozen=True, slots=True)
class MintItem:
    """The item is an asset on chain. `sequence` is the message's own, in MINT."""

    operation: UUID
    index: int
    signature: str
    asset_id: str
    leaf_index: int
    nonce: int
    tree_address: str
    slot: int
    sequence: int
    at: datetime


@dataclass(frozen=True, slots=True)
class CancelOperation:
    """A caller wants no more items of the operation minted; the items tell themselves how they end."""

    operation: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class FailItem:
    """The item can never be minted by its operation. `sequence` is the message's own, in MINT.

    `dropped` is the signature of a confirmation that this takes back, because a fork dropped it for good.
    """

    operation: UUID
    index: int
    code: str
    reason: str
    sequence: int
    at: datetime
    dropped: str | None = None


@dataclass(frozen=True, slots=True)
class FinalizeItems:
    """The items that this transaction minted are final."""

    operation: UUID
    signature: str
    slot: int
    at: datetime


@dataclass(frozen=True, slots=True)
class CloseOperation:
    """The operation is over; `cancelled` of its items were withdrawn before they were minted."""

    operation: UUID
    cancelled: int
    at: datetime


@dataclass(frozen=True, slots=True)
class OpenCollection:
    """A new collection that is not on chain yet."""

    collection: UUID
    name: str
    symbol: str
    standard: str
    description: str
    image_url: str | None
    external_url: str | None
    capacity: int
    seller_fee_basis_points: int
    is_public: bool
    allow_minting: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class OpenImport:
    """A collection that was made elsewhere is to be taken over; known by its address until it was read."""

    collection: UUID
    address: str
    is_public: bool
    allow_minting: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class PinCollection:
    """The collection's metadata is on IPFS."""

    collection: UUID
    uri: str
    image_url: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class TouchCollection:
    """Something happened to the collection that only its `updated_at` shows."""

    collection: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class CreateCollection:
    """Collection and tree are on chain; complete in itself, so that it also makes a row that was never opened."""

    collection: UUID
    name: str
    symbol: str
    standard: str
    description: str
    image_url: str | None
    external_url: str | None
    uri: str
    tree_address: str
    collection_address: str
    creator_address: str
    tree: TreeShape
    seller_fee_basis_points: int
    is_public: bool
    allow_minting: bool
    imported: bool
    minted_before: int
    at: datetime


@dataclass(frozen=True, slots=True)
class AddTree:
    """The collection has another tree on chain, its number `number` from 1."""

    collection: UUID
    number: int
    tree_address: str
    tree: TreeShape
    at: datetime


@dataclass(frozen=True, slots=True)
class FailCollection:
    """The collection can never be made as it was asked for."""

    collection: UUID
    code: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CountCollection:
    """The chain's own numbers of the collection at a slot."""

    collection: UUID
    minted: int
    capacity: int
    has_valid_tree: bool
    supports_das: bool
    slot: int
    trees: tuple[CountedTree, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class FlagCollection:
    """The collection's flags, as a caller set them."""

    collection: UUID
    is_public: bool
    allow_minting: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class SyncCollection:
    """A caller wants the collection counted now."""

    collection: UUID
    at: datetime


@dataclass(frozen=True, slots=True)
class ObserveLeaves:
    """The chain's changes `after + 1` and following of a tree; `root` (hexadecimal) is the tree's after the last."""

    collection: UUID
    tree: str
    after: int
    leaves: tuple[ObservedLeaf, ...]
    root: str


@dataclass(frozen=True, slots=True)
class RecordDrift:
    """A comparison of a collection's counts came out differently. `sequence` is the message's own, in COLLECTION.

    `differences` are those of the fact, in JSON that the database can hold.
    """

    drift: CollectionDrift
    differences: str
    sequence: int
    at: datetime


ItemChange = PinItem | MintItem | FailItem
OperationChange = OpenOperation | StartOperation | CancelOperation | FinalizeItems | CloseOperation | ItemChange
CollectionChange = (
    OpenCollection
    | OpenImport
    | PinCollection
    | TouchCollection
    | CreateCollection
    | AddTree
    | FailCollection
    | CountCollection
    | FlagCollection
    | SyncCollection
)
RowChange = OperationChange | CollectionChange | ObserveLeaves | RecordDrift
