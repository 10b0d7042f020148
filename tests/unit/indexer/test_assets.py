"""Observations applied to the rows in memory: what is new, what was there before, and what would leave a hole."""

import pytest

from contracts.observation import LeafFate, ObservedLeaf
from services.indexer.chain.assets import ObservationGap, Observed
from services.indexer.changes import ObserveLeaves
from tests.support.indexing import address, uid

TREE, CATS = address("tree"), uid("cats")


def leaf(index: int, number: int) -> ObservedLeaf:
    """Leaf `index` after change `number`, which tells by its slot which one it is."""
    return ObservedLeaf(
        index=index,
        asset_id=address("asset", index),
        leaf_hash=f"{number:064x}",
        fate=LeafFate.LIVING,
        signature="s" * 88,
        slot=number,
    )


def change(after: int, *indexes: int) -> ObserveLeaves:
    """Changes `after + 1` and on, of these leaves."""
    leaves = tuple(leaf(index, after + 1 + number) for number, index in enumerate(indexes))
    return ObserveLeaves(collection=CATS, tree=TREE, after=after, leaves=leaves, root=f"{after + len(leaves):064x}")


def rows(observed: Observed) -> dict[int, int]:
    return {row.leaf_index: row.seq for row in observed.assets.values()}


def test_a_hole_is_refused_and_what_follows_is_not() -> None:
    observed = Observed()
    with pytest.raises(ObservationGap, match="up to change 0, not up to 1"):
        observed.check(change(1, 0))
    observed.check(change(0, 0))
    observed.apply(change(0, 0, 1))
    for after in range(3):
        observed.check(change(after, 0))
    with pytest.raises(ObservationGap, match="up to change 2, not up to 3"):
        observed.check(change(3, 0))


def test_what_was_applied_before_changes_nothing() -> None:
    observed = Observed()
    observed.apply(change(0, 0, 1, 0))
    assert rows(observed) == {0: 3, 1: 2}
    observed.changed_trees.clear()
    observed.apply(change(0, 0, 1, 0))
    observed.apply(change(0, 0, 1))
    assert (rows(observed), observed.trees[TREE].seq, observed.changed_trees) == ({0: 3, 1: 2}, 3, set())
    # Half of it is new: the leaf that both speak of stays as the later change left it.
    observed.apply(change(1, 0, 1, 2))
    assert (rows(observed), observed.trees[TREE].seq) == ({0: 3, 1: 2, 2: 4}, 4)
    assert observed.trees[TREE].root == bytes.fromhex(f"{4:064x}")
    assert observed.trees[TREE].slot == 4
