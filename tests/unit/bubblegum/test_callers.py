"""Without stack heights the same tree of calls is found, and nothing more is believed."""

from dataclasses import replace

import pytest

from bubblegum.callers import infer_heights
from bubblegum.decode import Minted, Unknown, decode
from bubblegum.programs import BUBBLEGUM
from bubblegum.transaction import ExecutedInstruction
from tests.support.leaves import ModelTree, key, metadata_v1, metadata_v2, transaction, without_heights

TREE, OWNER, COLLECTION = key(2), key(3), key(4)


def _by_shop(*inner: ExecutedInstruction) -> ExecutedInstruction:
    return ExecutedInstruction(key(50), (), b"buy", inner)


@pytest.mark.parametrize("version", [1, 2])
def test_the_calls_of_bubblegum_are_found(version: int) -> None:
    model = ModelTree(TREE, version)
    metadata = metadata_v1(collection=COLLECTION) if version == 1 else metadata_v2(collection=COLLECTION)
    created, minted = model.create(), model.mint(OWNER, metadata, COLLECTION)
    moved, burned = model.transfer(0, key(7)), model.burn(0)
    for top in (created, minted, moved, burned, _by_shop(minted, moved)):
        assert decode(transaction(without_heights(top))) == decode(transaction(top))


def test_a_call_is_over_when_its_tree_has_spoken() -> None:
    minted = ModelTree(TREE).mint(OWNER, metadata_v1())
    memo = ExecutedInstruction(key(60), (), b"thanks")
    assert without_heights(_by_shop(minted, memo)) == _by_shop(minted, memo)


def test_a_forged_leaf_beside_the_call_is_not_believed() -> None:
    model, other = ModelTree(TREE), ModelTree(key(70))
    minted, elsewhere = model.mint(OWNER, metadata_v1()), other.mint(key(8), metadata_v1())
    forged = elsewhere.inner[0]
    after = decode(transaction(without_heights(_by_shop(minted, forged))))
    assert after == decode(transaction(minted))
    (between,) = decode(transaction(without_heights(replace(minted, inner=(minted.inner[0], forged, minted.inner[1])))))
    assert isinstance(between, Unknown)


def test_a_forged_changelog_is_not_believed() -> None:
    minted, elsewhere = ModelTree(TREE).mint(OWNER, metadata_v1()), ModelTree(key(70)).mint(OWNER, metadata_v1())
    forged = elsewhere.inner[1].inner[0]
    (change,) = decode(transaction(without_heights(_by_shop(minted, forged))))
    assert isinstance(change, Minted)
    stranger = ExecutedInstruction(minted.inner[1].program_id, (TREE,), b"")
    (told,) = decode(transaction(without_heights(_by_shop(stranger, forged))))
    assert isinstance(told, Unknown)
    assert told.change_logs == ()


def test_heights_of_nothing() -> None:
    assert list(infer_heights(BUBBLEGUM, [])) == []
