"""Watching a confirmed transaction to its finality: what proves a fork, and what proves nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import cast
from unittest.mock import AsyncMock, Mock

import pytest
from msgspec.structs import replace
from solders.keypair import Keypair

from chassis.clock import SystemClock
from chassis.log import Message, MissingFact, RetryLater
from contracts.mint import Attempt, Confirmed, Failed, Finalized
from services.minter.lander import Lander, Settled, Transaction
from services.minter.landing import ChainView, Commitment, SignatureState
from services.minter.minting import Minting
from services.minter.ports import Chain
from services.minter.refusals import METADATA, Refusal
from services.minter.relearning import Relearner
from services.minter.watcher import SignatureWatcher
from tests.support import samples
from tests.support.memory_log import MemoryLog

HEIGHT = 400
FINAL = SignatureState(204, Commitment.FINALIZED)
NOT_YET = SignatureState(204, Commitment.CONFIRMED)


class LaterClock(SystemClock):
    """A minute ahead: whatever was confirmed just now is old enough to be final."""

    def now(self) -> datetime:
        return super().now() + timedelta(minutes=1)


@dataclass
class Watcher:
    """Shows one view of the chain."""

    shown: ChainView | None

    async def view(self, attempts: Sequence[Attempt]) -> ChainView | None:
        return self.shown


@dataclass
class Landings:
    """Notes what is to be landed again."""

    labels: list[str] = field(default_factory=list[str])

    async def land(self, transaction: Transaction) -> Refusal:
        self.labels.append(transaction.label)
        raise Settled


class Refusing(Landings):
    """Finds that nothing of the transaction is, or can come, on chain any more."""

    async def land(self, transaction: Transaction) -> Refusal:
        await transaction.read()
        return METADATA


def shown(state: SignatureState | None, *, height: int | None = HEIGHT) -> ChainView:
    states = {} if state is None else {samples.SIGNED.attempt.signature: state}
    return ChainView(states, height, searched=False)


async def watch(
    log: MemoryLog,
    view: ChainView | None,
    clock: SystemClock | None = None,
    of: Message[Confirmed] | None = None,
    landings: Landings | None = None,
    relearner: Relearner | None = None,
) -> Landings:
    """Hand the log's confirmation, or one of them, to the handler."""
    landings = landings or Landings()
    minting = Minting(
        log,
        cast("Chain", None),
        cast("Lander", landings),
        cast("SignatureWatcher", Watcher(view)),
        Keypair().pubkey(),
        clock or LaterClock(),
        relearner=relearner,
    )
    await minting.on_confirmed(of or log.messages(Confirmed)[0])
    return landings


@pytest.fixture
async def log() -> MemoryLog:
    log = MemoryLog()
    for fact in (samples.COLLECTION_CREATED, samples.PINNED, samples.PLANNED, samples.SIGNED, samples.CONFIRMED):
        await log.publish(fact, cause=None)
    return log


async def test_what_is_final_is_told_once(log: MemoryLog) -> None:
    for _ in range(2):
        assert (await watch(log, shown(FINAL))).labels == []
    (finalized,) = log.facts(Finalized)
    assert (finalized.signature, finalized.slot) == (samples.SIGNED.attempt.signature, FINAL.slot)


async def test_what_is_missing_counts_for_no_failure_while_the_log_may_have_lost_it(log: MemoryLog) -> None:
    (confirmed,) = log.messages(Confirmed)
    for stream in log.streams.values():
        stream.clear()
    relearner = cast("Relearner", Mock(admitted=AsyncMock(side_effect=RetryLater("closed", after=1.0))))
    with pytest.raises(RetryLater):
        await watch(log, shown(None), of=confirmed, relearner=relearner)
    with pytest.raises(MissingFact):
        await watch(log, shown(None), of=confirmed)


async def test_what_the_log_has_lost_is_not_called_final(log: MemoryLog) -> None:
    (confirmed,) = log.messages(Confirmed)
    log.streams["MINT"].pop()
    assert (await watch(log, shown(FINAL), of=confirmed)).labels == []
    assert log.facts(Finalized) == [], "the confirmation is told again, and with it the word that it is final"


class LateClock(SystemClock):
    """An hour behind."""

    def now(self) -> datetime:
        return super().now() - timedelta(hours=1)


async def test_a_clock_that_is_behind_the_logs_does_not_hold_up_the_word(log: MemoryLog) -> None:
    await watch(log, shown(FINAL), LateClock())
    assert len(log.facts(Finalized)) == 1


@pytest.mark.parametrize(
    "view",
    [None, shown(NOT_YET), shown(None, height=None), shown(NOT_YET, height=None)],
    ids=["no answer", "confirmed only", "not seen, without a head that fits", "confirmed, without a head"],
)
async def test_what_proves_nothing_is_looked_at_again(log: MemoryLog, view: ChainView | None) -> None:
    with pytest.raises(RetryLater):
        await watch(log, view)
    assert log.facts(Finalized) == []


async def test_what_was_confirmed_a_moment_ago_is_left_alone(log: MemoryLog) -> None:
    with pytest.raises(RetryLater) as later:
        await watch(log, shown(FINAL), SystemClock())
    assert later.value.after > 0
    assert log.facts(Finalized) == []


async def test_what_a_fork_dropped_is_landed_again(log: MemoryLog) -> None:
    landings = await watch(log, shown(None))
    signed = samples.SIGNED
    assert landings.labels == [f"{signed.operation}.{signed.chunk}.{signed.tx}"]
    assert log.facts(Finalized) == []


async def test_what_a_fork_dropped_and_the_chain_now_refuses_is_taken_back(log: MemoryLog) -> None:
    await watch(log, shown(None), landings=Refusing())
    (failed,) = log.facts(Failed)
    assert (failed.dropped, failed.failure.items) == (samples.CONFIRMED.signature, samples.SIGNED.items)


async def test_what_a_fork_moved_into_another_block_is_confirmed_anew(log: MemoryLog) -> None:
    moved = SignatureState(FINAL.slot + 1, Commitment.FINALIZED)
    landings = await watch(log, shown(moved))
    assert len(landings.labels) == 1, "its leaves may have other numbers there"
    assert log.facts(Finalized) == []
    before = log.messages(Confirmed)
    await log.publish(replace(samples.CONFIRMED, slot=moved.slot), cause=None)
    assert (await watch(log, shown(moved), of=before[0])).labels == [], "the new word is waited for, not the old one"
    assert log.facts(Finalized) == []
    await watch(log, shown(moved), of=log.messages(Confirmed)[1])
    assert [fact.slot for fact in log.facts(Finalized)] == [moved.slot]
