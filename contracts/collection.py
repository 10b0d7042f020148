"""The facts of one collection: asked for, its metadata pinned, its transactions signed, made, counted.

`requested` (gateway) -> `pinned` (ipfs) -> `signed` (minter, one an attempt) -> `table_created` and `tree_added`
(minter, one a tree) -> `created` or `failed` (minter). A collection that is nearly full gets further trees later.
A collection that was made elsewhere: `import_requested` (gateway) -> `created` or `failed` (minter, which reads it from
the chain); after `failed` it may be requested again.
`counted` (indexer) whenever the chain's own counts are seen to have moved, or when `sync_requested` (gateway) asks for
them. `updated` (gateway) changes the flags of a created collection; the newest one holds.
"""

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec

from contracts.fact import Address, Count, Fact, Index, Lamports, Signature, Slot
from contracts.mint import Attempt, Image

MAX_TREES = 16
"""Most trees that one collection has: bounds what one question about its capacity costs."""


class Standard(StrEnum):
    """Which Bubblegum generation a collection's tree and leaves use."""

    V1 = "v1"
    """Token-metadata collection NFT, SPL account compression, LeafSchema V1."""
    V2 = "v2"
    """MPL-Core collection with the BubblegumV2 plugin, MPL account compression, LeafSchema V2."""


