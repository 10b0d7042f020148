"""The log loses a chunk's plan while transactions of it are being made: nothing is minted by two plans."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import SystemRandom
from typing import cast

import pytest
from solders.keypair import Keypair

from chassis.log import RetryLater
from contracts.collection import Standard
from contracts.fact import Event, Fact
from contracts.mint import Attempt, Pinned, Planned, Signed
from contracts.streams import MINT
from services.minter.gate import Gate, Horizon, LostIntent, Passage
from services.minter.lander import Lander
from services.minter.minting import Minting
from services.minter.packing import LAST_LEAVES, Rooms
from services.minter.ports import ChainUnavailable, ConfirmedTransaction, RecentBlockhash
from services.minter.relearning import Relearner
from services.minter.signer import Signer
from services.minter.trees import CollectionTrees
from services.minter.watcher import SignatureWatcher
from tests.support import lossy_world, samples
from tests.support.ending import end
from tests.support.lossy_world import LossyWorld
from tests.support.memory_log import MemoryLog
from tests.support.packing import created, item, pinned, room
from tests.support.toy_chain import BLOCK_SECONDS, BlockClock, ToyChain

SEEDS = 6
"""Schedules of losses of each kind."""
ITEMS = 8
WALLET = Keypair.from_seed(bytes(32))


class ForgetfulLog(MemoryLog):
    """Can be cut, and remembers what was signed all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.ever: dict[str, Signed] = {}

    async def publish(
        self,
        fact: Fact,
        *,
        cause: Event[Fact] | None,
        expected_sequence: int | None = None,
        fence: str | None = None,
    ) -> int:
        sequence = await super().publish(fact, cause=cause, expected_sequence=expected_sequence, fence=fence)
        if isinstance(fact, Signed):
            self.ever[fact.attempt.signature] = fact
        return sequence

    def cut(self, last: int) -> None:
        """Lose everything beyond sequence `last` of MINT."""
        del self.streams[MINT.name][last:]


@dataclass
class OpenGate:
    """A gate that is open; nothing that was lost has landed."""

    passage: Passage = field(default_factory=lambda: Passage(0, None))

    async def admit(self) -> Passage:
        return self.passage

    async def landed(self, label: str, horizon: Horizon) -> Sequence[LostIntent]:
        return ()

    async def lost_attempt(self, label: str, known: Sequence[Attempt], horizon: Horizon) -> None:
        return None

    def reopen(self) -> None:
        """The connection was lost, and the log with it; whatever could land has."""
        self.passage = Passage(self.passage.epoch + 1, Horizon(0, 0))


class PatientChain(ToyChain):
    """Gives no blockhash once there is a plan, until `answers` is set; shows no transaction."""

    def __init__(self, log: MemoryLog) -> None:
        super().__init__()
        self.answers, self.asked = asyncio.Event(), asyncio.Event()
        self._log = log

    async def recent_blockhash(self) -> RecentBlockhash:
        if self._log.facts(Planned):
            self.asked.set()
            await self.answers.wait()
        return await super().recent_blockhash()

    async def transaction(self, signature: str) -> ConfirmedTransaction | None:
        raise ChainUnavailable("not shown")


@dataclass
class NearlyFull:
    """One tree in which the second plan finds so few leaves that it gives each item a transaction of its own."""

    rooms_known: Rooms = field(
        default_factory=lambda: Rooms([room(Standard.V2, tabled=False, capacity=LAST_LEAVES + ITEMS)])
    )

    async def rooms(self, collection: object) -> Rooms:
        return self.rooms_known


