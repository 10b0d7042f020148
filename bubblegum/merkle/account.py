"""The on-chain account of a concurrent merkle tree, read.

Used by whoever checks something against the chain itself: proofs, counts, drift. Account compression keeps no leaves:
it keeps the last `max_buffer_size` changes, the right-most path and, if the account is larger, a canopy of upper nodes.
Layout: the program's public interface, the same for both compression programs.
"""

from dataclasses import dataclass
from typing import Final

from solders.pubkey import Pubkey

from bubblegum.borsh import Reader
from bubblegum.errors import DecodeError
from bubblegum.hashing import HASH_BYTES
from bubblegum.merkle.geometry import canopy_bytes, is_valid_depth_buffer

_CONCURRENT_MERKLE_TREE: Final = 1
_HEADER_V1: Final = 0


@dataclass(frozen=True, slots=True)
class ChangeLog:
    """One change: the root after it, the new nodes from the leaf to below the root, and the leaf's index."""

    root: bytes
    path: tuple[bytes, ...]
    index: int


@dataclass(frozen=True, slots=True)
class RightmostProof:
    """The last appended leaf with its siblings; `index` is the index that the next leaf will have."""

    proof: tuple[bytes, ...]
    leaf: bytes
    index: int


@dataclass(frozen=True, slots=True)
class ConcurrentMerkleTree:
    """A tree account. `change_logs` is the ring buffer as it lies in the account; `buffer_size` entries are in use."""

    max_depth: int
    max_buffer_size: int
    authority: Pubkey
    creation_slot: int
    is_batch_initialized: bool
    sequence_number: int
    active_index: int
    buffer_size: int
    change_logs: tuple[ChangeLog, ...]
    rightmost_proof: RightmostProof
    canopy: tuple[bytes, ...]

    @classmethod
    def parse(cls, data: bytes) -> "ConcurrentMerkleTree":
        """Read the account's data; DecodeError when it is not an initialised tree of a supported shape."""
        source = Reader(data)
        if (source.u8(), source.u8()) != (_CONCURRENT_MERKLE_TREE, _HEADER_V1):
            raise DecodeError("not an initialised concurrent merkle tree")
        max_buffer_size, max_depth = source.u32(), source.u32()
        if not is_valid_depth_buffer(max_depth, max_buffer_size):
            raise DecodeError(f"no tree has depth {max_depth} and buffer size {max_buffer_size}")
        authority, creation_slot, batch = source.pubkey(), source.u64(), source.boolean()
        source.raw(5)
        sequence, active, in_use = source.u64(), source.u64(), source.u64()
        if active >= max_buffer_size or in_use > max_buffer_size:
            raise DecodeError(f"active index {active} of a buffer of {max_buffer_size}")
        return cls(
            max_depth,
            max_buffer_size,
            authority,
            creation_slot,
            batch,
            sequence,
            active,
            in_use,
            tuple(_read_change_log(source, max_depth) for _ in range(max_buffer_size)),
            _read_rightmost(source, max_depth),
            _read_canopy(source, max_depth),
        )

    @property
    def root(self) -> bytes:
        """The current root, 32 bytes."""
        return self.change_logs[self.active_index].root

    @property
    def capacity(self) -> int:
        """Leaves that the tree can hold."""
        return 1 << self.max_depth

    @property
    def num_leaves(self) -> int:
        """Leaves appended so far, burned ones included."""
        return self.rightmost_proof.index

    @property
    def canopy_depth(self) -> int:
        """Levels below the root whose nodes are in the account; proofs may be shorter by so many nodes."""
        return (len(self.canopy) + 2).bit_length() - 2

    def root_at(self, sequence: int) -> bytes | None:
        """The root after the change of this number; None when the buffer no longer or not yet holds it."""
        age = self.sequence_number - sequence
        if not 0 <= age < self.buffer_size:
            return None
        return self.change_logs[(self.active_index - age) % self.max_buffer_size].root

    def recent_roots(self) -> tuple[bytes, ...]:
        """The roots that the tree still accepts proofs for, newest first."""
        return tuple(
            self.change_logs[(self.active_index - age) % self.max_buffer_size].root for age in range(self.buffer_size)
        )


def _nodes(source: Reader, count: int) -> tuple[bytes, ...]:
    return tuple(source.raw(HASH_BYTES) for _ in range(count))


def _read_change_log(source: Reader, max_depth: int) -> ChangeLog:
    log = ChangeLog(source.raw(HASH_BYTES), _nodes(source, max_depth), source.u32())
    source.u32()
    return log


def _read_rightmost(source: Reader, max_depth: int) -> RightmostProof:
    proof = RightmostProof(_nodes(source, max_depth), source.raw(HASH_BYTES), source.u32())
    source.u32()
    return proof


def _read_canopy(source: Reader, max_depth: int) -> tuple[bytes, ...]:
    size = source.remaining
    if size not in (canopy_bytes(depth) for depth in range(max_depth + 1)):
        raise DecodeError(f"{size} bytes after the tree are no canopy")
    return _nodes(source, size // HASH_BYTES)