class TreeShape(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The size of a concurrent merkle tree; its capacity is 2**max_depth leaves."""

    max_depth: Annotated[int, msgspec.Meta(ge=3, le=30)] = 14
    max_buffer_size: Annotated[int, msgspec.Meta(ge=8, le=2048)] = 64
    canopy_depth: Annotated[int, msgspec.Meta(ge=0, le=17)] = 8

    @property
    def capacity(self) -> int:
        """How many leaves the tree holds."""
        return 1 << self.max_depth


class CollectionRequested(Fact, frozen=True, kw_only=True):
    """A caller asked for a collection and its tree."""

    SUBJECT: ClassVar[str] = "collection.requested.v1.{collection}"

    collection: UUID
    name: str
    symbol: str
    standard: Standard = Standard.V2
    tree: TreeShape = TreeShape()
    trees: Annotated[int, msgspec.Meta(ge=1, le=MAX_TREES)] = 1
    """How many trees of this shape the collection begins with."""
    description: str = ""
    image: Image | None = None
    external_url: str | None = None
    seller_fee_basis_points: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0
    is_public: bool = False
    """Shown to the public in the API's lists; says nothing about who may mint on chain."""
    allow_minting: bool = True


class ImportFault(StrEnum):
    """Why a collection that was made elsewhere is not taken over: the codes of its `failed`. Stable."""

    NOT_A_COLLECTION = "not_a_collection"
    """No account has the address, or one that no NFT can be minted into."""
    PLUGIN_MISSING = "bubblegum_plugin_missing"
    """An MPL-Core collection without the BubblegumV2 plugin."""
    NOT_SIZED = "collection_not_sized"
    """A token-metadata NFT without collection details."""
    NOT_OUR_AUTHORITY = "collection_authority_missing"
    """Another wallet than the minter's may add to it."""
    NO_TREES = "trees_not_found"
    """Nothing is minted into it yet, or all of its trees are others'."""
    TREE_REFUSED = "tree_refused"
    """A tree that the request names cannot be minted into."""


class CollectionImportRequested(Fact, frozen=True, kw_only=True):
    """A caller wants a collection taken over that is on chain already. Its id follows from its address."""

    SUBJECT: ClassVar[str] = "collection.import_requested.v1.{collection}"

    collection: UUID
    collection_address: Address
    tree_addresses: Annotated[tuple[Address, ...], msgspec.Meta(max_length=MAX_TREES)] = ()
    """Its trees; when there are none here, those of the assets that DAS knows in it."""
    symbol: str | None = None
    """Of its NFTs that bring none; None: the collection's own."""
    is_public: bool = False
    allow_minting: bool = True


class TreePlace(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A tree, and the size it has."""

    tree_address: Address
    tree: TreeShape


class CollectionPinned(Fact, frozen=True, kw_only=True):
    """The collection's own metadata is on IPFS."""

    SUBJECT: ClassVar[str] = "collection.pinned.v1.{collection}"

    collection: UUID
    uri: str
    image_uri: str | None = None
    retrieved_from: str | None = None
    """The IPFS gateway through which the content was fetched and verified after pinning; None: not checked."""


class CollectionSigned(Fact, frozen=True, kw_only=True):
    """The minter intends to send transaction `tx` of the collection's making; attempts as in `mint.signed`."""

    SUBJECT: ClassVar[str] = "collection.signed.v1.{collection}.{tx}"

    collection: UUID
    tx: Index
    attempt: Attempt
    transaction: str
    """The signed wire transaction in base64."""
    fee_payer: Address
    earlier: tuple[Attempt, ...] = ()


class CollectionTableCreated(Fact, frozen=True, kw_only=True):
    """An address lookup table is on chain that holds what every mint into one tree of the collection names."""

    SUBJECT: ClassVar[str] = "collection.table_created.v1.{collection}.{number}"

    collection: UUID
    number: Index
    """Which of the collection's trees it is for."""
    tree_address: Address
    table_address: Address
    addresses: tuple[Address, ...]
    """What the table holds, in its order."""
    signature: Signature
    slot: Slot


class CollectionTreeAdded(Fact, frozen=True, kw_only=True):
    """The collection has another tree on chain. Tree 0 is the one in `created`; the others are numbered from 1."""

    SUBJECT: ClassVar[str] = "collection.tree_added.v1.{collection}.{number}"

    collection: UUID
    number: Annotated[int, msgspec.Meta(ge=1)]
    tree_address: Address
    tree: TreeShape
    signature: Signature
    slot: Slot


class CollectionCreated(Fact, frozen=True, kw_only=True):
    """Collection and tree are on chain. Holds all that minting into it needs."""

    SUBJECT: ClassVar[str] = "collection.created.v1.{collection}"

    collection: UUID
    name: str
    symbol: str
    standard: Standard
    uri: str
    collection_address: Address
    """The token-metadata collection mint (V1) or the MPL-Core collection asset (V2)."""
    tree_address: Address
    creator_address: Address
    """The wallet that is tree creator and collection update authority."""
    tree: TreeShape
    signatures: tuple[Signature, ...]
    slot: Slot
    fee: Lamports
    description: str = ""
    image_uri: str | None = None
    external_url: str | None = None
    seller_fee_basis_points: Count = 0
    is_public: bool = False
    allow_minting: bool = True
    imported: bool = False
    """Made elsewhere: `signatures` are none, and `creator_address` is the wallet that may mint."""
    more_trees: tuple[TreePlace, ...] = ()
    """Trees beside `tree_address` that an imported collection came with: numbers 1 and up."""
    minted_before: Count = 0
    """Leaves in all of these trees when the collection was imported."""


class CollectionFailed(Fact, frozen=True, kw_only=True):
    """The collection can never be made as it was asked for."""

    SUBJECT: ClassVar[str] = "collection.failed.v1.{collection}"

    collection: UUID
    code: str
    reason: str
    cure: str = ""


class CountedTree(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the chain itself says of one tree."""

    tree_address: Address
    minted: Count | None
    """TreeConfig.num_minted; None: its account cannot be read."""
    valid: bool
    """Whether NFTs can be minted into it: both of its accounts are there, readable, and agree."""


class CollectionCounted(Fact, frozen=True, kw_only=True):
    """What the chain itself says of the collection at one slot.

    Published only when it differs from the last, or once for a `sync_requested` that is newer than the last.
    """

    SUBJECT: ClassVar[str] = "collection.counted.v1.{collection}"

    collection: UUID
    minted: Count
    """TreeConfig.num_minted, over all trees."""
    capacity: Count
    """TreeConfig.total_mint_capacity, over all trees."""
    has_valid_tree: bool
    supports_das: bool
    slot: Slot
    trees: Annotated[tuple[CountedTree, ...], msgspec.Meta(max_length=MAX_TREES)] = ()
    """Each tree alone, the first one first; none in counts of before this was told."""


class CollectionUpdated(Fact, frozen=True, kw_only=True):
    """A caller set the flags of a created collection; each message holds all of them."""

    SUBJECT: ClassVar[str] = "collection.updated.v1.{collection}"

    collection: UUID
    is_public: bool
    allow_minting: bool


class CollectionSyncRequested(Fact, frozen=True, kw_only=True):
    """A caller wants the chain's own counts of a created collection now; the next `counted` answers."""

    SUBJECT: ClassVar[str] = "collection.sync_requested.v1.{collection}"

    collection: UUID
