"""A chunk's plan: one on the log however many make it, and what fails alone stands alone in it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec
import pytest

from chassis.log import InvalidEvent, MissingFact, RetryLater, SequenceConflict
from contracts.collection import Standard
from contracts.mint import Failed, FailureCode, PinFailed, Pinned, Planned
from services.minter.cancelling import end_unsigned
from services.minter.drafting import Work
from services.minter.lander import Lander
from services.minter.planning import Planner, Rehearsal, agreed, items_of
from services.minter.refusals import METADATA, TREE_FULL, Refusal
from tests.support.memory_log import MemoryLog
from tests.support.packing import WALLET, created, item, pinned, rooms
from tests.support.samples import FAILURE, OPERATION, REQUESTED, SIGNED, event

COLLECTION = created(Standard.V2)


@dataclass
class Rehearsing:
    """A lander that refuses, with `refusal`, whatever holds one of the items in `bad`."""

    refusal: Refusal | None = None
    bad: frozenset[int] = frozenset()
    rehearsed: list[tuple[int, ...]] = field(default_factory=list[tuple[int, ...]])

    async def rehearse(self, work: Work) -> Refusal | None:
        assert isinstance(work, Rehearsal)
        assert len(await work.instructions(WALLET)) == len(work.items)
        items = tuple(each.index for each in work.items)
        self.rehearsed.append(items)
        await asyncio.sleep(0)
        return self.refusal if self.bad & set(items) else None


async def chunk(count: int = 8) -> tuple[MemoryLog, Pinned]:
    log, content = MemoryLog(), pinned([item(index) for index in range(count)])
    await log.publish(REQUESTED, cause=None)
    await log.publish(content, cause=None)
    return log, content


async def plan(log: MemoryLog, lander: Rehearsing, trees: int = 1) -> Planned:
    (message,) = log.messages(Pinned)
    planner = Planner(log, cast("Lander", lander), WALLET)
    return await planner.plan(message, COLLECTION, rooms(Standard.V2, trees))


def packs(planned: Planned) -> Sequence[tuple[int, ...]]:
    return [each.items for each in planned.transactions]


async def test_a_chunk_is_planned_once_and_everybody_follows() -> None:
    log, _ = await chunk()
    first = await plan(log, Rehearsing())
    assert packs(first) == [(0, 1, 2, 3, 4), (5, 6, 7)]
    other = await plan(log, Rehearsing(METADATA, frozenset({6})), trees=3)
    assert other == first
    assert log.facts(Planned) == [first]


async def test_planners_that_race_end_with_one_plan() -> None:
    log, _ = await chunk()
    plans = await asyncio.gather(*(plan(log, Rehearsing(), trees) for trees in range(1, 6)))
    assert log.facts(Planned) == [plans[0]]
    assert all(each == plans[0] for each in plans)


async def test_whoever_is_refused_reads_again() -> None:
    log, _ = await chunk()
    log.fail_publishes = [SequenceConflict("x", 1)]
    assert packs(await plan(log, Rehearsing())) == [(0, 1, 2, 3, 4), (5, 6, 7)]
    log, _ = await chunk()
    log.fail_publishes = [SequenceConflict("x", 1) for _ in range(100)]
    with pytest.raises(RetryLater):
        await plan(log, Rehearsing())


async def test_a_failed_pin_of_the_same_chunk_does_not_hide_the_plan() -> None:
    log, content = await chunk()
    first = await plan(log, Rehearsing())
    failure = PinFailed(operation=content.operation, chunk=content.chunk, failures=(FAILURE,))
    await log.publish(failure, cause=None)
    assert await plan(log, Rehearsing(), trees=4) == first
    assert len(log.facts(Planned)) == 1


@pytest.mark.parametrize("code", [FailureCode.METADATA_REFUSED, FailureCode.PROGRAM_REFUSED])
async def test_an_item_that_the_chain_refuses_is_planned_alone(code: FailureCode) -> None:
    log, _ = await chunk()
    lander = Rehearsing(Refusal(code, "No.", "Never."), frozenset({2}))
    planned = await plan(log, lander)
    assert packs(planned) == [(0, 1), (2,), (3, 4, 5, 6, 7)]
    assert [each.doubtful for each in planned.transactions] == [False, True, False]
    assert lander.rehearsed == [(0, 1, 2, 3, 4), (0,), (1,), (2,), (3,), (4,), (5, 6, 7)]


async def test_what_concerns_the_tree_concerns_all_and_splits_nothing() -> None:
    log, _ = await chunk()
    lander = Rehearsing(TREE_FULL, frozenset(range(8)))
    assert packs(await plan(log, lander)) == [(0, 1, 2, 3, 4), (5, 6, 7)]
    assert lander.rehearsed == [(0, 1, 2, 3, 4), (5, 6, 7)]


async def test_one_item_is_not_rehearsed_before_it_is_planned() -> None:
    log, _ = await chunk(1)
    lander = Rehearsing()
    assert packs(await plan(log, lander)) == [(0,)]
    assert lander.rehearsed == []


async def test_what_ends_before_it_is_planned_is_never_planned() -> None:
    log, content = await chunk()
    assert await end_unsigned(log, event(REQUESTED), content) == 1
    assert (await plan(log, Rehearsing())).transactions == ()
    (failed,) = log.facts(Failed)
    assert (failed.tx, failed.failure.items) == (0, tuple(range(8)))
    assert failed.failure.code is FailureCode.CANCELLED
    assert await end_unsigned(log, event(REQUESTED), content) == 0


async def test_what_ends_after_it_was_planned_leaves_out_what_is_signed() -> None:
    log, content = await chunk()
    await plan(log, Rehearsing())
    await log.publish(msgspec.structs.replace(SIGNED, tx=1), cause=None)
    assert await end_unsigned(log, event(REQUESTED), content) == 1
    (failed,) = log.facts(Failed)
    assert (failed.tx, failed.failure.items) == (0, (0, 1, 2, 3, 4))


async def test_a_chunk_that_was_never_pinned_has_no_plan() -> None:
    log = MemoryLog()
    nothing = Planned(operation=OPERATION, chunk=0, collection=COLLECTION.collection, transactions=())
    with pytest.raises(MissingFact):
        await agreed(log, event(REQUESTED), nothing)
    assert log.facts() == []


def test_a_plan_of_items_that_are_not_there_is_no_plan_of_this_chunk() -> None:
    content = pinned([item(3), item(4)])
    assert [each.index for each in items_of(content, (4, 3))] == [4, 3]
    with pytest.raises(InvalidEvent):
        items_of(content, (3, 5))
