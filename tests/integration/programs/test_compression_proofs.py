"""Which proofs the account compression stand-ins accept: fresh, stale, short, wrong, and proofs of a free place."""

from __future__ import annotations

import copy
import random

import pytest

from bubblegum.hashing import EMPTY_NODE
from tests.support.compression import (
    TREE_ERROR,
    Proof,
    free_place,
    grown,
    leaf,
    proof_of,
    replace,
    says,
)

# ---- proofs ---------------------------------------------------------------------------------------------------------


def test_a_stale_proof_works_until_the_buffer_has_forgotten_its_root() -> None:
    chain, plain = grown(4)
    old = proof_of(plain, 0)
    for change in range(chain.buffer_size - 1):
        replace(chain, plain, 1, leaf(100 + change))
    assert chain.verify(old).error is None
    # One change more, beside another leaf: the buffer no longer reaches back to the first change of leaf 1.
    for change in range(chain.buffer_size):
        replace(chain, plain, 2, leaf(200 + change))
    outcome = chain.replace(old, leaf(9))
    assert outcome.error == TREE_ERROR
    assert says(outcome, "Invalid root recomputed from proof")
    assert chain.verify(old).error == TREE_ERROR
    assert chain.replace(proof_of(plain, 0), leaf(9)).error is None


def test_a_proof_whose_leaf_changed_since_is_refused() -> None:
    chain, plain = grown(4)
    old = proof_of(plain, 0)
    replace(chain, plain, 0, leaf(50))
    outcome = chain.replace(old, leaf(51))
    assert outcome.error == TREE_ERROR
    assert says(outcome, "This tree's current leaf value does not match the supplied proof's leaf value")


def test_the_root_argument_is_no_check_when_the_proof_is_right() -> None:
    """As on the real program: the whole buffer is replayed, and the recomputed root decides."""
    chain, plain = grown(4)
    right = proof_of(plain, 2)
    outcome = chain.replace(Proof(bytes(range(32)), right.leaf, right.index, right.nodes), leaf(60))
    assert outcome.error is None


def test_a_made_up_leaf_is_not_proven_by_replaying_the_buffer() -> None:
    chain, plain = grown(8, (3, 8, 0))
    outcome = chain.replace(Proof(bytes(32), leaf(666), 0, (bytes(32),) * 3), leaf(667))
    assert outcome.error == TREE_ERROR
    assert chain.state().root == plain.root


@pytest.mark.parametrize(("index", "code"), [(32, 6008), (2**32 - 1, 6008), (9, TREE_ERROR)])
def test_an_index_outside_the_tree_is_refused(index: int, code: int) -> None:
    chain, plain = grown(8)
    proof = proof_of(plain, 7)
    outside = Proof(proof.root, proof.leaf, index, proof.nodes)
    assert chain.replace(outside, leaf(1)).error == code
    assert chain.verify(outside).error == code


def test_a_leaf_beyond_the_next_free_place_is_refused_even_when_proven_empty() -> None:
    chain, plain = grown(8)
    further = copy.deepcopy(plain)
    further.append(leaf(1))
    further.set_leaf(8, EMPTY_NODE)
    place = free_place(further)
    assert (place.root, place.index) == (plain.root, 9)
    outcome = chain.replace(place, leaf(90))
    assert outcome.error == TREE_ERROR
    assert says(outcome, "Received an index larger than the rightmost index")


def test_without_a_canopy_missing_nodes_are_empty_ones() -> None:
    chain, plain = grown(2, (14, 64, 0))
    full = proof_of(plain, 0)
    assert chain.replace(Proof(full.root, full.leaf, 0, full.nodes[:1]), leaf(70)).error is None
    assert chain.verify(Proof(full.root, full.leaf, 0, ())).error == TREE_ERROR


def test_a_canopy_stands_in_for_exactly_its_levels() -> None:
    chain, plain = grown(32, (5, 8, 3))
    for index in random.Random(1).sample(range(32), 8):
        full = proof_of(plain, index)
        for given in range(2, 6):
            assert chain.verify(Proof(full.root, full.leaf, index, full.nodes[:given])).error is None
        assert chain.verify(Proof(full.root, full.leaf, index, full.nodes[:1])).error == TREE_ERROR
    too_long = proof_of(plain, 0)
    assert chain.verify(Proof(too_long.root, too_long.leaf, 0, (*too_long.nodes, bytes(32)))).error == TREE_ERROR


def test_verifying_changes_nothing_and_finds_a_wrong_leaf() -> None:
    chain, plain = grown(5)
    before = chain.vm.data(chain.address)
    right = proof_of(plain, 3)
    assert chain.verify(right).error is None
    assert chain.verify(Proof(right.root, leaf(99), 3, right.nodes)).error == TREE_ERROR
    assert chain.vm.data(chain.address) == before


# ---- inserting ------------------------------------------------------------------------------------------------------


def test_a_leaf_is_inserted_where_the_proof_says_it_is_free() -> None:
    chain, plain = grown(3)
    assert chain.insert_or_append(free_place(plain), leaf(40)).error is None
    plain.append(leaf(40))
    replace(chain, plain, 1, EMPTY_NODE)
    assert chain.insert_or_append(proof_of(plain, 1), leaf(41)).error is None
    plain.set_leaf(1, leaf(41))
    assert (chain.state().root, chain.state().num_leaves) == (plain.root, 4)
    assert list(chain.state().rightmost_proof.proof) == plain.proof(3)


def test_a_leaf_is_appended_when_its_place_was_taken_since() -> None:
    chain, plain = grown(3)
    place = free_place(plain)
    assert chain.append(leaf(40)).error is None
    assert chain.insert_or_append(place, leaf(41)).error is None
    plain.append(leaf(40))
    plain.append(leaf(41))
    assert chain.state().root == plain.root


def test_an_insert_with_an_unknown_root_is_refused() -> None:
    chain, plain = grown(3)
    place = free_place(plain)
    outcome = chain.insert_or_append(Proof(leaf(5), place.leaf, place.index, place.nodes), leaf(40))
    assert outcome.error == TREE_ERROR
    assert says(outcome, "Root not found in changelog buffer")
