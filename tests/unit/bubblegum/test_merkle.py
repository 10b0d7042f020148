"""The sparse tree against the definition of a merkle tree, and proofs that prove nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bubblegum.errors import DecodeError, MerkleError
from bubblegum.hashing import EMPTY_NODE, keccak
from bubblegum.merkle import (
    MAX_DEPTH,
    VALID_DEPTH_BUFFER_PAIRS,
    ConcurrentMerkleTree,
    MerkleTree,
    empty_node,
    is_valid_depth_buffer,
    tree_account_size,
    verify_proof,
)

nodes = st.binary(min_size=32, max_size=32)


def full_root(leaves: list[bytes], depth: int) -> bytes:
    """The root as the definition has it: every leaf position hashed, level by level."""
    row = leaves + [EMPTY_NODE] * (2**depth - len(leaves))
    while len(row) > 1:
        row = [keccak(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


@given(st.integers(1, 5), st.data())
def test_a_tree_is_what_its_definition_says(depth: int, data: st.DataObject) -> None:
    leaves = data.draw(st.lists(nodes, max_size=2**depth))
    tree = MerkleTree(depth)
    for leaf in leaves:
        tree.append(leaf)
    for index in data.draw(st.lists(st.integers(0, len(leaves) - 1), max_size=5)) if leaves else []:
        leaves[index] = data.draw(nodes | st.just(EMPTY_NODE))
        tree.set_leaf(index, leaves[index])
    assert len(tree) == len(leaves)
    assert list(tree.leaves()) == leaves
    assert tree.root == full_root(leaves, depth)
    for index, leaf in enumerate(leaves):
        assert tree.leaf(index) == leaf
        assert verify_proof(tree.root, leaf, tree.proof(index), index)


@given(st.lists(nodes, max_size=16), st.data())
def test_a_truncated_tree_is_as_if_never_grown(leaves: list[bytes], data: st.DataObject) -> None:
    count = data.draw(st.integers(0, len(leaves)))
    tree = MerkleTree(4)
    for leaf in leaves:
        tree.append(leaf)
    tree.truncate(count)
    assert list(tree.leaves()) == leaves[:count]
    assert tree.root == full_root(leaves[:count], 4)
    for leaf in leaves[count:]:
        tree.append(leaf)
    assert tree.root == full_root(leaves, 4)
    with pytest.raises(MerkleError, match="cannot keep"):
        tree.truncate(len(leaves) + 1)


@given(st.lists(nodes, min_size=2, max_size=16, unique=True), st.data())
def test_a_proof_proves_one_leaf_at_one_index(leaves: list[bytes], data: st.DataObject) -> None:
    tree = MerkleTree(4)
    for leaf in leaves:
        tree.append(leaf)
    index, other = data.draw(st.permutations(range(len(leaves))).map(lambda order: order[:2]))
    proof = tree.proof(index)
    assert not verify_proof(tree.root, leaves[other], proof, index)
    assert not verify_proof(tree.root, leaves[index], proof, other)
    assert not verify_proof(tree.root, leaves[index], proof, index + 16)
    assert not verify_proof(tree.root, leaves[index], proof, -1)
    assert not verify_proof(tree.root, leaves[index], proof[:-1], index)


def test_an_empty_tree_of_the_greatest_depth() -> None:
    tree = MerkleTree(MAX_DEPTH)
    assert tree.root == empty_node(MAX_DEPTH)
    assert tree.append(b"\x01" * 32) == 0
    assert tree.proof(0) == [empty_node(level) for level in range(MAX_DEPTH)]


def test_a_full_tree_takes_no_more() -> None:
    tree = MerkleTree(1)
    assert [tree.append(b"\x01" * 32), tree.append(b"\x02" * 32)] == [0, 1]
    with pytest.raises(MerkleError, match="full"):
        tree.append(b"\x03" * 32)


def test_a_tree_is_asked_only_for_what_it_has() -> None:
    tree = MerkleTree(3)
    for ask in (lambda: tree.leaf(0), lambda: tree.proof(0), lambda: tree.set_leaf(0, EMPTY_NODE)):
        with pytest.raises(MerkleError, match="no leaf"):
            ask()
    with pytest.raises(MerkleError, match="bytes"):
        tree.append(b"short")
    for depth in (0, MAX_DEPTH + 1):
        with pytest.raises(MerkleError, match="depth"):
            MerkleTree(depth)


def test_pairs_that_no_program_was_built_for() -> None:
    assert all(is_valid_depth_buffer(*pair) for pair in VALID_DEPTH_BUFFER_PAIRS)
    assert not any(is_valid_depth_buffer(*pair) for pair in [(4, 8), (14, 65), (30, 64), (0, 0)])


def test_an_account_that_is_no_tree() -> None:
    size = tree_account_size(3, 8)
    good_start = bytes([1, 0]) + (8).to_bytes(4, "little") + (3).to_bytes(4, "little")
    assert ConcurrentMerkleTree.parse(good_start.ljust(size, b"\0")).canopy == ()
    for data in (
        b"",
        bytes(size),
        good_start.ljust(size - 1, b"\0"),
        good_start.ljust(size + 32, b"\0"),
        bytes([1, 0]) + b"\xff" * (size - 2),
        good_start.ljust(64, b"\0") + b"\x08".ljust(size - 64, b"\0"),
    ):
        with pytest.raises(DecodeError):
            ConcurrentMerkleTree.parse(data)
