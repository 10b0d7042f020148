"""Every way in which counts can differ is told, with its explanation, and as an alarm only where it must never be."""

from dataclasses import replace

import pytest

from contracts.observation import MAX_EXAMPLES, DriftKind, LeafFate
from services.indexer.chain.differences import Found, OnChain, Shown, Told, drift, same
from tests.support.indexing import uid

CATS = uid("cats")
CHAIN = OnChain(slot=100, minted=5)
TOLD = Told(log=5, projection=5, observed=5, living=5)
SHOWN = Shown(total=5)
TWO = Found(2, ("a", "b"))


def kinds(chain: OnChain = CHAIN, told: Told = TOLD, shown: Shown | None = SHOWN) -> dict[DriftKind, bool]:
    """Kinds of differences, and whether they are alarms."""
    return {each.kind: each.alarm for each in drift(CATS, chain, told, shown).differences}


def test_no_difference() -> None:
    assert kinds() == {}
    assert kinds(shown=None) == {}
    assert drift(CATS, CHAIN, TOLD, None).das is None


@pytest.mark.parametrize(
    ("chain", "kind", "alarm"),
    [
        (replace(CHAIN, minted=7), DriftKind.OBSERVATION_BEHIND, False),
        (replace(CHAIN, holes=("tree: 3 to 4",)), DriftKind.OBSERVATION_BEHIND, False),
        (replace(CHAIN, unseen=1), DriftKind.OBSERVATION_BEHIND, False),
        (replace(CHAIN, wrong_roots=("tree",)), DriftKind.ROOT_DIFFERS, True),
        (replace(CHAIN, minted=4), None, False),  # observed later than the accounts were read
    ],
)
def test_of_the_chain(chain: OnChain, kind: DriftKind | None, alarm: bool) -> None:
    assert kinds(chain=chain) == ({} if kind is None else {kind: alarm})


@pytest.mark.parametrize(
    ("told", "kind", "alarm"),
    [
        (replace(TOLD, not_on_chain=TWO), DriftKind.NOT_ON_CHAIN, True),
        (replace(TOLD, projection=4), DriftKind.NOT_IN_TABLES, True),
        (replace(TOLD, minted_elsewhere=TWO), DriftKind.MINTED_ELSEWHERE, False),
        (replace(TOLD, gone={LeafFate.BURNED: TWO}), DriftKind.BURNED, False),
        (replace(TOLD, gone={LeafFate.REDEEMED: TWO}), DriftKind.REDEEMED, False),
    ],
)
def test_of_the_tables(told: Told, kind: DriftKind, alarm: bool) -> None:
    assert kinds(told=told) == {kind: alarm}


@pytest.mark.parametrize(
    ("shown", "kind"),
    [
        (replace(SHOWN, absent=TWO), DriftKind.DAS_BEHIND),
        (replace(SHOWN, surplus=TWO), DriftKind.DAS_AHEAD),
        (replace(SHOWN, differing=TWO), DriftKind.PROVIDERS_DIFFER),
        (replace(SHOWN, refused_proofs=TWO), DriftKind.PROOF_REFUSED),
    ],
)
def test_of_das(shown: Shown, kind: DriftKind) -> None:
    assert kinds(shown=shown) == {kind: False}


def test_das_that_says_how_far_it_is() -> None:
    (behind,) = drift(CATS, CHAIN, TOLD, replace(SHOWN, absent=TWO, slots_behind=40)).differences
    assert "40 slots behind" in behind.explanation
    assert (behind.count, behind.examples) == (2, ("a", "b"))


def test_what_is_not_said_again() -> None:
    one = drift(CATS, CHAIN, TOLD, SHOWN)
    assert same(one, drift(CATS, replace(CHAIN, slot=900), replace(TOLD, log=6, projection=6), SHOWN))
    assert not same(one, drift(CATS, replace(CHAIN, minted=9), TOLD, SHOWN))
    behind, further = (drift(CATS, CHAIN, TOLD, replace(SHOWN, absent=TWO, slots_behind=slots)) for slots in (40, 90))
    assert same(behind, further), "a DAS that never catches up is no news at each comparison"
    assert not same(behind, one)


@pytest.mark.parametrize(("log", "projection"), [(1, 3), (3, 1)])
def test_sums_and_rows_that_differ_either_way(log: int, projection: int) -> None:
    (found,) = drift(CATS, CHAIN, replace(TOLD, log=log, projection=projection), None).differences
    assert (found.kind, found.count, found.alarm) == (DriftKind.NOT_IN_TABLES, 2, True)


def test_examples_are_bounded() -> None:
    many = Found(50, tuple(map(str, range(50))))
    (found,) = drift(CATS, CHAIN, replace(TOLD, minted_elsewhere=many), None).differences
    assert (found.count, len(found.examples)) == (50, MAX_EXAMPLES)