class World:
    """A minter at work on one chunk."""

    def __init__(self) -> None:
        self.log, self.gate = ForgetfulLog(), OpenGate()
        self.chain = PatientChain(self.log)
        clock = BlockClock(self.chain)
        self.watcher = SignatureWatcher(self.chain, clock, BLOCK_SECONDS)
        gate = cast("Gate", self.gate)
        lander = Lander(self.chain, Signer(WALLET), self.watcher, clock, max_in_flight=2 * ITEMS, gate=gate)
        self.minting = Minting(
            self.log,
            self.chain,
            lander,
            self.watcher,
            WALLET.pubkey(),
            clock,
            cast("CollectionTrees", NearlyFull()),
            relearner=Relearner(self.log, gate, self.chain),
        )

    async def deliver(self) -> Exception | None:
        """Hand the chunk to the handler; return what it raised."""
        (message,) = self.log.messages(Pinned)
        try:
            await self.minting.on_pinned(message)
        except Exception as error:
            return error
        return None

    def minted(self) -> Counter[int]:
        """How often each item is on chain."""
        return Counter(index for signature in self.chain.landed for index in self.log.ever[signature].items)

    async def settle(self) -> None:
        """Deliver the chunk until all of it is on chain; its confirmations are never shown, so it comes again."""
        for _ in range(20):
            error = await self.deliver()
            assert isinstance(error, RetryLater), error
            if len(self.minted()) == ITEMS:
                return


@asynccontextmanager
async def begun() -> AsyncGenerator[World]:
    """A world with a chunk to mint."""
    world = World()
    for fact in (samples.REQUESTED, created(Standard.V2), pinned([item(index) for index in range(ITEMS)])):
        await world.log.publish(fact, cause=None)
    watching = asyncio.create_task(world.watcher.run())
    yield world
    await end([watching])


@pytest.fixture
async def world() -> AsyncGenerator[World]:
    async with begun() as world:
        yield world


async def test_work_on_a_lost_plan_is_given_up(world: World) -> None:
    before = len(world.log.streams[MINT.name])
    old = asyncio.create_task(world.deliver())
    await world.chain.asked.wait()
    (first,) = world.log.facts(Planned)
    world.log.cut(before)
    world.gate.reopen()
    world.chain.answers.set()
    new = asyncio.create_task(world.deliver())
    outcomes = await asyncio.gather(old, new)
    assert all(isinstance(each, RetryLater) for each in outcomes), outcomes
    assert {len(fact.items) for fact in world.log.facts(Signed)} == {1}, "nothing is signed by a plan that is gone"
    await world.settle()
    (second,) = world.log.facts(Planned)
    assert len(first.transactions) < len(second.transactions), "two plans that agree would show nothing"
    assert world.minted() == Counter(range(ITEMS))


async def test_an_intent_that_outlived_its_plan_keeps_its_place_in_the_next_one(world: World) -> None:
    before = len(world.log.streams[MINT.name])
    signing = asyncio.create_task(world.deliver())
    await world.chain.asked.wait()
    world.log.cut(before)
    world.gate.reopen()
    intent = await signed_elsewhere()
    await world.log.publish(intent, cause=None, expected_sequence=0)
    world.chain.answers.set()
    assert isinstance(await signing, RetryLater)
    await world.settle()
    (plan,) = world.log.facts(Planned)
    assert (intent.tx, intent.items) in [(each.tx, each.items) for each in plan.transactions]
    assert world.minted() == Counter(range(ITEMS))


async def signed_elsewhere() -> Signed:
    """What a minter says of the chunk's last transaction by the first plan, before it has sent it."""
    async with begun() as other:
        other.chain.answers.set()
        await other.deliver()
        return other.log.facts(Signed)[-1]


@pytest.mark.parametrize("first", [1, SystemRandom().randrange(10**6, 10**9)], ids=["fixed", "fresh"])
async def test_whatever_is_lost_nothing_is_minted_twice(first: int) -> None:
    stopped = lost = 0
    for seed in range(first, first + SEEDS):
        lossy = LossyWorld(seed)
        minted = await lossy.live()
        lost += lossy.losses
        stopped += lossy.stopped is not None
        assert set(minted.values()) <= {1}, f"seed {seed}: {minted}"
        assert lossy.stopped is not None or len(minted) == lossy_world.ITEMS, f"seed {seed}: {minted}"
    assert lost, "a log that keeps everything tests nothing"
    assert stopped <= SEEDS // 2, "a person is asked only when two plans were on their way at once"
