"""The signing gate: closed until somebody vouches for the log, and after a loss until nothing lost can land."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import cast
from uuid import UUID, uuid4

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bubblegum.reference import reference
from chassis.clock import ManualClock
from chassis.connectivity import Connectivity
from chassis.log import RetryLater
from contracts.guard import Bounded, Challenged, Truncated, Verified, Witness
from contracts.mint import Attempt
from contracts.streams import MINT
from services.minter.gate import LAG_MARGIN, Gate, GateClosed, Horizon, LostIntent, is_settled
from services.minter.ports import Chain, ChainUnavailable, FinalizedHead, RecentBlockhash
from tests.support.memory_log import MemoryLog

LAST_VALID = 1_150
BOUND = LAST_VALID + LAG_MARGIN


class CutLog(MemoryLog):
    """An in-memory log whose connection can be cut."""

    def __init__(self) -> None:
        super().__init__()
        self.connectivity = Connectivity()
        self.witnesses: dict[str, Witness] = {}


@dataclass
class Heights:
    """A chain of which only heights are asked."""

    finalized: int = 1_000
    asked: int = 0

    async def recent_blockhash(self) -> RecentBlockhash:
        self.asked += 1
        return RecentBlockhash(Hash.default(), LAST_VALID)

    async def finalized_head(self) -> FinalizedHead:
        return FinalizedHead(self.finalized + 7, self.finalized)


@dataclass
class Marks:
    """What is on chain, by mark."""

    landed_by: dict[Pubkey, list[LostIntent]] = field(default_factory=dict[Pubkey, list[LostIntent]])
    away: bool = False
    asked_for: list[int] = field(default_factory=list[int])

    async def landed(self, mark: Pubkey, at_least: int) -> Sequence[LostIntent]:
        self.asked_for.append(at_least)
        if self.away:
            raise ChainUnavailable("away")
        return self.landed_by.get(mark, [])


class World:
    def __init__(self) -> None:
        self.log, self.chain, self.marks, self.clock = CutLog(), Heights(), Marks(), ManualClock()
        self.gate = Gate(self.log, cast("Chain", self.chain), self.marks, self.clock)

    async def challenge(self, number: int) -> Challenged:
        """The gate's challenge with this number, from 1."""
        await settle()
        return self.log.facts(Challenged)[number - 1]

    async def answer(self, number: int, truncation: UUID | None = None) -> None:
        challenge = (await self.challenge(number)).challenge
        await self.log.publish(Verified(challenge=challenge, truncation=truncation), cause=None)
        await settle()

    async def lose(self) -> UUID:
        """Say that the log has lost its tail."""
        truncation = uuid4()
        await self.log.publish(
            Truncated(truncation=truncation, stream="MINT", last=3, expected=5, restorable=2), cause=None
        )
        await settle()
        return truncation


async def settle() -> None:
    """Let everything that can run now do so."""
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
async def world() -> AsyncGenerator[World]:
    world = World()
    running = asyncio.create_task(world.gate.run())
    yield world
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def closed(gate: Gate) -> bool:
    try:
        await gate.check()
    except GateClosed:
        return gate.passage is None
    return False


async def test_it_opens_with_the_answer_to_its_own_challenge(world: World) -> None:
    await world.challenge(1)
    assert await closed(world.gate)
    await world.log.publish(Verified(challenge=uuid4()), cause=None)
    await settle()
    assert await closed(world.gate), "somebody else's answer"
    waiting = asyncio.create_task(world.gate.admit())
    await world.answer(1)
    assert (await waiting).horizon is None
    assert not await closed(world.gate)
    assert not world.chain.asked, "a log that never lost anything costs the chain nothing"


async def test_a_lost_connection_closes_it_until_a_new_challenge_is_answered(world: World) -> None:
    await world.answer(1)
    world.log.connectivity.lost()
    assert await closed(world.gate), "at once, before any task has run"
    first = await world.challenge(1)
    second = await world.challenge(2)
    assert first.challenge != second.challenge
    await world.log.publish(Verified(challenge=first.challenge), cause=None)
    await settle()
    assert await closed(world.gate), "an answer to what was asked before"
    await world.answer(2)
    assert (await world.gate.admit()).epoch == 1


