"""The rows of `assets` and `observed_trees` in memory, and what an observation does to them: pure.

Used by `rows` for every `collection.observed`. A row holds what a batch of messages says of it; what they do not say
(None) stays as it is stored. Observations of one tree follow each other without holes: one that was applied before
changes nothing, one that leaves a hole is refused.
"""

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from contracts.observation import LeafFate, ObservedLeaf
from services.indexer.changes import ObserveLeaves

_FROZEN: Final = 0b011
_NOT_TRANSFERABLE: Final = 0b100


class ObservationGap(Exception):
    """The observation does not follow the last one of its tree."""


@dataclass(slots=True)
class ObservedTree:
    """One row of `observed_trees`."""

    tree_address: str
    collection_id: UUID
    seq: int
    root: bytes
    slot: int


@dataclass(slots=True)
class Asset:
    """One row of `assets`. None in what a change need not tell means: as before."""

    asset_id: str
    tree_address: str
    leaf_index: int
    collection_id: UUID
    fate: LeafFate
    leaf_hash: bytes
    seq: int
    slot: int
    signature: str
    owner: str | None = None
    delegate: str | None = None
    frozen: bool | None = None
    transferable: bool | None = None
    minted_slot: int | None = None
    minted_signature: str | None = None
    collection_address: str | None = None
    collection_changed: bool = False


@dataclass(slots=True)
class Observed:
    """The observed trees that were loaded, and every asset that the batch speaks of."""

    trees: dict[str, ObservedTree] = field(default_factory=dict[str, ObservedTree])
    changed_trees: set[str] = field(default_factory=set[str])
    assets: dict[str, Asset] = field(default_factory=dict[str, Asset])

    def check(self, change: ObserveLeaves) -> None:
        """Raise ObservationGap when changes before these were never observed."""
        known = self.trees.get(change.tree)
        seq = known.seq if known else 0
        if change.after > seq:
            raise ObservationGap(f"tree {change.tree} was observed up to change {seq}, not up to {change.after}")

    def apply(self, change: ObserveLeaves) -> None:
        """Take in the changes that are new."""
        known = self.trees.get(change.tree)
        seen = known.seq if known else 0
        last = change.after + len(change.leaves)
        if last <= seen:
            return
        for seq, leaf in enumerate(change.leaves, change.after + 1):
            if seq > seen:
                self._take(change, seq, leaf)
        self.trees[change.tree] = ObservedTree(
            change.tree, change.collection, last, bytes.fromhex(change.root), change.leaves[-1].slot
        )
        self.changed_trees.add(change.tree)

    def _take(self, change: ObserveLeaves, seq: int, leaf: ObservedLeaf) -> None:
        row = Asset(
            asset_id=leaf.asset_id,
            tree_address=change.tree,
            leaf_index=leaf.index,
            collection_id=change.collection,
            fate=leaf.fate,
            leaf_hash=bytes.fromhex(leaf.leaf_hash),
            seq=seq,
            slot=leaf.slot,
            signature=leaf.signature,
            owner=leaf.owner,
            delegate=leaf.delegate,
            frozen=None if leaf.flags is None else bool(leaf.flags & _FROZEN),
            transferable=None if leaf.flags is None else not leaf.flags & _NOT_TRANSFERABLE,
            minted_slot=leaf.slot if leaf.minted else None,
            minted_signature=leaf.signature if leaf.minted else None,
            collection_address=leaf.collection_address,
            collection_changed=leaf.collection_changed,
        )
        before = self.assets.get(row.asset_id)
        self.assets[row.asset_id] = row if before is None else carried_over(before, row)


def carried_over(before: Asset, row: Asset) -> Asset:
    """`row` with what it does not tell taken from `before`, the same asset at an earlier change."""
    for name in ("owner", "delegate", "frozen", "transferable", "minted_slot", "minted_signature"):
        if getattr(row, name) is None:
            setattr(row, name, getattr(before, name))
    if not row.collection_changed:
        row.collection_address, row.collection_changed = before.collection_address, before.collection_changed
    return row
