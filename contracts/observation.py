"""What the indexer saw on chain: every change of a collection's trees, and where the counts differ.

`observed` (indexer) is said of a tree in the order of its own sequence numbers, without holes: the messages on one
subject, one after another, are the tree's whole history at commitment `finalized`. `drift` (indexer) is said when the
comparison of log, tables, trees and DAS comes out differently from the last one.
"""

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

import msgspec

from contracts.fact import Address, Count, Fact, Hash32, Index, Signature, Slot

MAX_OBSERVED = 500
"""Most changes in one `observed`: about 300 kB."""
MAX_EXAMPLES = 10
"""Most examples of one difference."""


class LeafFate(StrEnum):
    """Where an asset is after a change of its leaf."""

    LIVING = "living"
    """In its tree."""
    BURNED = "burned"
    REDEEMED = "redeemed"
    """In a voucher, or decompressed into an ordinary NFT."""
    UNKNOWN = "unknown"
    """The leaf was changed by an instruction that this version cannot read."""


class ObservedLeaf(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one change made of a leaf. Owner, delegate and flags are None where the change does not tell them."""

    index: Index
    asset_id: Address
    leaf_hash: Hash32
    """What stands in the tree now."""
    fate: LeafFate
    signature: Signature
    slot: Slot
    owner: Address | None = None
    delegate: Address | None = None
    flags: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None
    """Of a V2 leaf: 1 frozen by the owner, 2 frozen by the permanent delegate, 4 not transferable. 0 for V1."""
    minted: bool = False
    """Whether this change is the mint."""
    collection_address: Address | None = None
    collection_changed: bool = False
    """Whether `collection_address` is news; None is then news too: out of any verified collection."""


class CollectionObserved(Fact, frozen=True, kw_only=True):
    """The changes `after + 1` to `after + len(leaves)` of one tree of the collection."""

    SUBJECT: ClassVar[str] = "collection.observed.v1.{collection}.{tree}"

    collection: UUID
    tree: Address
    after: Count
    """Number of the last change that was observed before these."""
    leaves: Annotated[tuple[ObservedLeaf, ...], msgspec.Meta(min_length=1, max_length=MAX_OBSERVED)]
    root: Hash32
    """The tree's root after the last of these changes, as account compression told."""
    signature: Signature | None = None
    """Every transaction of the tree up to this one has been read; None before there is such a one."""

    @property
    def sequence(self) -> int:
        """The number of the last of these changes."""
        return self.after + len(self.leaves)


class DriftKind(StrEnum):
    """How two of the counts can differ."""

    MINTED_ELSEWHERE = "minted_elsewhere"
    """On chain, and by no operation of this log."""
    BURNED = "burned"
    """Minted by this log and burned since."""
    REDEEMED = "redeemed"
    """Minted by this log and taken out of its tree since."""
    NOT_ON_CHAIN = "not_on_chain"
    """The log says confirmed, and the finalized chain has no such asset. An alarm: this must never be."""
    NOT_IN_TABLES = "not_in_tables"
    """The log says confirmed, and the tables do not show it. An alarm."""
    OBSERVATION_BEHIND = "observation_behind"
    """On chain, and not observed yet."""
    DAS_BEHIND = "das_behind"
    """In the tree, and DAS does not show it."""
    DAS_AHEAD = "das_ahead"
    """Shown by DAS, and not in the tree."""
    PROVIDERS_DIFFER = "providers_differ"
    """Two DAS providers show different assets."""
    PROOF_REFUSED = "proof_refused"
    """DAS gave a proof that does not lead to the root on chain."""
    ROOT_DIFFERS = "root_differs"
    """The tree recomputed from what was observed has another root than the chain. An alarm."""


class Difference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One explained difference; `examples` are asset ids, or what `explanation` says they are."""

    kind: DriftKind
    count: Annotated[int, msgspec.Meta(ge=1)]
    alarm: bool
    explanation: str
    examples: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_EXAMPLES)] = ()


class CollectionDrift(Fact, frozen=True, kw_only=True):
    """The counts of a collection at one slot and every difference between them; no differences: all agree again."""

    SUBJECT: ClassVar[str] = "collection.drift.v1.{collection}"

    collection: UUID
    slot: Slot
    log: Count
    """Leaves that the log says were confirmed."""
    projection: Count
    """Items that the tables show as minted."""
    chain: Count
    """TreeConfig.num_minted, over all trees."""
    observed: Count
    """Leaves whose mint was observed."""
    living: Count
    """Of these, those that are in their tree."""
    das: Count | None = None
    """Living assets that DAS shows in the trees; None: it was not asked, or did not answer."""
    differences: tuple[Difference, ...] = ()