async def test_it_brings_its_witnesses(world: World) -> None:
    witness = Witness(stream=MINT.name, sequence=9, event=uuid4())
    world.log.witnesses[MINT.name] = witness
    await world.answer(1)
    world.log.connectivity.lost()
    assert (await world.challenge(2)).witnesses == (witness,)
    await world.answer(2, await world.lose())
    assert not world.log.witnesses, "what was lost for good is not missed twice"


async def test_after_a_loss_it_waits_until_nothing_lost_can_land(world: World) -> None:
    await world.challenge(1)
    truncation = await world.lose()
    await world.answer(1, truncation)
    assert [fact.block_height for fact in world.log.facts(Bounded)] == [BOUND]
    world.chain.finalized = BOUND
    await world.clock.advance(1.0)
    await settle()
    assert await closed(world.gate), "the block of the bound itself proves nothing"
    world.chain.finalized = BOUND + 1
    await world.clock.advance(1.0)
    await settle()
    assert (await world.gate.admit()).horizon == Horizon(BOUND, BOUND + 1 + 7)


async def test_a_bound_that_was_told_holds_for_every_minter(world: World) -> None:
    await world.challenge(1)
    truncation = await world.lose()
    await world.log.publish(Bounded(truncation=truncation, block_height=900), cause=None)
    await world.answer(1, truncation)
    assert (await world.gate.admit()).horizon == Horizon(900, 1_007)
    assert len(world.log.facts(Bounded)) == 1


async def test_a_loss_that_another_minter_showed_closes_it_again(world: World) -> None:
    await world.answer(1)
    await world.lose()
    assert await closed(world.gate)
    await world.challenge(2)


async def test_a_message_is_handed_back_when_it_stays_closed(world: World) -> None:
    with pytest.raises(RetryLater, match="waiting for the indexer"):
        await world.gate.admit()


def intent(seed: int) -> LostIntent:
    key = Keypair.from_seed(bytes([seed] * 32))
    message = MessageV0.try_compile(key.pubkey(), [], [], Hash.default())
    transaction = VersionedTransaction(message, [key])
    return LostIntent(str(transaction.signatures[0]), bytes(transaction))


async def test_a_lost_attempt_is_found_by_its_mark(world: World) -> None:
    found = intent(1)
    world.marks.landed_by[reference("op.0.0")] = [found]
    horizon = Horizon(BOUND, 77)
    lost = await world.gate.lost_attempt("op.0.0", (), horizon)
    assert lost is not None
    attempt, wire = lost
    assert (attempt.number, attempt.signature, wire) == (1, found.signature, found.wire)
    assert (attempt.blockhash, attempt.last_valid_block_height) == (str(Hash.default()), BOUND)
    assert world.marks.asked_for == [77], "absence counts from the horizon on"
    assert await world.gate.lost_attempt("op.0.1", (), horizon) is None


async def test_what_the_log_knows_was_not_lost(world: World) -> None:
    known, lost = intent(1), intent(2)
    world.marks.landed_by[reference("op.0.0")] = [known]
    attempt = Attempt(number=1, signature=known.signature, blockhash="1" * 32, last_valid_block_height=5)
    assert await world.gate.lost_attempt("op.0.0", (attempt,), Horizon(1, 1)) is None
    world.marks.landed_by[reference("op.0.0")].append(lost)
    found = await world.gate.lost_attempt("op.0.0", (attempt,), Horizon(1, 1))
    assert found is not None
    assert (found[0].number, found[0].signature) == (2, lost.signature)


async def test_a_node_that_cannot_tell_proves_nothing(world: World) -> None:
    world.marks.away = True
    with pytest.raises(ChainUnavailable):
        await world.gate.lost_attempt("op.0.0", (), Horizon(1, 1))


def test_the_bound_itself_is_not_settled() -> None:
    assert [is_settled(height, 10) for height in (9, 10, 11)] == [False, False, True]
