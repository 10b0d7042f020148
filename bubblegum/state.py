"""What became of each leaf, folded from changes that may come in any order, and come twice.

Used by the indexer and by whoever replays a tree's transactions. Everything that can change is kept with the sequence
number of the tree's change that said it, and the larger number wins; so folding is commutative, associative and
idempotent, and every order of the same transactions gives one state. Not done here: noticing that a change is missing
(`bubblegum.sequence`) and the tree's nodes (`bubblegum.merkle`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from solders.pubkey import Pubkey

from bubblegum import pda
from bubblegum.changes import Burned, Change, LeafChange, LeafUpdated, LeafWritten, Minted, Unknown
from bubblegum.leaf import ChangeLogEvent, LeafSchemaV2

T = TypeVar("T")

FROZEN_FLAGS = 0b011
"""Leaf flags that forbid transfers for now: frozen by the owner, frozen by the permanent delegate."""
NON_TRANSFERABLE_FLAG = 0b100
"""Leaf flag that forbids transfers for ever."""


class Fate(StrEnum):
    """Where the asset is."""

    LIVING = "living"
    """In its tree."""
    BURNED = "burned"
    REDEEMED = "redeemed"
    """In a voucher, or decompressed into an ordinary NFT."""
    UNKNOWN = "unknown"
    """Its leaf was last changed by an instruction that nobody here can read."""


@dataclass(frozen=True, slots=True)
class Said(Generic[T]):
    """A value and the change of the tree, by its sequence number, that said it."""

    seq: int
    value: T


@dataclass(frozen=True, slots=True)
class Holder:
    """Who may do what with the asset; `flags` as in the V2 leaf, 0 for V1."""

    owner: Pubkey
    delegate: Pubkey
    flags: int

    @property
    def frozen(self) -> bool:
        """Whether transfers are forbidden for now."""
        return bool(self.flags & FROZEN_FLAGS)

    @property
    def non_transferable(self) -> bool:
        """Whether transfers are forbidden for ever."""
        return bool(self.flags & NON_TRANSFERABLE_FLAG)


@dataclass(frozen=True, slots=True)
class Place:
    """A slot and the signature of the transaction in it."""

    slot: int
    signature: str


@dataclass(frozen=True, slots=True)
class LeafState:
    """One leaf of one tree. A field is None as long as nothing was seen that says it."""

    tree: Pubkey
    index: int
    leaf: Said[bytes]
    """The 32 bytes that stand in the tree."""
    fate: Said[Fate]
    changed: Said[Place]
    holder: Said[Holder] | None = None
    """The last that is known; that of a burned asset is its last owner's."""
    minted: Said[Place] | None = None
    collection: Said[Pubkey | None] | None = None

    @property
    def asset_id(self) -> Pubkey:
        """The asset's id. Bubblegum counts nonces as its trees count leaves, so the index is the nonce."""
        return pda.asset_id(self.tree, self.index)

    @property
    def seq(self) -> int:
        """The tree's sequence number at the leaf's last change."""
        return self.leaf.seq

    def merge(self, other: "LeafState") -> "LeafState":
        """What both say together; in any order, any number of times."""
        return LeafState(
            self.tree,
            self.index,
            _later(self.leaf, other.leaf),
            _later(self.fate, other.fate),
            _later(self.changed, other.changed),
            _newest(self.holder, other.holder),
            _newest(self.minted, other.minted),
            _newest(self.collection, other.collection),
        )


Leaves = Mapping[tuple[Pubkey, int], LeafState]
"""By tree and leaf index."""


def _later(one: Said[T], other: Said[T]) -> Said[T]:
    return one if one.seq >= other.seq else other


def _newest(one: Said[T] | None, other: Said[T] | None) -> Said[T] | None:
    if one is None or other is None:
        return other if one is None else one
    return _later(one, other)


def leaf_states(change: Change, place: Place) -> list[LeafState]:
    """What one change, made by the transaction at `place`, says of leaves; nothing for those that are of none."""
    if isinstance(change, LeafChange):
        return [_of_leaf(change, place)]
    if isinstance(change, Unknown):
        return [_of_change_log(change_log, place) for change_log in change.change_logs if change_log.seq > 0]
    return []


def _of_leaf(change: LeafChange, place: Place) -> LeafState:
    seq = change.change_log.seq
    fate, holder = Fate.LIVING, None
    if isinstance(change, LeafWritten):
        schema = change.leaf.schema
        flags = schema.flags if isinstance(schema, LeafSchemaV2) else 0
        holder = Said(seq, Holder(schema.owner, schema.delegate, flags))
    else:
        fate = Fate.BURNED if isinstance(change, Burned) else Fate.REDEEMED
    minted = Said(seq, place) if isinstance(change, Minted) else None
    collection: Said[Pubkey | None] | None = None
    if isinstance(change, Minted) or (isinstance(change, LeafUpdated) and change.collection_changed):
        collection = Said(seq, change.collection)
    return LeafState(
        change.tree,
        change.leaf_index,
        Said(seq, change.change_log.leaf),
        Said(seq, fate),
        Said(seq, place),
        holder,
        minted,
        collection,
    )


def _of_change_log(change_log: ChangeLogEvent, place: Place) -> LeafState:
    seq = change_log.seq
    return LeafState(
        change_log.tree,
        change_log.index,
        Said(seq, change_log.leaf),
        # An emptied leaf was burned or redeemed by something unreadable.
        Said(seq, Fate.UNKNOWN),
        Said(seq, place),
    )


def fold(states: Iterable[LeafState], into: Leaves | None = None) -> dict[tuple[Pubkey, int], LeafState]:
    """All leaves that the states speak of, merged with those of `into`, which is left as it is."""
    leaves = dict(into or {})
    for state in states:
        key = (state.tree, state.index)
        known = leaves.get(key)
        leaves[key] = state if known is None else known.merge(state)
    return leaves
