"""Sizes, empty nodes and the check of a proof: what is the same for every tree.

Used by the other modules of this package and re-exported from `bubblegum.merkle`. Sizes and pairs are those of account
compression's public interface (its client's `getMerkleTreeSize` and `ALL_DEPTH_SIZE_PAIRS`).
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from bubblegum.hashing import EMPTY_NODE, HASH_BYTES, keccak

MAX_DEPTH: Final = 30

HEADER_BYTES: Final = 56
COUNTERS_BYTES: Final = 24

_BUFFERS_OF_DEPTH: Final[dict[int, tuple[int, ...]]] = {
    3: (8,),
    5: (8,),
    **dict.fromkeys(range(6, 10), (16,)),
    **dict.fromkeys(range(10, 14), (32,)),
    14: (64, 256, 1024, 2048),
    **dict.fromkeys(range(15, 20), (64,)),
    20: (64, 256, 1024, 2048),
    24: (64, 256, 512, 1024, 2048),
    26: (512, 1024, 2048),
    30: (512, 1024, 2048),
}
VALID_DEPTH_BUFFER_PAIRS: Final = tuple((depth, size) for depth, sizes in _BUFFERS_OF_DEPTH.items() for size in sizes)
"""(max depth, max buffer size) of the trees that account compression was compiled for; it refuses all others."""


def is_valid_depth_buffer(max_depth: int, max_buffer_size: int) -> bool:
    """Whether account compression accepts a tree of this shape."""
    return max_buffer_size in _BUFFERS_OF_DEPTH.get(max_depth, ())


def path_bytes(max_depth: int) -> int:
    """Bytes of a changelog entry, and equally of the right-most proof: a path, one more node, an index, padding."""
    return HASH_BYTES * (max_depth + 1) + 8


def canopy_bytes(canopy_depth: int) -> int:
    """Bytes of a canopy: the tree's upper levels without the root."""
    return HASH_BYTES * ((1 << (canopy_depth + 1)) - 2)


def tree_account_size(max_depth: int, max_buffer_size: int, canopy_depth: int = 0) -> int:
    """Bytes of the account that holds a tree of this shape."""
    entries = max_buffer_size + 1
    return HEADER_BYTES + COUNTERS_BYTES + entries * path_bytes(max_depth) + canopy_bytes(canopy_depth)


@lru_cache(maxsize=MAX_DEPTH + 1)
def empty_node(level: int) -> bytes:
    """Root of an empty subtree of `level` levels; level 0 is the empty leaf."""
    if level == 0:
        return EMPTY_NODE
    below = empty_node(level - 1)
    return keccak(below, below)


def root_from_proof(leaf: bytes, proof: Iterable[bytes], index: int) -> bytes:
    """The root that `leaf` at `index` has under `proof` (siblings from the leaf upwards)."""
    node = leaf
    for level, sibling in enumerate(proof):
        node = keccak(sibling, node) if index >> level & 1 else keccak(node, sibling)
    return node


def verify_proof(root: bytes, leaf: bytes, proof: Iterable[bytes], index: int) -> bool:
    """Whether `leaf` stands at `index` in the tree with this root; `proof` holds the siblings from the leaf upwards.

    False too when the index does not fit into a tree as deep as the proof.
    """
    siblings = list(proof)
    return 0 <= index < 1 << len(siblings) and root_from_proof(leaf, siblings, index) == root
