"""A slice of the fault run: everything goes wrong at once, and a reader of the chain finds each NFT exactly once."""

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.bench.fault_run import PATIENT, FaultPlan, fault_run
from tests.support.audit import Leaf, Wanted, judge, root_of
from tests.support.stack import LiveStack, live_stack, stack_settings

SLOT_MS = 50


@pytest_asyncio.fixture(loop_scope="function")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[LiveStack]:
    """A stack whose supervisor does not give up on what is killed on purpose."""
    settings = replace(stack_settings(tmp_path_factory.mktemp("stack"), slot_ms=SLOT_MS), restarts=PATIENT)
    async with live_stack(settings) as running:
        yield running


async def test_nothing_is_lost_and_nothing_doubled(live: LiveStack) -> None:
    plan = FaultPlan(count=80, batch_size=10, storm_seconds=2.0, kill_every=2.0)
    report = await fault_run(live, await live.collection("v2", trees=2), plan)
    assert report.clean, report.text()


WANTED = Wanted(names=frozenset("abc"), recipient="me", operations=(), trees=(), wallet="", after=0)


def leaves(names: str) -> list[Leaf]:
    return [Leaf(name, f"asset {number}", "me") for number, name in enumerate(names)]


@pytest.mark.parametrize(
    ("names", "lost", "doubled", "strange"),
    [("abc", 0, 0, 0), ("ab", 1, 0, 0), ("abcb", 0, 1, 0), ("aab", 1, 1, 0), ("abcd", 0, 0, 1), ("", 3, 0, 0)],
)
def test_what_is_missing_and_what_is_there_twice_is_counted(names: str, lost: int, doubled: int, strange: int) -> None:
    verdict = judge("chain", WANTED, leaves(names))
    assert (verdict.lost, verdict.doubled, len(verdict.strange)) == (lost, doubled, strange)
    assert verdict.clean == (names == "abc")


def test_one_asset_told_twice_or_of_somebody_else_does_not_fit() -> None:
    assert not judge("log", WANTED, [Leaf(name, "asset", "me") for name in "abc"]).clean
    assert not judge("log", WANTED, [*leaves("ab"), Leaf("c", "asset 2", "you")]).clean


def test_leaves_with_a_gap_have_no_root() -> None:
    assert root_of(3, {0: bytes(32), 2: bytes(32)}) is None
    assert root_of(3, {0: bytes([1] * 32)}) != root_of(3, {0: bytes([2] * 32)})
