"""The account compression stand-ins, held against a plain Merkle tree through long random histories."""

from __future__ import annotations

import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bubblegum.hashing import EMPTY_NODE
from bubblegum.merkle import ConcurrentMerkleTree, MerkleTree
from bubblegum.merkle.geometry import root_from_proof
from tests.support.compression import MPL, SPL, Family, Proof, TreeAccount
from tests.support.vm import Outcome

TREE_ERROR = 6001
STEPS = 60


def proof_of(tree: MerkleTree, index: int, shorter_by: int = 0) -> Proof:
    nodes = tree.proof(index)
    return Proof(tree.root, tree.leaf(index), index, tuple(nodes[: len(nodes) - shorter_by]))


def assert_equal(state: ConcurrentMerkleTree, plain: MerkleTree) -> None:
    """Root, rightmost path and canopy are what the plain tree says."""
    count = len(plain)
    assert state.root == plain.root
    assert state.num_leaves == count
    if count:
        assert state.rightmost_proof.leaf == plain.leaf(count - 1)
        assert list(state.rightmost_proof.proof) == plain.proof(count - 1)
    for node, cached in enumerate(state.canopy, start=2):
        level = plain.depth - (node.bit_length() - 1)
        index = node - (1 << (node.bit_length() - 1))
        written = (index << level) < count
        assert cached == (subtree(plain, level, index) if written else bytes(32)), f"canopy node {node}"


def subtree(plain: MerkleTree, level: int, index: int) -> bytes:
    """The node of the plain tree at `index` of `level`, climbed to from its leftmost leaf."""
    leaf_index = index << level
    return root_from_proof(plain.leaf(leaf_index), plain.proof(leaf_index)[:level], leaf_index)


class History:
    """A tree on chain and its plain twin, changed together. Old proofs are kept to be used late."""

    def __init__(self, family: Family, shape: tuple[int, int, int], seed: int) -> None:
        self.random = random.Random(seed)
        self.chain = TreeAccount(family, family.vm(), shape)
        self.plain = MerkleTree(shape[0])
        self.canopy = shape[2]
        self.sequence = 0
        self.kept: deque[tuple[int, Proof]] = deque(maxlen=3 * shape[1])
        outcome = self.chain.initialize()
        assert outcome.error is None, outcome.logs

    def leaf(self) -> bytes:
        return self.random.randbytes(32)

    def landed(self, index: int, outcome: Outcome) -> None:
        assert outcome.error is None, outcome.logs
        self.sequence += 1
        for known in self.random.sample(range(len(self.plain)), k=min(2, len(self.plain))):
            self.kept.append((self.sequence, proof_of(self.plain, known, self.canopy)))

    def append(self) -> None:
        leaf = self.leaf()
        outcome = self.chain.append(leaf)
        if len(self.plain) == self.plain.capacity:
            assert outcome.error == TREE_ERROR
            assert any("Tree is full, cannot append" in line for line in outcome.logs)
            return
        self.landed(self.plain.append(leaf), outcome)

    def replace_fresh(self) -> None:
        if not len(self.plain):
            return
        index = self.random.randrange(len(self.plain))
        self.apply_replace(proof_of(self.plain, index, self.random.randint(0, self.canopy)))

    def apply_replace(self, proof: Proof) -> None:
        leaf = self.leaf() if self.random.random() < 0.8 else EMPTY_NODE
        outcome = self.chain.replace(proof, leaf)
        if outcome.error is None:
            self.plain.set_leaf(proof.index, leaf)
        self.landed(proof.index, outcome)

    def replace_stale(self) -> None:
        """An old proof works as long as the buffer reaches back to it and its leaf was not touched since."""
        if not self.kept:
            return
        known_at, proof = self.random.choice(self.kept)
        behind = self.sequence - known_at
        if behind >= self.chain.buffer_size:
            self.replace_too_old(proof)
        elif self.plain.leaf(proof.index) != proof.leaf:
            outcome = self.chain.replace(proof, self.leaf())
            assert outcome.error == TREE_ERROR
            assert any("leaf value does not match" in line for line in outcome.logs)
        else:
            self.apply_replace(proof)

    def replace_too_old(self, proof: Proof) -> None:
        """Beyond the buffer the outcome follows from the proof's nodes alone: no remembered change repairs them all."""
        leaf = self.leaf()
        outcome = self.chain.replace(proof, leaf)
        if outcome.error is None:
            assert self.plain.leaf(proof.index) == proof.leaf, "a changed leaf was replaced by an old proof"
            self.plain.set_leaf(proof.index, leaf)
            self.landed(proof.index, outcome)
        else:
            assert outcome.error == TREE_ERROR

    def step(self) -> None:
        self.random.choice((self.append, self.append, self.replace_fresh, self.replace_stale, self.replace_stale))()
        state = self.chain.state()
        assert_equal(state, self.plain)
        assert state.sequence_number == self.sequence
        assert state.active_index == self.sequence % self.chain.buffer_size
        assert state.buffer_size == min(self.sequence + 1, self.chain.buffer_size)


@pytest.mark.parametrize("family", [SPL, MPL], ids=lambda family: family.name)
@pytest.mark.parametrize(
    "shape", [(3, 8, 0), (3, 8, 2), (5, 8, 0), (5, 8, 5), (14, 64, 0), (14, 64, 8), (20, 64, 10)], ids=str
)
def test_a_random_history_leaves_what_a_plain_tree_says(family: Family, shape: tuple[int, int, int]) -> None:
    history = History(family, shape, seed=sum(shape))
    for _ in range(STEPS):
        history.step()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), canopy=st.integers(0, 5))
def test_any_history_of_a_small_tree_leaves_what_a_plain_tree_says(seed: int, canopy: int) -> None:
    history = History(SPL, (5, 8, canopy), seed)
    for _ in range(STEPS // 2):
        history.step()
