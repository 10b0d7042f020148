"""A lost plan, as far as the chain tells it."""

from collections.abc import Mapping, Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chassis.log import RetryLater
from contracts.mint import (
    Failed,
    FailureCode,
    ItemFailure,
    PinnedItem,
    Planned,
    PlannedTransaction,
    transaction_label,
)
from services.minter.gate import Gate, Horizon, LostIntent, Passage
from services.minter.ports import Chain, ChainUnavailable
from services.minter.relearning import Leaf, Relearner, Unexplained, completed, explain, fits, without
from tests.support import samples
from tests.support.memory_log import MemoryLog
from tests.support.packing import item, pinned
from tests.support.samples import TREE

OTHER_TREE = "9qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR"
CHUNK = pinned([item(index) for index in range(6)])


def leaf(index: int, tree: str = TREE) -> Leaf:
    return Leaf(tree, CHUNK.recipient, CHUNK.items[index].name, CHUNK.items[index].uri)


def planned(tx: int, *items: int, tree: str = TREE) -> PlannedTransaction:
    return PlannedTransaction(tx=tx, tree=tree, items=items)


def test_what_landed_is_planned_as_it_landed() -> None:
    landed = explain(CHUNK, {2: [leaf(5), leaf(4)], 0: [leaf(0, OTHER_TREE)]})
    assert [(each.tx, each.tree, len(each.items)) for each in landed] == [(0, OTHER_TREE, 1), (2, TREE, 2)]
    for each, wanted in zip(landed, ((0,), (5, 4)), strict=True):
        assert [CHUNK.items[i].uri for i in each.items] == [CHUNK.items[i].uri for i in wanted]


def test_copies_are_taken_one_by_one() -> None:
    copies = pinned([item(0)] + [_copy(index) for index in range(1, 4)])
    same = Leaf(TREE, copies.recipient, copies.items[0].name, copies.items[0].uri)
    landed = explain(copies, {0: [same, same], 1: [same]})
    assert sorted(index for each in landed for index in each.items) == [0, 1, 2]


def _copy(index: int) -> PinnedItem:
    return replace(item(0), index=index)


@pytest.mark.parametrize(
    "minted",
    [
        {0: [leaf(0), leaf(1, OTHER_TREE)]},
        {0: [Leaf(TREE, OTHER_TREE, CHUNK.items[0].name, CHUNK.items[0].uri)]},
        {0: [Leaf(TREE, CHUNK.recipient, "another", CHUNK.items[0].uri)]},
    ],
)
def test_what_the_chunk_does_not_hold_stops_it(minted: Mapping[int, Sequence[Leaf]]) -> None:
    with pytest.raises(Unexplained):
        explain(CHUNK, minted)


@given(st.sets(st.integers(0, 9), max_size=5), st.integers(0, 5))
def test_numbers_are_never_used_twice(taken: set[int], others: int) -> None:
    landed = [planned(tx, tx) for tx in taken]
    new = [planned(tx, 100 + tx) for tx in range(others)]
    both = completed(landed, new)
    assert len({each.tx for each in both}) == len(landed) + len(new)
    assert {each for each in both if each.items[0] < 100} == set(landed)
    assert sorted(each.items for each in both) == sorted(each.items for each in [*landed, *new])


class Marked:
    """An open gate with `passage`, and what is on chain by label."""

    def __init__(self, passage: Passage, landed: Mapping[str, LostIntent] | None = None, *, away: bool = False) -> None:
        self.passage, self.by_label, self.away = passage, landed or {}, away
        self.asked: list[str] = []

    async def admit(self) -> Passage:
        return self.passage

    async def landed(self, label: str, horizon: Horizon) -> Sequence[LostIntent]:
        self.asked.append(label)
        if self.away:
            raise ChainUnavailable("away")
        return [self.by_label[label]] if label in self.by_label else []


class NoChain:
    """Shows no transaction."""

    async def transaction(self, signature: str) -> None:
        return None


async def test_a_log_that_never_lost_anything_is_not_looked_behind() -> None:
    gate = Marked(Passage(0, None))
    assert await Relearner(MemoryLog(), cast("Gate", gate), cast("Chain", NoChain())).begun(CHUNK) == ()
    assert gate.asked == []


async def test_every_number_that_the_chunk_can_have_had_is_looked_for() -> None:
    gate = Marked(Passage(0, Horizon(1, 1)))
    assert await Relearner(MemoryLog(), cast("Gate", gate), cast("Chain", NoChain())).begun(CHUNK) == ()
    assert gate.asked == [transaction_label(CHUNK.operation, CHUNK.chunk, tx) for tx in range(len(CHUNK.items))]


