"""When and what the counter says of collections on chain."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from struct import pack

import pytest
from solders.pubkey import Pubkey

from bubblegum.merkle import TreeConfig
from bubblegum.programs import BUBBLEGUM
from chassis.clock import ManualClock
from chassis.log import LogUnavailable
from contracts.collection import CollectionCounted, CollectionCreated, CollectionSyncRequested
from contracts.streams import COLLECTION
from services.indexer.counting import BATCH, Counter
from services.indexer.entries import plan
from services.indexer.ports import Account, Accounts, ChainUnavailable
from services.indexer.rounds import Partly
from services.indexer.trees import config_address
from tests.support.indexing import collection_created, counted, tree_added, uid
from tests.support.memory_log import MemoryLog
from tests.support.memory_tables import MemoryTables


@dataclass
class ModelChain:
    """A node whose trees are configs with a number minted; tree accounts it has none."""

    slot: int = 100
    minted: dict[str, int] = field(default_factory=dict[str, int])
    das: bool | ChainUnavailable = True
    fail_next: list[Exception] = field(default_factory=list[Exception])
    asked: list[int] = field(default_factory=list[int])
    meanwhile: Callable[[], Awaitable[object]] | None = None
    """What somebody else does while this node is asked about DAS."""

    async def accounts(self, addresses: Sequence[str], *, min_slot: int = 0) -> Accounts:
        if self.fail_next:
            raise self.fail_next.pop(0)
        if min_slot > self.slot:
            raise ChainUnavailable("Minimum context slot has not been reached")
        self.asked.append(len(addresses))
        configs = {config_address(tree): minted for tree, minted in self.minted.items()}
        found = {address: self._config(configs[address]) for address in addresses if address in configs}
        return Accounts(self.slot, found)

    async def answers_das(self, collection_address: str) -> bool:
        if self.meanwhile is not None:
            await self.meanwhile()
        if isinstance(self.das, ChainUnavailable):
            raise self.das
        return self.das

    @staticmethod
    def _config(minted: int) -> Account:
        config = TreeConfig(Pubkey.default(), Pubkey.default(), 8, minted, False, True, 2)
        return Account(str(BUBBLEGUM), config.to_bytes())


@dataclass
class World:
    """A log with created collections, applied to the tables, and a chain that knows them."""

    log: MemoryLog = field(default_factory=MemoryLog)
    tables: MemoryTables = field(default_factory=MemoryTables)
    chain: ModelChain = field(default_factory=ModelChain)
    clock: ManualClock = field(default_factory=ManualClock)

    def counter(self) -> Counter:
        return Counter(self.log, self.chain, self.tables, self.clock, interval=300, pause=1)

    async def create(self, *names: str) -> None:
        for name in names:
            fact = collection_created(uid(name))
            await self.log.publish(fact, cause=None)
            raw = self.log.streams["COLLECTION"][-1]
            await self.tables.apply("COLLECTION", self.tables.watermarks["COLLECTION"], [plan(raw)])
            self.chain.minted[fact.tree_address] = 0
            self.tables.watermarks["COLLECTION"] = raw.sequence

    def mint(self, name: str, minted: int) -> None:
        self.chain.minted[collection_created(uid(name)).tree_address] = minted

    def counts(self) -> list[tuple[int, int]]:
        return [(fact.minted, fact.slot) for fact in self.log.facts(CollectionCounted)]


@pytest.fixture
async def world() -> World:
    made = World()
    await made.create("cats")
    return made


async def test_a_count_is_said_once_until_it_moves(world: World) -> None:
    counter = world.counter()
    await counter.count(None)
    world.chain.slot += 5
    await counter.count(None)
    assert world.counts() == [(0, 100)]
    world.mint("cats", 3)
    world.chain.slot += 5
    await counter.count(None)
    assert world.counts() == [(0, 100), (3, 110)]
    (first, _) = world.log.messages(CollectionCounted)
    assert first.event.causation_id == world.log.messages(CollectionCreated)[0].event.id


async def test_each_tree_is_told_alone_also_when_their_sum_stays(world: World) -> None:
    cats = uid("cats")
    await world.log.publish(tree_added(cats, 1), cause=None)
    await world.tables.apply("COLLECTION", 1, [plan(world.log.streams["COLLECTION"][-1])])
    first, second = (tree.tree_address for _, tree in sorted(world.tables.trees.items()))
    world.chain.minted = {first: 3, second: 0}
    counter = world.counter()
    await counter.count(None)
    world.chain.minted = {first: 2, second: 1}
    await counter.count(None)
    told = [[(tree.tree_address, tree.minted) for tree in fact.trees] for fact in world.log.facts(CollectionCounted)]
    assert told == [[(first, 3), (second, 0)], [(first, 2), (second, 1)]]
    assert world.counts() == [(3, 100), (3, 100)]


async def test_a_node_that_is_behind_changes_nothing(world: World) -> None:
    counter = world.counter()
    world.mint("cats", 3)
    await counter.count(None)
    world.mint("cats", 2)
    world.chain.slot -= 1
    await counter.count(None)
    assert world.counts() == [(3, 100)]


async def test_a_node_that_has_not_seen_the_creation_proves_no_missing_tree(world: World) -> None:
    world.chain.slot = 49
    world.chain.minted.clear()
    await world.counter().count(None)
    assert world.counts() == []


async def test_a_tree_that_is_gone_keeps_its_last_numbers_and_is_not_valid(world: World) -> None:
    counter = world.counter()
    world.mint("cats", 3)
    await counter.count(None)
    world.chain.minted.clear()
    world.chain.slot += 1
    await world.log.publish(counted(uid("cats"), 3, slot=100), cause=None)  # valid, as if another had said so
    await counter.count(None)
    last = world.log.facts(CollectionCounted)[-1]
    assert (last.minted, last.capacity, last.has_valid_tree) == (3, 8, False)


async def test_das_that_does_not_answer_leaves_what_was_known(world: World) -> None:
    counter = world.counter()
    await counter.count(None)
    world.chain.das = ChainUnavailable("away")
    world.mint("cats", 1)
    await counter.count(None)
    world.chain.das = False
    await counter.count(None)
    assert [fact.supports_das for fact in world.log.facts(CollectionCounted)] == [True, True, False]


async def test_a_count_that_another_has_said_meanwhile_is_not_said_over_it(world: World) -> None:
    counter = world.counter()
    await counter.count(None)
    newer = counted(uid("cats"), 5, slot=200)
    world.chain.meanwhile = lambda: world.log.publish(newer, cause=None)
    world.mint("cats", 4)
    world.chain.slot = 150
    await counter.count(None)
    assert world.counts() == [(0, 100), (5, 200)]


async def test_an_unreadable_count_is_left_to_the_operator(world: World) -> None:
    world.log.put_raw(COLLECTION, counted(uid("cats"), 0).subject(), b"{}")
    await world.create("dogs")
    await world.counter().count(None)
    said = [raw.subject for raw in world.log.streams["COLLECTION"] if "counted" in raw.subject]
    assert said[1:] == [counted(uid("dogs"), 0).subject()]


async def test_many_collections_are_asked_for_in_parts(world: World) -> None:
    await world.create(*(f"more {number}" for number in range(BATCH)))
    await world.counter().count(None)
    assert world.chain.asked == [2 * BATCH, 2]
    assert len(world.counts()) == BATCH + 1
    await world.counter().count(frozenset({uid("cats")}))
    assert world.chain.asked[2:] == [2]


async def test_everything_is_counted_at_the_start_and_on_the_schedule() -> None:
    world = World()
    await world.create("cats", "dogs")
    running = asyncio.create_task(world.counter().run())
    await world.clock.advance(2)
    assert world.chain.asked == [4]
    await world.clock.advance(300)
    assert world.chain.asked == [4, 4]
    running.cancel()
    await asyncio.wait([running])


async def test_what_was_woken_is_counted_alone_and_again_after_a_failure() -> None:
    world = World()
    await world.create("cats", "dogs")
    counter = world.counter()
    running = asyncio.create_task(counter.run())
    await world.clock.advance(2)
    world.chain.fail_next = [ChainUnavailable("busy"), LogUnavailable("away")]
    world.mint("dogs", 1)
    world.chain.slot += 1
    counter.wake({uid("dogs")})
    await world.clock.advance(30)
    assert world.chain.asked == [4, 2]
    assert world.counts()[2:] == [(1, 101)]
    running.cancel()
    await asyncio.wait([running])


def test_the_model_config_is_laid_out_as_on_chain() -> None:
    assert ModelChain._config(5).data[72:88] == pack("<QQ", 8, 5)  # pyright: ignore[reportPrivateUsage]


async def test_whoever_asks_for_a_count_is_answered_once_also_when_nothing_moved(world: World) -> None:
    counter = world.counter()
    await counter.count(None)
    await world.log.publish(CollectionSyncRequested(collection=uid("cats")), cause=None)
    counter.sync([uid("cats")])
    await counter.count(frozenset([uid("cats")]))
    assert world.counts() == [(0, 100), (0, 100)]
    (asked,) = world.log.messages(CollectionSyncRequested)
    assert world.log.messages(CollectionCounted)[-1].event.causation_id == asked.event.id
    counter.sync([uid("cats")])  # as after a restart, when the log is read again
    await counter.count(frozenset([uid("cats")]))
    assert len(world.counts()) == 2


async def test_a_request_that_another_process_has_projected_is_answered(world: World) -> None:
    """It died before it could count, or the commit's answer was lost: nobody says `sync` for it any more."""
    await world.counter().count(None)
    await world.log.publish(CollectionSyncRequested(collection=uid("cats")), cause=None)
    successor = world.counter()
    await successor.count(None)
    assert len(world.counts()) == 2
    await world.log.publish(CollectionSyncRequested(collection=uid("cats")), cause=None)
    successor.missed()
    await successor.count(None)
    await successor.count(None)
    assert len(world.counts()) == 3


