"""One transaction on the log: when it is looked up, and what refuses whoever did not look."""

from typing import Any

import pytest
from msgspec.structs import replace
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from chassis.log import InvalidEvent, Message, SequenceConflict
from contracts.collection import Standard
from contracts.fact import Fact
from contracts.mint import Failed, FailureCode, ItemFailure, Pinned, Signed
from contracts.streams import Stream
from services.minter.gate import Horizon, Passage
from services.minter.mint_transaction import MintTransaction
from services.minter.packing import pack
from services.minter.plan import wire_text
from tests.support import samples
from tests.support.memory_log import MemoryLog
from tests.support.packing import WALLET, created, item, pinned, rooms

CREATED, PINNED = created(Standard.V2), pinned([item(0)])
PAYER = Keypair()
OTHERS = ItemFailure(items=(1, 2), code=FailureCode.TREE_FULL, reason="Full.")
FAILED = Failed(operation=samples.OPERATION, chunk=0, tx=0, failure=OTHERS)
WIRE = wire_text(VersionedTransaction(MessageV0.try_compile(PAYER.pubkey(), [], [], Hash.default()), [PAYER]))


class CountingLog(MemoryLog):
    """Counts the looks for the newest message of a pattern."""

    looks = 0

    async def last_matching(self, stream: Stream, pattern: str) -> Message[Any] | None:
        self.looks += 1
        return await super().last_matching(stream, pattern)


async def planned(log: MemoryLog, *, unspoken: bool, passage: Passage | None = None) -> MintTransaction:
    """The only transaction of a chunk, in the hands of a worker."""
    if not log.facts(Pinned):
        await log.publish(PINNED, cause=None)
    cause = log.messages(Pinned)[0].event
    (one,) = pack(CREATED, PINNED, rooms(Standard.V2), WALLET)
    table = rooms(Standard.V2).table(one.tree)
    return MintTransaction(log, cause, CREATED, PINNED, one, table, WALLET, passage=passage, unspoken=unspoken)


async def test_what_was_planned_a_moment_ago_is_signed_without_a_look_at_the_log() -> None:
    log = CountingLog()
    transaction = await planned(log, unspoken=True)
    assert await transaction.read() is None
    await transaction.intend(samples.FIRST, WIRE, ())
    assert log.looks == 0
    record = await transaction.read()
    assert (log.looks, record and record.attempts) == (1, (samples.FIRST,))


async def test_whoever_did_not_look_and_was_not_first_is_refused_and_reads_who_was() -> None:
    log = CountingLog()
    await (await planned(log, unspoken=True)).intend(samples.FIRST, WIRE, ())
    late = await planned(log, unspoken=True)
    assert await late.read() is None
    with pytest.raises(SequenceConflict):
        await late.intend(samples.FIRST, WIRE, ())
    record = await late.read()
    assert record is not None
    assert record.attempts == (samples.FIRST,)
    assert len(log.facts(Signed)) == 1


async def test_after_an_intent_the_next_one_needs_no_look_either() -> None:
    log = CountingLog()
    transaction = await planned(log, unspoken=True)
    await transaction.intend(samples.FIRST, WIRE, ())
    await transaction.intend(samples.SECOND, WIRE, (samples.FIRST,))
    assert log.looks == 0
    assert [fact.attempt.number for fact in log.facts(Signed)] == [1, 2]


@pytest.mark.parametrize("fact", [replace(samples.SIGNED, tx=0), FAILED], ids=["signed", "failed"])
async def test_what_is_said_of_other_items_than_the_plans_settles_nothing(fact: Fact) -> None:
    log = CountingLog()
    transaction = await planned(log, unspoken=False)
    await log.publish(fact, cause=None)
    with pytest.raises(InvalidEvent):
        await transaction.read()


async def test_a_transaction_is_of_the_passage_in_which_its_plan_was_read() -> None:
    transaction = await planned(CountingLog(), unspoken=False, passage=Passage(1, None))
    assert transaction.made_in(Passage(1, None))
    assert not transaction.made_in(Passage(1, Horizon(5, 5)))
    assert not transaction.made_in(Passage(2, None))
