"""The root of a tree from its leaves, read once from left to right, with one node a level in memory.

Used where a whole tree is checked: a tree of a million leaves costs a million hashes and a kilobyte.
"""

from collections.abc import Iterable

from bubblegum.errors import MerkleError
from bubblegum.hashing import keccak
from bubblegum.merkle.geometry import empty_node


class RootBuilder:
    """Takes the leaves of a tree of `depth` levels below the root, the first one first."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        # By level: the left sibling that waits for its right one.
        self._waiting: list[bytes | None] = [None] * (depth + 1)
        self._count = 0

    def __len__(self) -> int:
        """Leaves taken so far."""
        return self._count

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Take the next leaves, 32 bytes each. Raises MerkleError when there are more than the tree can hold."""
        for leaf in leaves:
            if self._count >= 1 << self._depth:
                raise MerkleError(f"more leaves than a tree of depth {self._depth} holds")
            self._count += 1
            node, level = leaf, 0
            while (left := self._waiting[level]) is not None:
                self._waiting[level] = None
                node, level = keccak(left, node), level + 1
            self._waiting[level] = node

    def root(self) -> bytes:
        """The root, 32 bytes, everything right of the last leaf being empty."""
        node = empty_node(0)
        empty = True
        for level in range(self._depth):
            left = self._waiting[level]
            if left is not None:
                node, empty = keccak(left, empty_node(level) if empty else node), False
            elif empty:
                node = empty_node(level + 1)
            else:
                node = keccak(node, empty_node(level))
        full = self._waiting[self._depth]
        return node if full is None else full
