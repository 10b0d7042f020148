"""What a transaction did to compressed NFTs, one class per kind of change.

Produced by `bubblegum.decode`, used by the minter (what landed), the indexer and DAS (what there is). V1 and V2 are
told apart by `version` where it matters; everything else is normalised here once.
"""

from dataclasses import dataclass

from solders.pubkey import Pubkey

from bubblegum.instructions import BubblegumInstruction
from bubblegum.leaf import ChangeLogEvent, LeafSchemaEvent
from bubblegum.transaction import ExecutedInstruction
from bubblegum.types import MetadataArgs, MetadataArgsV2


@dataclass(frozen=True, slots=True)
class TreeCreated:
    """An empty tree; `version` is 1 or 2, `public`: anyone may mint into it."""

    tree: Pubkey
    tree_creator: Pubkey
    max_depth: int
    max_buffer_size: int
    public: bool
    version: int


@dataclass(frozen=True, slots=True)
class LeafWritten:
    """Common to the changes after which a leaf is there: Bubblegum's word on the leaf, compression's on the tree."""

    leaf: LeafSchemaEvent
    change_log: ChangeLogEvent

    @property
    def tree(self) -> Pubkey:
        """The tree that holds the leaf."""
        return self.change_log.tree

    @property
    def asset_id(self) -> Pubkey:
        """The asset that the leaf is of."""
        return self.leaf.schema.id

    @property
    def leaf_index(self) -> int:
        """The position of the leaf, counted from 0."""
        return self.change_log.index

    @property
    def nonce(self) -> int:
        """The number that the asset id is derived from."""
        return self.leaf.schema.nonce

    @property
    def owner(self) -> Pubkey:
        """Who owns the asset now."""
        return self.leaf.schema.owner

    @property
    def version(self) -> int:
        """1 or 2."""
        return self.leaf.version


@dataclass(frozen=True, slots=True)
class Minted(LeafWritten):
    """A new leaf. `metadata` is the instruction's, with the collection as verified as the program made it.

    `collection` is the token-metadata mint (V1) or the MPL-Core collection (V2) that the program verified; None when it
    verified none. `metadata_matches` says whether `metadata` hashes to the leaf's data and creator hashes: where it is
    False the leaf is true and the metadata is not proven.
    """

    metadata: MetadataArgs | MetadataArgsV2
    collection: Pubkey | None
    metadata_matches: bool


@dataclass(frozen=True, slots=True)
class Transferred(LeafWritten):
    """A leaf with a new owner."""

    previous_owner: Pubkey


@dataclass(frozen=True, slots=True)
class LeafUpdated(LeafWritten):
    """A leaf changed by any other instruction: delegated, frozen, verified, updated, taken back from its voucher.

    `collection` is the verified collection that the asset is in from now on, None for none of them; it holds only where
    `collection_changed` says that the instruction was about that.
    """

    instruction: BubblegumInstruction
    collection: Pubkey | None = None
    collection_changed: bool = False


@dataclass(frozen=True, slots=True)
class LeafEmptied:
    """Common to the changes that leave an empty leaf behind.

    No leaf event tells of it: the nonce is the instruction's, which the proof covered.
    """

    asset_id: Pubkey
    owner: Pubkey
    nonce: int
    version: int
    change_log: ChangeLogEvent

    @property
    def tree(self) -> Pubkey:
        """The tree that held the leaf."""
        return self.change_log.tree

    @property
    def leaf_index(self) -> int:
        """The position of the leaf, counted from 0."""
        return self.change_log.index


@dataclass(frozen=True, slots=True)
class Burned(LeafEmptied):
    """An asset that is no more."""


@dataclass(frozen=True, slots=True)
class Redeemed(LeafEmptied):
    """A V1 asset on its way out of the tree: a voucher holds it until it is decompressed or the redeeming cancelled."""


@dataclass(frozen=True, slots=True)
class Decompressed:
    """A redeemed V1 asset is now an ordinary NFT, whose mint is the asset's id. No tree changed."""

    asset_id: Pubkey
    owner: Pubkey


@dataclass(frozen=True, slots=True)
class Administered:
    """Something about a tree or the program that is no leaf: a delegate set, decompression allowed, fees collected."""

    instruction: BubblegumInstruction
    accounts: tuple[Pubkey, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """An instruction of Bubblegum or account compression that this package cannot tell the meaning of, and why.

    `change_logs` are what account compression said during it: a tree may have changed all the same.
    """

    instruction: ExecutedInstruction
    reason: str
    change_logs: tuple[ChangeLogEvent, ...]


LeafChange = Minted | Transferred | LeafUpdated | Burned | Redeemed
Change = TreeCreated | LeafChange | Decompressed | Administered | Unknown
