"""A merkle tree in memory that holds only what is not empty.

Used by DAS to answer proofs and by the tests as the plain truth that the concurrent tree is held against. Cost: at most
64 bytes a leaf and one root path; a tree of depth 30 with ten leaves is small.
"""

from collections.abc import Iterator

from bubblegum.errors import MerkleError
from bubblegum.hashing import HASH_BYTES, keccak
from bubblegum.merkle.geometry import MAX_DEPTH, empty_node


class MerkleTree:
    """A tree of `depth` levels below the root; leaves are appended left to right and may be replaced."""

    def __init__(self, depth: int) -> None:
        """Raise MerkleError when the depth is not between 1 and MAX_DEPTH."""
        if not 1 <= depth <= MAX_DEPTH:
            raise MerkleError(f"depth {depth} is not between 1 and {MAX_DEPTH}")
        self.depth = depth
        # One row of 32-byte nodes per level, leaves first: whatever lies right of a row's end is an empty subtree.
        self._rows = [bytearray() for _ in range(depth + 1)]

    def __len__(self) -> int:
        """Leaves appended so far, emptied ones included."""
        return len(self._rows[0]) // HASH_BYTES

    @property
    def capacity(self) -> int:
        """Leaves that the tree can hold."""
        return 1 << self.depth

    @property
    def root(self) -> bytes:
        """The root, 32 bytes."""
        return self._node(self.depth, 0)

    def append(self, leaf: bytes) -> int:
        """Put `leaf` right of all others and return its index; MerkleError when the tree is full."""
        index = len(self)
        if index >= self.capacity:
            raise MerkleError(f"the tree holds {self.capacity} leaves and is full")
        self._write(index, leaf)
        return index

    def set_leaf(self, index: int, leaf: bytes) -> None:
        """Replace the leaf at `index`; MerkleError when none was appended there."""
        self._check(index)
        self._write(index, leaf)

    def truncate(self, count: int) -> None:
        """Take away all leaves but the first `count`; MerkleError when there are fewer."""
        if not 0 <= count <= len(self):
            raise MerkleError(f"cannot keep {count} leaves of {len(self)}")
        for level, row in enumerate(self._rows):
            del row[(count + (1 << level) - 1 >> level) * HASH_BYTES :]
        if count:
            # The nodes above the last leaf still cover leaves that are gone.
            self._write(count - 1, self._node(0, count - 1))

    def leaf(self, index: int) -> bytes:
        """The leaf at `index`; MerkleError when none was appended there."""
        self._check(index)
        return self._node(0, index)

    def leaves(self) -> Iterator[bytes]:
        """All leaves appended so far, in order."""
        return (self._node(0, index) for index in range(len(self)))

    def proof(self, index: int) -> list[bytes]:
        """The `depth` siblings of `index` from the leaf upwards; MerkleError when no leaf was appended there."""
        self._check(index)
        return [self._node(level, (index >> level) ^ 1) for level in range(self.depth)]

    def _check(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise MerkleError(f"no leaf at {index}, the tree has {len(self)}")

    def _node(self, level: int, index: int) -> bytes:
        start = index * HASH_BYTES
        row = self._rows[level]
        return bytes(row[start : start + HASH_BYTES]) if start < len(row) else empty_node(level)

    def _write(self, index: int, leaf: bytes) -> None:
        if len(leaf) != HASH_BYTES:
            raise MerkleError(f"a leaf of {len(leaf)} bytes")
        self._put(0, index, leaf)
        for level in range(self.depth):
            index >>= 1
            self._put(
                level + 1,
                index,
                keccak(self._node(level, 2 * index), self._node(level, 2 * index + 1)),
            )

    def _put(self, level: int, index: int, node: bytes) -> None:
        start = index * HASH_BYTES
        self._rows[level][start : start + HASH_BYTES] = node
