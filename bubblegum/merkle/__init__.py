"""The trees that compressed NFTs live in: their sizes, a tree of our own, and the on-chain account.

Used by the instruction encoders (account sizes), by DAS (proofs), and by whoever checks that a proof leads to the root
that is on chain. Nodes are 32 bytes; a parent is the Keccak-256 of its children, left first.
"""

from bubblegum.merkle.account import ChangeLog, ConcurrentMerkleTree
from bubblegum.merkle.config import TreeConfig
from bubblegum.merkle.geometry import (
    MAX_DEPTH,
    VALID_DEPTH_BUFFER_PAIRS,
    empty_node,
    is_valid_depth_buffer,
    tree_account_size,
    verify_proof,
)
from bubblegum.merkle.streaming import RootBuilder
from bubblegum.merkle.tree import MerkleTree

__all__ = [
    "MAX_DEPTH",
    "VALID_DEPTH_BUFFER_PAIRS",
    "ChangeLog",
    "ConcurrentMerkleTree",
    "MerkleTree",
    "RootBuilder",
    "TreeConfig",
    "empty_node",
    "is_valid_depth_buffer",
    "tree_account_size",
    "verify_proof",
]
