"""What one event changes in the tables, as values: made by `projection`, carried out by `rows`.

Each change names its row by the identity in the event, holds only what the event itself says, and carries the event's
own time, never the clock's. What a change means for a row that is already there is decided in `rows`. They are tagged,
so that they can be told from one another after they went from one process to another (`planning`).
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from contracts.collection import CountedTree, TreeShape
from contracts.observation import CollectionDrift, ObservedLeaf


class OfOperation(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """What all changes of one operation's rows have in common. A message changes one operation at most."""

    operation: UUID

    @property
    def indexes(self) -> Sequence[int]:
        """Which items this speaks of by their index."""
        return ()

    @property
    def signatures(self) -> Sequence[str]:
        """Which items this speaks of by the transaction that minted them."""
        return ()


class OfCollection(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """What all changes of one collection's row have in common."""

    collection: UUID


class OpenOperation(OfOperation, frozen=True):
    """A new operation with one pending item for every name, whose row has the id beside it; `metadata` is JSON."""

    collection: UUID
    recipient: str
    caller: str
    operation_type: str
    batch_size: int
    metadata: str
    names: tuple[str, ...]
    ids: tuple[UUID, ...]
    at: datetime


class StartOperation(OfOperation, frozen=True):
    """A service has begun to work on the operation."""

    at: datetime


class PinnedItem(msgspec.Struct, frozen=True, array_like=True):
    """One item of `PinItems`. `ipfs_hash` is None for a URI of another kind."""

    index: int
    ipfs_uri: str
    ipfs_hash: str | None
    image_uri: str


class PinItems(OfOperation, frozen=True):
    """The items' metadata is on IPFS."""

    items: tuple[PinnedItem, ...]
    at: datetime

    @property
    def indexes(self) -> Sequence[int]:
        """See `OfOperation.indexes`."""
        return [item.index for item in self.items]


class MintedItem(msgspec.Struct, frozen=True, array_like=True):
    """One item of `MintItems`."""

    index: int
    asset_id: str
    leaf_index: int
    nonce: int


class MintItems(OfOperation, frozen=True):
    """The items are assets on chain. `sequence` is the message's own, in MINT."""

    signature: str
    tree_address: str
    slot: int
    items: tuple[MintedItem, ...]
    sequence: int
    at: datetime

    @property
    def indexes(self) -> Sequence[int]:
        """See `OfOperation.indexes`."""
        return [item.index for item in self.items]


class CancelOperation(OfOperation, frozen=True):
    """A caller wants no more items of the operation minted; the items tell themselves how they end."""

    at: datetime


class FailItems(OfOperation, frozen=True):
    """The items can never be minted by their operation. `sequence` is the message's own, in MINT.

    `dropped` is the signature of a confirmation that this takes back, because a fork dropped it for good.
    """

    items: tuple[int, ...]
    code: str
    reason: str
    sequence: int
    at: datetime
    dropped: str | None = None

    @property
    def indexes(self) -> Sequence[int]:
        """See `OfOperation.indexes`."""
        return self.items


class FinalizeItems(OfOperation, frozen=True):
    """The items that this transaction minted are final."""

    signature: str
    slot: int
    at: datetime

    @property
    def signatures(self) -> Sequence[str]:
        """See `OfOperation.signatures`."""
        return (self.signature,)


class CloseOperation(OfOperation, frozen=True):
    """The operation is over."""

    at: datetime


class OpenCollection(OfCollection, frozen=True):
    """A new collection that is not on chain yet."""

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


class OpenImport(OfCollection, frozen=True):
    """A collection that was made elsewhere is to be taken over; known by its address until it was read."""

    address: str
    is_public: bool
    allow_minting: bool
    at: datetime


class PinCollection(OfCollection, frozen=True):
    """The collection's metadata is on IPFS."""

    uri: str
    image_url: str | None
    at: datetime


class TouchCollection(OfCollection, frozen=True):
    """Something happened to the collection that only its `updated_at` shows."""

    at: datetime


class CreateCollection(OfCollection, frozen=True):
    """Collection and tree are on chain; complete in itself, so that it also makes a row that was never opened."""

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


class AddTree(OfCollection, frozen=True):
    """The collection has another tree on chain, its number `number` from 1."""

    number: int
    tree_address: str
    tree: TreeShape
    at: datetime


class FailCollection(OfCollection, frozen=True):
    """The collection can never be made as it was asked for."""

    code: str
    reason: str
    at: datetime


class CountCollection(OfCollection, frozen=True):
    """The chain's own numbers of the collection at a slot."""

    minted: int
    capacity: int
    has_valid_tree: bool
    supports_das: bool
    slot: int
    trees: tuple[CountedTree, ...]
    at: datetime


class FlagCollection(OfCollection, frozen=True):
    """The collection's flags, as a caller set them."""

    is_public: bool
    allow_minting: bool
    at: datetime


class SyncCollection(OfCollection, frozen=True):
    """A caller wants the collection counted now."""

    at: datetime


class ObserveLeaves(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """The chain's changes `after + 1` and following of a tree; `root` (hexadecimal) is the tree's after the last."""

    collection: UUID
    tree: str
    after: int
    leaves: tuple[ObservedLeaf, ...]
    root: str


class RecordDrift(msgspec.Struct, frozen=True, tag=True, array_like=True):
    """A comparison of a collection's counts came out differently. `sequence` is the message's own, in COLLECTION.

    `differences` are those of the fact, in JSON that the database can hold.
    """

    drift: CollectionDrift
    differences: str
    sequence: int
    at: datetime


ItemsChange = MintItems | PinItems | FailItems
OperationChange = StartOperation | ItemsChange | FinalizeItems | OpenOperation | CloseOperation | CancelOperation
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
