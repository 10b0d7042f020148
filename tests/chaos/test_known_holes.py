# nats-py is annotated in part only.
# pyright: reportUnknownMemberType=false
"""The known holes of other systems, by name: each is walked with the program as it is, which holds, and with the hole
dug into it, which has to be noticed. A test whose broken twin passes would prove nothing."""

import asyncio
import json
from collections.abc import Sequence

import nats
import pytest

from chassis.messaging import Connection, Log
from contracts.fact import Event, Fact, Producer
from contracts.mint import Attempt, FailureCode
from contracts.streams import COLLECTION, MINT
from services.minter import lander, landing, watcher
from services.minter.lander import SignedRecord, wire_bytes
from services.minter.landing import ChainView, Refused, Sign, Step, next_step
from services.minter.mint_transaction import MintTransaction
from services.minter.ports import Look
from services.minter.refusals import Refusal, TransactionError, classify
from tests.support.memory_log import MemoryLog
from tests.support.nats import NatsAccounts
from tests.support.toy_chain import FINALITY, MEMORY, VALIDITY, Crash, DeclaredFailed, Doubled, ToyChain, ToyWorld

LONG = MEMORY + VALIDITY + FINALITY + 1
"""Blocks after which a node has forgotten a signature, and its blockhash has expired for good."""


def die(signature: str) -> None:
    """The sender dies; the network has its bytes."""
    raise Crash(signature)


def live(signature: str) -> None:
    """The sender hears that its bytes were taken."""


async def dies_after_the_first_send(world: ToyWorld) -> None:
    world.chain.on_send = die
    assert not await world.life()
    world.chain.on_send = live


# The attempt record expires before the chain does --------------------------------------------------------------------


async def a_minter_comes_back_late(world: ToyWorld, *, keeps: bool) -> None:
    await dies_after_the_first_send(world)
    world.chain.pass_blocks(LONG)
    if not keeps:
        world.log.streams.clear()
    assert await world.life()
    world.judge()


async def test_the_attempt_record_expires_before_the_chain_does() -> None:
    await a_minter_comes_back_late(ToyWorld(), keeps=True)
    with pytest.raises(Doubled):
        await a_minter_comes_back_late(ToyWorld(), keeps=False)


async def test_no_limit_makes_the_log_forget_an_attempt(nats_accounts: NatsAccounts) -> None:
    url = await nats_accounts.take()
    async with Log.session(Connection((url,), Producer(name="test", version="test"))) as log:
        await log.declare()
    client = await nats.connect(url)
    try:
        for stream in (MINT, COLLECTION):
            config = (await client.jetstream().stream_info(stream.name)).config
            limits = (config.max_age, config.max_msgs, config.max_bytes, config.max_msgs_per_subject)
            assert all((limit or 0) <= 0 for limit in limits), limits
            assert config.deny_delete
            assert config.retention == "limits"
    finally:
        await client.close()


# Status looked up without history and read as "not sent" -------------------------------------------------------------


class RecentOnly(ToyChain):
    """Searches no history, whatever it is asked."""

    async def look(self, signatures: Sequence[str], *, search_history: bool) -> Look:
        return await super().look(signatures, search_history=False)


async def test_status_looked_up_without_history_and_read_as_not_sent() -> None:
    await a_minter_comes_back_late(ToyWorld(ToyChain()), keeps=True)
    with pytest.raises(Doubled):
        await a_minter_comes_back_late(ToyWorld(RecentOnly()), keeps=True)


# A circuit breaker that declares an unknown result failed ------------------------------------------------------------


class Breaker:
    """`next_step`, until too many looks were not answered."""

    def __init__(self) -> None:
        self.failures = 0

    def __call__(self, attempts: Sequence[Attempt], view: ChainView | None, since_send: float | None) -> Step:
        self.failures = self.failures + 1 if attempts and view is None else 0
        if self.failures > 5:
            return Refused(Refusal(FailureCode.PROGRAM_REFUSED, "The cluster does not answer.", "Try again."))
        return next_step(attempts, view, since_send)


async def nobody_answers_for_a_while() -> None:
    world = ToyWorld()
    world.chain.silent_looks = LONG
    assert await world.life()
    world.judge()


async def test_a_circuit_breaker_that_declares_an_unknown_result_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    await nobody_answers_for_a_while()
    monkeypatch.setattr(lander, "next_step", Breaker())
    with pytest.raises(DeclaredFailed):
        await nobody_answers_for_a_while()


# A record written after the send -------------------------------------------------------------------------------------


class RecordedLater(MintTransaction):
    """Keeps its attempt to itself until it hears that it was sent, which here it never does."""

    _unsaid: SignedRecord | None = None

    async def read(self) -> SignedRecord | None:
        return self._unsaid or await super().read()

    async def intend(self, attempt: Attempt, wire_base64: str, earlier: tuple[Attempt, ...]) -> None:
        self._unsaid = SignedRecord((*earlier, attempt), wire_bytes(wire_base64))


async def dies_between_send_and_record(world: ToyWorld) -> None:
    await dies_after_the_first_send(world)
    world.chain.pass_blocks(1)
    world.make = MintTransaction
    assert await world.life()
    world.judge()


