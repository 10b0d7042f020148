"""Minting a pinned chunk: what is landed, what ends without it, and what trouble with one does to the others."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from msgspec.structs import replace

from chassis.clock import SystemClock
from chassis.log import MissingFact, RetryLater, SequenceConflict
from contracts.collection import Standard
from contracts.fact import Fact
from contracts.mint import Cancelled, Failed, FailureCode, Pinned, Planned, PlannedTransaction
from services.minter.drafting import Work
from services.minter.gate import Passage
from services.minter.growing import Growth
from services.minter.lander import Lander, OnChain, Settled, Transaction
from services.minter.minting import DELAY_LOOK, NEVER_CREATED, Minting
from services.minter.packing import Rooms
from services.minter.ports import Chain, ChainUnavailable
from services.minter.refusals import TREE_FULL, Refusal
from services.minter.relearning import Relearner
from services.minter.trees import CollectionTrees
from services.minter.watcher import SignatureWatcher
from tests.support import samples
from tests.support.memory_log import MemoryLog
from tests.support.packing import WALLET, created, item, pinned, room

CREATED = created(Standard.V2)
LABEL = f"{samples.OPERATION}.0"


@dataclass
class Landing:
    """Ends each transaction as told, and any other as settled already by somebody else."""

    outcomes: Mapping[int, Refusal | Exception] = field(default_factory=dict[int, Refusal | Exception])
    labels: list[str] = field(default_factory=list[str])

    async def rehearse(self, work: Work) -> Refusal | None:
        return None

    async def land(self, transaction: Transaction) -> OnChain | Refusal:
        self.labels.append(transaction.label)
        await transaction.read()
        await asyncio.sleep(0)
        outcome = self.outcomes.get(int(transaction.label.rsplit(".", 1)[1]), Settled())
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@dataclass
class Trees:
    """One tree with room for everything; `down` when no node tells."""

    down: bool = False
    capacity: int = 1000

    async def rooms(self, collection: object) -> Rooms:
        if self.down:
            raise ChainUnavailable("down")
        return Rooms([room(Standard.V2, tabled=False, capacity=self.capacity)])


@dataclass
class Relearning:
    """Waits until the log is whole, which brings `back`; `found` has landed."""

    world: "World"
    back: Fact | None = None
    found: Sequence[PlannedTransaction] = ()
    passage: Passage | None = None

    async def compare(self, chunk: Pinned, plan: Planned) -> None:
        return None

    async def begun(self, chunk: Pinned) -> Sequence[PlannedTransaction]:
        if self.back is not None:
            await self.world.say(self.back)
            self.back = None
        return self.found


@dataclass
class World:
    """A log, and a minter on it."""

    log: MemoryLog = field(default_factory=MemoryLog)
    lander: Landing = field(default_factory=Landing)
    trees: Trees = field(default_factory=Trees)
    growth: Any = None
    relearner: Relearning | None = None

    async def say(self, *facts: Fact) -> None:
        for fact in facts:
            await self.log.publish(fact, cause=None)

    @property
    def minting(self) -> Minting:
        return Minting(
            self.log,
            cast("Chain", None),
            cast("Lander", self.lander),
            cast("SignatureWatcher", None),
            WALLET,
            SystemClock(),
            cast("CollectionTrees", self.trees),
            cast("Growth | None", self.growth),
            cast("Relearner | None", self.relearner),
        )

    async def deliver(self) -> None:
        (message,) = self.log.messages(Pinned)
        await self.minting.on_pinned(message)

    @property
    def failed(self) -> dict[int, FailureCode]:
        """Codes by item."""
        return {index: fact.failure.code for fact in self.log.facts(Failed) for index in fact.failure.items}


@pytest.fixture
async def world() -> World:
    """A collection on chain and a chunk of eight items, which make two transactions."""
    world = World()
    await world.say(samples.REQUESTED, CREATED, pinned([item(index) for index in range(8)]))
    return world


async def test_every_transaction_of_the_plan_is_landed(world: World) -> None:
    await world.deliver()
    (plan,) = world.log.facts(Planned)
    assert sorted(world.lander.labels) == [f"{LABEL}.{each.tx}" for each in plan.transactions]
    assert len(plan.transactions) == 2
    await world.deliver()
    assert world.log.facts(Planned) == [plan], "what comes again follows the plan"


@pytest.mark.parametrize("chunk", [0, 1])
async def test_by_the_way_of_the_later_chunks_the_first_one_is_not_landed(chunk: int) -> None:
    world = World()
    await world.say(samples.REQUESTED, CREATED, replace(pinned([item(0)]), chunk=chunk))
    (message,) = world.log.messages(Pinned)
    await world.minting.on_later_pinned(message)
    assert len(world.lander.labels) == chunk


async def test_a_refused_transaction_fails_its_items_and_no_others(world: World) -> None:
    world.lander.outcomes = {0: TREE_FULL}
    await world.deliver()
    first = world.log.facts(Planned)[0].transactions[0]
    assert world.failed == dict.fromkeys(first.items, FailureCode.TREE_FULL)
    assert len(world.lander.labels) == 2
    world.lander.outcomes = {}
    await world.deliver()
    assert len(world.log.facts(Failed)) == 1, "it stays as it was said"


@pytest.mark.parametrize("trouble", [RetryLater("busy", after=1.0), RuntimeError("a bug")], ids=lambda each: str(each))
async def test_trouble_with_one_transaction_lets_the_others_end_and_decides_about_the_message(
    world: World, trouble: Exception
) -> None:
    world.lander.outcomes = {0: trouble, 1: TREE_FULL}
    with pytest.raises(type(trouble)):
        await world.deliver()
    second = world.log.facts(Planned)[0].transactions[1]
    assert set(world.failed) == set(second.items)


async def test_who_was_overtaken_reads_again(world: World) -> None:
    world.lander.outcomes = {0: SequenceConflict("mint.signed", 1)}
    with pytest.raises(RetryLater):
        await world.deliver()
    assert world.failed == {}


async def test_metadata_that_the_program_would_refuse_fails_alone_and_is_never_landed() -> None:
    world = World()
    await world.say(samples.REQUESTED, CREATED, pinned([item(0), item(1, name="x" * 33), item(2)]))
    await world.deliver()
    assert world.failed == {1: FailureCode.METADATA_REFUSED}
    planned = {each.tx: each.items for each in world.log.facts(Planned)[0].transactions}
    landed = [planned[int(label.rsplit(".", 1)[1])] for label in world.lander.labels]
    assert sorted(landed) == [(0,), (2,)]


async def test_what_is_signed_is_followed_whatever_the_rules_for_metadata_are_by_now() -> None:
    world = World()
    await world.say(samples.REQUESTED, CREATED, pinned([item(0, name="x" * 33)]))
    transaction = PlannedTransaction(tx=0, tree=CREATED.tree_address, items=(0,))
    await world.say(replace(samples.PLANNED, chunk=0, transactions=(transaction,)))
    await world.say(replace(samples.SIGNED, chunk=0, tx=0, tree=CREATED.tree_address, items=(0,)))
    await world.deliver()
    assert (world.failed, world.lander.labels) == ({}, [f"{LABEL}.0"])


async def test_without_a_collection_everything_fails_and_is_never_planned_again() -> None:
    world = World()
    await world.say(samples.REQUESTED, pinned([item(0), item(1)]))
    await world.deliver()
    assert world.failed == dict.fromkeys((0, 1), NEVER_CREATED.code)
    await world.say(CREATED)
    await world.deliver()
    assert world.lander.labels == []
    assert len(world.log.facts(Failed)) == 1


async def test_a_collection_that_was_lost_is_waited_for_until_the_log_is_whole() -> None:
    world = World()
    await world.say(samples.REQUESTED, pinned([item(0)]))
    world.relearner = Relearning(world, CREATED)
    await world.deliver()
    assert (world.failed, world.lander.labels) == ({}, [f"{LABEL}.0"])


@pytest.mark.parametrize("planned", [True, False])
async def test_what_was_planned_or_landed_into_a_collection_that_is_lost_is_not_called_failed(planned: bool) -> None:
    world = World()
    await world.say(samples.REQUESTED, pinned([item(0)]))
    transaction = PlannedTransaction(tx=0, tree=CREATED.tree_address, items=(0,))
    if planned:
        await world.say(replace(samples.PLANNED, chunk=0, transactions=(transaction,)))
    world.relearner = Relearning(world, found=() if planned else (transaction,))
    with pytest.raises(MissingFact):
        await world.deliver()
    assert (world.failed, world.lander.labels) == ({}, [])


async def test_items_of_an_empty_plan_are_cancelled_when_there_is_a_collection() -> None:
    world = World()
    await world.say(samples.REQUESTED, CREATED, pinned([item(0)]))
    await world.say(replace(samples.PLANNED, chunk=0, transactions=()))
    await world.deliver()
    assert world.failed == {0: FailureCode.CANCELLED}


async def test_nothing_is_planned_while_no_node_tells_of_the_trees(world: World) -> None:
    world.trees.down = True
    with pytest.raises(RetryLater):
        await world.deliver()
    assert world.log.facts(Planned) == []
    world.trees.down = False
    await world.deliver()
    assert len(world.log.facts(Planned)) == 1


async def test_the_delay_between_batches_is_waited_for() -> None:
    world, soon = World(), datetime.now(UTC) + timedelta(hours=1)
    await world.say(samples.REQUESTED, CREATED, replace(pinned([item(0)]), not_before=soon))
    with pytest.raises(RetryLater) as early:
        await world.deliver()
    assert early.value.after == DELAY_LOOK, "not the whole hour, which may be a clock's mistake"
    assert world.log.facts(Planned) == []


async def test_a_cancelled_chunk_ends_without_its_delay_and_without_a_plan() -> None:
    world, soon = World(), datetime.now(UTC) + timedelta(hours=1)
    chunk = replace(pinned([item(0), item(1)]), not_before=soon)
    await world.say(samples.REQUESTED, CREATED, chunk, Cancelled(operation=samples.OPERATION))
    await world.deliver()
    assert world.failed == dict.fromkeys((0, 1), FailureCode.CANCELLED)
    assert world.lander.labels == []


@dataclass
class Growing:
    """Notes what room is asked for, and grows when told that it is due."""

    trees: Trees
    is_due: bool
    asked: list[int] = field(default_factory=list[int])
    grown: int = 0

    async def make_room(self, cause: object, collection: object, leaves: int) -> Rooms:
        self.asked.append(leaves)
        return await self.trees.rooms(collection)

    def due(self, rooms: Rooms) -> bool:
        return self.is_due

    async def grow(self, cause: object, collection: object, rooms: Rooms) -> bool:
        self.grown += 1
        return True


@pytest.mark.parametrize("due", [False, True])
async def test_a_further_tree_is_made_beside_the_minting_when_it_is_due(world: World, due: bool) -> None:
    world.growth = Growing(world.trees, due)
    await world.deliver()
    await world.deliver()
    assert world.growth.asked == [8], "room is asked for once a plan"
    assert world.growth.grown == int(due)
    assert len(world.lander.labels) == 4
