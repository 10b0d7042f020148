"""Copies of the on-chain trees, kept in step change by change.

Used by the index. After every change the copy's root is compared with the root that account compression told; a copy
that is out of step says so for ever after, because a wrong proof is worse than none.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from solders.pubkey import Pubkey

from bubblegum.leaf import ChangeLogEvent
from bubblegum.merkle import MerkleTree

Undo: TypeAlias = Callable[[], object]


@dataclass(slots=True)
class IndexedTree:
    """One tree; `seq` is that of the last change taken, `out_of_step` why the copy cannot be trusted."""

    tree: MerkleTree
    seq: int = 0
    out_of_step: str | None = field(default=None)

    def take(self, change: ChangeLogEvent) -> Undo | None:
        """Apply a change and return how to undo it; None when it was applied before."""
        if change.seq <= self.seq:
            return None
        before = (self.seq, self.out_of_step)
        if change.seq != self.seq + 1 and self.out_of_step is None:
            self.out_of_step = f"change {change.seq} came after {self.seq}"
        restore = self._write(change)
        self.seq = change.seq
        if self.out_of_step is None and self.tree.root != change.root:
            self.out_of_step = f"the root after change {change.seq} is not the chain's"

        def undo() -> None:
            restore()
            self.seq, self.out_of_step = before

        return undo

    def _write(self, change: ChangeLogEvent) -> Undo:
        count = len(self.tree)
        if change.index == count < self.tree.capacity:
            self.tree.append(change.leaf)
            return lambda: self.tree.truncate(count)
        if change.index < count:
            old = self.tree.leaf(change.index)
            self.tree.set_leaf(change.index, change.leaf)
            return lambda: self.tree.set_leaf(change.index, old)
        self.out_of_step = f"leaf {change.index} was written where the next is {count}"
        return lambda: None


class Forest:
    """All trees by address."""

    def __init__(self) -> None:
        self._trees: dict[Pubkey, IndexedTree] = {}

    def get(self, address: Pubkey) -> IndexedTree | None:
        """The tree at this address."""
        return self._trees.get(address)

    def plant(self, address: Pubkey, depth: int) -> Undo | None:
        """Start with an empty tree; None when there is one already."""
        if address in self._trees:
            return None
        self._trees[address] = IndexedTree(MerkleTree(depth))
        return lambda: self._trees.pop(address)

    def take(self, change: ChangeLogEvent) -> Undo | None:
        """Apply a change to its tree; None when it was applied before, or the tree's making was never seen."""
        tree = self._trees.get(change.tree)
        return None if tree is None else tree.take(change)
