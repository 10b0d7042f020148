"""Every order of a tree's changes gives one state; holes in the order are named; the streamed root is the tree's."""

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bubblegum import hashing
from bubblegum.decode import decode
from bubblegum.errors import DecodeError, MerkleError
from bubblegum.instructions import BubblegumInstruction
from bubblegum.leaf import LeafSchemaV2
from bubblegum.merkle import MerkleTree, RootBuilder
from bubblegum.sequence import MAX_WAITING, Sequencer
from bubblegum.state import Fate, Holder, LeafState, Place, fold, leaf_states
from bubblegum.transaction import ExecutedInstruction
from tests.support.leaves import ModelTree, key, metadata_v1, metadata_v2, transaction

TREE, OWNER, BUYER, COLLECTION = key(2), key(3), key(6), key(4)


def _said(*ran: ExecutedInstruction) -> list[LeafState]:
    states: list[LeafState] = []
    for slot, instruction in enumerate(ran, 10):
        tx = transaction(instruction, slot=slot)
        states += [state for change in decode(tx) for state in leaf_states(change, Place(tx.slot, tx.signature))]
    return states


def _life(version: int) -> tuple[ModelTree, list[LeafState]]:
    model = ModelTree(TREE, version)
    metadata = metadata_v1() if version == 1 else metadata_v2()
    ran = [model.create(), *(model.mint(OWNER, metadata) for _ in range(4))]
    ran += [model.transfer(1, BUYER), model.burn(2), model.transfer(1, OWNER), model.transfer(3, BUYER)]
    if version == 1:
        schema = model.leaves[0]
        ran += [model.redeem(0), model.other(BubblegumInstruction.CANCEL_REDEEM, *model.rewrite(0, schema))]
    else:
        schema = model.leaves[0]
        assert isinstance(schema, LeafSchemaV2)
        frozen = replace(schema, delegate=BUYER, flags=1)
        ran.append(model.other(BubblegumInstruction.DELEGATE_AND_FREEZE_V2, *model.rewrite(0, frozen)))
    ran.append(replace(model.other(BubblegumInstruction.FREEZE_V2, *model.rewrite(3, model.leaves[3])), data=bytes(8)))
    return model, _said(*ran)


@pytest.mark.parametrize("version", [1, 2])
@given(data=st.data())
def test_every_order_gives_one_state(version: int, data: st.DataObject) -> None:
    model, states = _life(version)
    expected = fold(states)
    mixed = data.draw(st.permutations(states + states[::2]))
    cut = data.draw(st.integers(0, len(mixed)))
    assert fold(mixed[cut:], fold(mixed[:cut])) == expected
    assert {index: expected[TREE, index].leaf.value for index in range(4)} == dict(enumerate(model.tree.leaves()))


@pytest.mark.parametrize("version", [1, 2])
def test_what_became_of_each_leaf(version: int) -> None:
    model, states = _life(version)
    leaves = fold(states)
    first, moved, burned, unread = (leaves[TREE, index] for index in range(4))
    assert first.holder is not None
    assert (first.fate.value, first.holder.value.owner) == (Fate.LIVING, OWNER)
    assert first.holder.value.frozen == (version == 2)
    assert not first.holder.value.non_transferable
    assert first.asset_id == model.leaves[0].id
    assert moved.holder is not None
    assert (moved.holder.value.owner, moved.seq) == (OWNER, 7)
    assert moved.minted is not None
    assert (moved.minted.seq, moved.minted.value.slot) == (2, 12)
    assert burned.fate.value is Fate.BURNED
    assert burned.leaf.value == hashing.EMPTY_NODE
    assert unread.fate.value is Fate.UNKNOWN
    assert unread.holder is not None
    assert unread.holder.value.owner == BUYER  # the last that is known


@pytest.mark.parametrize("flags", range(8))
def test_what_the_flags_of_a_leaf_forbid(flags: int) -> None:
    """Flags as Bubblegum V2 documents them: 1 frozen by the owner, 2 by the permanent delegate, 4 not transferable."""
    holder = Holder(OWNER, OWNER, flags)
    assert (holder.frozen, holder.non_transferable) == (bool(flags & 3), bool(flags & 4))


def test_a_tree_that_was_made_by_something_unreadable_has_no_leaf() -> None:
    assert _said(replace(ModelTree(TREE).create(), data=bytes(8))) == []


def test_a_collection_that_is_set_and_taken_away() -> None:
    model = ModelTree(TREE)
    minted = model.mint(OWNER, metadata_v1(), COLLECTION)
    changed = model.other(BubblegumInstruction.UNVERIFY_COLLECTION, *model.rewrite(0, model.leaves[0]))
    before, after = _said(minted), _said(minted, changed)
    known, gone = fold(before)[TREE, 0].collection, fold(reversed(after))[TREE, 0].collection
    assert known is not None
    assert known.value == COLLECTION
    assert gone is not None
    assert gone.value is None


@given(st.integers(1, 60), st.integers(0, 5), st.randoms(use_true_random=False))
def test_a_sequence_without_holes(length: int, start: int, shuffle: random.Random) -> None:
    numbers = list(range(start + 1, start + 1 + length)) * 2
    shuffle.shuffle(numbers)
    sequencer, seen = Sequencer[int](start), list[int]()
    for number in numbers:
        sequencer.put(number, number)
        seen += [value for _, value in sequencer.ready()]
    assert seen == list(range(start + 1, start + 1 + length))
    assert sequencer.missing() == []


def test_holes_are_named() -> None:
    sequencer = Sequencer[str](0)
    for number in (1, 4, 5, 9):
        sequencer.put(number, "x")
    assert [seq for seq, _ in sequencer.ready()] == [1]
    assert sequencer.missing() == [range(2, 4), range(6, 9)]


def test_what_waits_is_bounded() -> None:
    sequencer = Sequencer[None](0)
    for number in range(MAX_WAITING):
        sequencer.put(number + 2, None)
    with pytest.raises(DecodeError, match="change 1 does not come"):
        sequencer.put(MAX_WAITING + 2, None)


@given(st.integers(1, 6), st.data())
def test_the_streamed_root(depth: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 1 << depth))
    leaves = [data.draw(st.binary(min_size=32, max_size=32)) for _ in range(count)]
    tree, builder = MerkleTree(depth), RootBuilder(depth)
    for leaf in leaves:
        tree.append(leaf)
    builder.extend(leaves)
    assert (builder.root(), len(builder)) == (tree.root, count)


def test_too_many_leaves_for_a_streamed_root() -> None:
    builder = RootBuilder(1)
    with pytest.raises(MerkleError, match="more leaves"):
        builder.extend([bytes(32)] * 3)