async def test_what_is_signed_on_the_log_is_not_looked_for_on_the_chain() -> None:
    log, gate = MemoryLog(), Marked(Passage(0, Horizon(1, 1)))
    intent = replace(samples.SIGNED, operation=CHUNK.operation, chunk=CHUNK.chunk, tx=2, items=(3, 4))
    await log.publish(intent, cause=None)
    begun = await Relearner(log, cast("Gate", gate), cast("Chain", NoChain())).begun(CHUNK)
    assert begun == (PlannedTransaction(tx=2, tree=intent.tree, items=(3, 4)),)
    assert transaction_label(CHUNK.operation, CHUNK.chunk, 2) not in gate.asked
    assert [each.index for each in without(CHUNK, begun).items] == [0, 1, 2, 5]


@pytest.mark.parametrize("signed", [[(0,), (0, 1)], [(len(CHUNK.items),)]])
async def test_intents_that_no_plan_explains_stop_it(signed: Sequence[tuple[int, ...]]) -> None:
    log, gate = MemoryLog(), Marked(Passage(0, Horizon(1, 1)))
    for tx, items in enumerate(signed):
        intent = replace(samples.SIGNED, operation=CHUNK.operation, chunk=CHUNK.chunk, tx=tx, items=items)
        await log.publish(intent, cause=None)
    with pytest.raises(RetryLater):
        await Relearner(log, cast("Gate", gate), cast("Chain", NoChain())).begun(CHUNK)


PLAN = Planned(
    operation=CHUNK.operation,
    chunk=CHUNK.chunk,
    collection=CHUNK.collection,
    transactions=(planned(0, 0, 1), planned(1, 2, 3, 4, 5)),
)


@pytest.mark.parametrize(
    ("signed", "minted", "fitting"),
    [
        ((), {}, True),
        ((planned(1, 2, 3, 4, 5),), {0: [leaf(0), leaf(1)]}, True),
        ((), {0: [leaf(1), leaf(0)]}, True),  # copies of one another
        ((planned(1, 2),), {}, False),
        ((planned(2, 5),), {}, False),
        ((planned(0, 0, 1, tree=OTHER_TREE),), {}, False),
        ((), {0: [leaf(0)]}, False),
        ((), {2: [leaf(5)]}, False),
        ((), {0: [leaf(0, OTHER_TREE), leaf(1, OTHER_TREE)]}, False),
    ],
)
def test_a_plan_fits_what_was_begun_by_it(
    signed: Sequence[PlannedTransaction], minted: Mapping[int, Sequence[Leaf]], fitting: bool
) -> None:
    assert fits(CHUNK, PLAN, signed, minted) is fitting


async def test_a_chunk_that_was_begun_by_another_plan_waits_for_a_person() -> None:
    log, gate = MemoryLog(), Marked(Passage(0, Horizon(1, 1)))
    relearner = Relearner(log, cast("Gate", gate), cast("Chain", NoChain()))
    await relearner.compare(CHUNK, PLAN)
    await relearner.compare(CHUNK, PLAN)
    assert len(gate.asked) == len(CHUNK.items), "once in a passage"
    gate.passage = Passage(1, Horizon(2, 2))
    intent = replace(samples.SIGNED, operation=CHUNK.operation, chunk=CHUNK.chunk, tx=2, items=(5,))
    await log.publish(intent, cause=None)
    with pytest.raises(RetryLater, match="another plan"):
        await relearner.compare(CHUNK, PLAN)


async def test_a_chunk_without_work_is_not_looked_for() -> None:
    log, gate = MemoryLog(), Marked(Passage(0, Horizon(1, 1)))
    failure = ItemFailure(items=(0, 1), code=FailureCode.TREE_FULL, reason="Full.")
    for tx in (0, 1):
        await log.publish(Failed(operation=CHUNK.operation, chunk=CHUNK.chunk, tx=tx, failure=failure), cause=None)
    await Relearner(log, cast("Gate", gate), cast("Chain", NoChain())).compare(CHUNK, PLAN)
    assert gate.asked == []


@pytest.mark.parametrize("away", [True, False])
async def test_nothing_is_planned_while_nobody_can_tell(away: bool) -> None:
    label = transaction_label(CHUNK.operation, CHUNK.chunk, 3)
    gate = Marked(Passage(0, Horizon(1, 1)), {label: LostIntent("s", b"")}, away=away)
    with pytest.raises(RetryLater):
        await Relearner(MemoryLog(), cast("Gate", gate), cast("Chain", NoChain())).begun(CHUNK)