async def test_a_collection_that_cannot_be_counted_keeps_nobody_waiting(world: World) -> None:
    counter = world.counter()
    await world.create("dogs", "birds", "fish")
    world.chain.fail_next = [ChainUnavailable("injected")]
    with pytest.raises(Partly) as partly:
        await counter.count(None)
    assert len(partly.value.collections) == BATCH
    assert len(world.counts()) == 1
    await counter.count(partly.value.collections)
    assert len(world.counts()) == 4


async def test_a_node_that_tells_a_slot_of_the_far_future_silences_nobody(world: World) -> None:
    counter, slot = world.counter(), world.chain.slot
    world.chain.slot = 1 << 60
    await counter.count(None)
    world.chain.slot = slot
    world.mint("cats", 2)
    await counter.count(None)
    assert world.counts() == [(0, 1 << 60), (2, slot)]


async def test_a_node_that_is_behind_does_not_answer_whoever_asks(world: World) -> None:
    counter = world.counter()
    await counter.count(None)
    await world.log.publish(CollectionSyncRequested(collection=uid("cats")), cause=None)
    counter.sync([uid("cats")])
    world.chain.slot -= 1
    with pytest.raises(Partly, match="slot"):
        await counter.count(None)
    world.chain.slot += 1
    await counter.count(None)
    assert len(world.counts()) == 2