async def test_a_record_written_after_the_send() -> None:
    world = ToyWorld()
    await dies_between_send_and_record(world)
    assert set(world.chain.sent) == world.recorded()
    with pytest.raises(Doubled):
        await dies_between_send_and_record(ToyWorld(make=RecordedLater))


async def test_nothing_is_sent_that_is_not_on_the_log() -> None:
    world = ToyWorld(ToyChain({0: None, 1: None, 2: None}))
    unrecorded: list[str] = []

    def look_at_the_log(signature: str) -> None:
        if signature not in world.recorded():
            unrecorded.append(signature)

    world.chain.on_send = look_at_the_log
    assert await world.life()
    assert len(set(world.chain.sent)) == 2, "it was signed twice, with the proof that the first one is dead"
    assert unrecorded == []
    world.judge()


# An error class guessed from a substring -----------------------------------------------------------------------------

MISLEADING: Sequence[TransactionError] = (
    {"InstructionError": [1, {"Custom": 16017}]},
    {"InstructionError": [1, {"Custom": 60170}]},
    {"InstructionError": [0, {"BorshIoError": "tree 6017"}]},
    {"InstructionError": [0, "InsufficientFunds"]},
    "ProgramAccountNotFound",
    {"InstructionError": [0, {"BorshIoError": "BlockhashNotFound"}]},
)
"""Errors that would come again, of no class of their own, whose text has the words or digits of others in it."""


def guessed(error: TransactionError) -> FailureCode | None:
    """The class of an error as a substring suggests it."""
    text = json.dumps(error)
    if any(word in text for word in ("InsufficientFunds", "AccountNotFound", "BlockhashNotFound")):
        return None
    return FailureCode.TREE_FULL if "6017" in text else FailureCode.PROGRAM_REFUSED


def classified(error: TransactionError) -> FailureCode | None:
    refusal = classify(error)
    return refusal.code if refusal else None


@pytest.mark.parametrize("error", MISLEADING, ids=str)
def test_an_error_class_guessed_from_a_substring(error: TransactionError) -> None:
    assert classified(error) is FailureCode.PROGRAM_REFUSED
    assert guessed(error) is not FailureCode.PROGRAM_REFUSED, "an error that misleads nobody tests nothing"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"InstructionError": [1, {"Custom": 6017}]}, FailureCode.TREE_FULL),
        ("InsufficientFundsForFee", None),
        ("AccountNotFound", None),
        ("BlockhashNotFound", None),
    ],
)
def test_what_the_misleading_errors_look_like(error: TransactionError, code: FailureCode | None) -> None:
    assert classified(error) is guessed(error) is code


# A second signature for the same item while the first can still land -------------------------------------------------


async def the_bytes_take_their_time(blocks: int) -> None:
    """The first send arrives after so many blocks, all others of the same bytes are lost."""
    world = ToyWorld()
    world.chain.delays = {0: blocks} | dict.fromkeys(range(1, VALIDITY), None)
    assert await world.life()
    world.judge()


def impatient(attempts: Sequence[Attempt], view: ChainView | None, since_send: float | None) -> Step:
    """Signs again what was not seen a second after it was sent."""
    step = next_step(attempts, view, since_send)
    return Sign(attempts[-1].number + 1) if attempts and view and not view.states and since_send else step


def looks_expired_at_the_tip(attempt: Attempt, finalized_height: int | None) -> bool:
    """Takes the newest block's height for one that counts, and the last valid height for the end."""
    return finalized_height is not None and finalized_height + FINALITY >= attempt.last_valid_block_height


@pytest.mark.parametrize("blocks", [VALIDITY - 1, VALIDITY, VALIDITY + 1])
async def test_a_second_signature_while_the_first_can_still_land(blocks: int) -> None:
    await the_bytes_take_their_time(blocks)


async def test_impatience_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lander, "next_step", impatient)
    with pytest.raises(Doubled):
        await the_bytes_take_their_time(VALIDITY - 1)


async def test_a_height_that_is_not_final_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (landing, watcher):
        monkeypatch.setattr(module, "looks_expired", looks_expired_at_the_tip)
    with pytest.raises(Doubled):
        await the_bytes_take_their_time(VALIDITY + 1)


class Unfenced(MemoryLog):
    """A log that takes whatever is said."""

    async def publish(
        self,
        fact: Fact,
        *,
        cause: Event[Fact] | None,
        expected_sequence: int | None = None,
        fence: str | None = None,
    ) -> int:
        return await super().publish(fact, cause=cause)


async def one_minter_stalls_before_it_signs(log: MemoryLog) -> None:
    """Two begin; the second one goes on when the first one has sent."""
    world = ToyWorld(log=log)
    world.chain.stalls_at = 2
    assert await asyncio.gather(world.life(), world.life()) == [True, True]
    world.judge()


async def test_two_minters_sign_one_item_once() -> None:
    await one_minter_stalls_before_it_signs(MemoryLog())
    with pytest.raises(Doubled):
        await one_minter_stalls_before_it_signs(Unfenced())
