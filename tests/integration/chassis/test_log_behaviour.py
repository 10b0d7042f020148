"""One suite for the event log, run on the in-memory twin and on a real nats-server."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from chassis.delivery import BurialCap
from chassis.log import InvalidEvent, Message, RetryLater, SequenceConflict
from chassis.messaging import Connection, Log
from contracts.dead import DeadLetter
from contracts.fact import Producer
from contracts.mint import Completed, Confirmed, Failed, Finalized, Requested, Signed, transaction_fence
from contracts.streams import DEAD, MINT, UPLOADS, Consumer
from localnet.child import running
from localnet.nats_server import NatsOptions, nats_spec
from tests.support.memory_log import MemoryLog, MemoryUploads
from tests.support.samples import CONFIRMED, FAILURE, REQUESTED, SIGNED

AnyLog = Log | MemoryLog
CONSUMER = Consumer(
    name="test", stream="MINT", filters=(Completed.pattern(),), description="", ack_wait=1.5, max_deliveries=3
)


@pytest.fixture(params=["memory", "nats"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AnyLog]:
    if request.param == "memory":
        yield MemoryLog()
        return
    async with running(nats_spec(NatsOptions(data_dir=tmp_path / "nats"))) as server:
        connection = Connection(servers=(server.addresses["nats"],), producer=Producer(name="test", version="test"))
        async with Log.session(connection) as found:
            await found.declare(consumers=(CONSUMER,))
            yield found


def completed(number: int) -> Completed:
    return Completed(operation=UUID(int=number), total=1, minted=1, failed=0)


@dataclass
class Recorder:
    """A handler that keeps what it is given and does what it is told to, message by message."""

    log: AnyLog
    failures: list[Exception] = field(default_factory=list[Exception])
    seen: list[Message[Any]] = field(default_factory=list[Message[Any]])
    until: int = 1

    async def __call__(self, message: Message[Any]) -> None:
        self.seen.append(message)
        if len(self.seen) >= self.until:
            self.log.drain()
        if self.failures:
            raise self.failures.pop(0)


async def test_a_fact_comes_back_with_its_envelope(log: AnyLog) -> None:
    first = await log.publish(REQUESTED, cause=None)
    found = await log.last(Requested, operation=REQUESTED.operation)
    assert found is not None
    assert (found.sequence, found.data, found.event.causation_id) == (first, REQUESTED, None)
    await log.publish(SIGNED, cause=found.event)
    signed = await log.last(Signed, operation=SIGNED.operation, chunk=0, tx=1)
    assert signed is not None
    assert signed.event.causation_id == found.event.id


async def test_what_was_never_said_is_none(log: AnyLog) -> None:
    assert await log.last(Requested, operation=REQUESTED.operation) is None
    assert await log.last_sequence(MINT) == 0


async def test_once_is_once_even_for_many_at_the_same_moment(log: AnyLog) -> None:
    stored = await asyncio.gather(*(log.publish_once(REQUESTED, cause=None) for _ in range(20)))
    assert sum(stored) == 1
    assert await log.last_sequence(MINT) == 1


async def test_among_many_at_the_same_moment_only_those_in_conflict_are_refused(log: AnyLog) -> None:
    for number in range(1, 200, 7):
        await log.publish(completed(number), cause=None)
    taken = set(range(1, 200, 7))
    stored = await asyncio.gather(*(log.publish_once(completed(number), cause=None) for number in range(1, 200)))
    assert {number for number, new in enumerate(stored, 1) if not new} == taken
    assert await log.last_sequence(MINT) == 199


async def test_everyone_at_the_same_moment_is_told_the_sequence_of_his_own_message(log: AnyLog) -> None:
    sequences = await asyncio.gather(*(log.publish(completed(number), cause=None) for number in range(1, 100)))
    for number, sequence in enumerate(sequences, 1):
        found = await log.last(Completed, operation=UUID(int=number))
        assert found is not None
        assert found.sequence == sequence


async def test_two_facts_under_one_fence_at_the_same_moment_are_one(log: AnyLog) -> None:
    fence = transaction_fence(SIGNED.operation, SIGNED.chunk, SIGNED.tx)
    failed = Failed(operation=SIGNED.operation, chunk=SIGNED.chunk, tx=SIGNED.tx, failure=FAILURE)
    outcomes = await asyncio.gather(
        *(log.publish(fact, cause=None, expected_sequence=0, fence=fence) for fact in (SIGNED, failed, SIGNED)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, SequenceConflict) for outcome in outcomes) == 2
    assert await log.last_sequence(MINT) == 1


async def test_a_second_attempt_must_know_the_first(log: AnyLog) -> None:
    first = await log.publish(SIGNED, cause=None, expected_sequence=0)
    with pytest.raises(SequenceConflict):
        await log.publish(SIGNED, cause=None, expected_sequence=0)
    assert await log.publish(SIGNED, cause=None, expected_sequence=first) > first


async def test_the_fence_covers_every_fact_of_a_transaction(log: AnyLog) -> None:
    fence = transaction_fence(SIGNED.operation, SIGNED.chunk, SIGNED.tx)
    failed = Failed(operation=SIGNED.operation, chunk=SIGNED.chunk, tx=SIGNED.tx, failure=FAILURE)
    signed = await log.publish(SIGNED, cause=None, expected_sequence=0, fence=fence)
    with pytest.raises(SequenceConflict):
        await log.publish(failed, cause=None, expected_sequence=0, fence=fence)
    confirmed = await log.publish(CONFIRMED, cause=None, expected_sequence=signed, fence=fence)
    newest = await log.last_matching(MINT, fence)
    assert newest is not None
    assert isinstance(newest.data, Confirmed)
    assert newest.sequence == confirmed


async def test_the_whole_stream_is_read_in_order_and_followed(log: AnyLog) -> None:
    for number in range(1, 6):
        await log.publish(completed(number), cause=None)
    reader = log.read(MINT, after=2)
    sequences = [(await anext(reader)).sequence for _ in range(3)]
    await log.publish(completed(6), cause=None)
    sequences.append((await anext(reader)).sequence)
    assert sequences == [3, 4, 5, 6]


async def test_a_reader_beyond_the_end_of_the_stream_is_given_nothing_from_before(log: AnyLog) -> None:
    """As after a loss: what comes at sequences that it had read already is not for it."""
    await log.publish(completed(1), cause=None)
    reader = asyncio.ensure_future(anext(log.read(MINT, after=3)))
    for number in range(2, 7):
        await asyncio.sleep(0.1)
        await log.publish(completed(number), cause=None)
    assert (await reader).sequence == 4


async def test_what_is_purged_leaves_holes_and_moves_no_fence(log: AnyLog) -> None:
    finalized = Finalized(
        operation=SIGNED.operation, chunk=SIGNED.chunk, tx=SIGNED.tx, signature=CONFIRMED.signature, slot=CONFIRMED.slot
    )
    for fact in (REQUESTED, SIGNED, CONFIRMED, SIGNED, CONFIRMED, finalized, CONFIRMED, completed(1)):
        await log.publish(fact, cause=None)
    purging = log if isinstance(log, MemoryLog) else log.repair()
    for _ in range(2):
        for kind in (Confirmed, Signed):
            await purging.purge(MINT, kind.pattern().replace("*", str(SIGNED.operation), 1), up_to=5)
        await purging.purge(MINT, Completed.pattern().replace("*", str(SIGNED.operation), 1), up_to=8)
    reader = log.read(MINT, after=0)
    assert [(await anext(reader)).sequence for _ in range(4)] == [1, 6, 7, 8]
    reader = log.read(MINT, after=3)
    assert (await anext(reader)).sequence == 6
    assert [raw.sequence async for raw in log.lookup.history(MINT, ["mint.>"])] == [1, 6, 7, 8]
    assert [await log.lookup.at(MINT, sequence) for sequence in (2, 5)] == [None, None]
    assert await log.last(Signed, operation=SIGNED.operation, chunk=SIGNED.chunk, tx=SIGNED.tx) is None
    assert await log.last_sequence(MINT) == 8
    fence = transaction_fence(SIGNED.operation, SIGNED.chunk, SIGNED.tx)
    for expected in (0, 2, 6):
        with pytest.raises(SequenceConflict):
            await log.publish(SIGNED, cause=None, expected_sequence=expected, fence=fence)


async def test_a_handled_message_is_not_delivered_again(log: AnyLog) -> None:
    for number in range(1, 8):
        await log.publish(completed(number), cause=None)
    recorder = Recorder(log, until=7)
    await log.consume(CONSUMER, recorder, concurrency=3)
    assert sorted(message.sequence for message in recorder.seen) == list(range(1, 8))


async def test_retry_later_delivers_the_message_again(log: AnyLog) -> None:
    await log.publish(completed(1), cause=None)
    recorder = Recorder(log, failures=[RetryLater("busy", after=0.05)] * 5, until=6)
    await log.consume(CONSUMER, recorder, concurrency=1)
    assert [message.sequence for message in recorder.seen] == [1] * 6
    assert await log.last_sequence(DEAD) == 0


async def test_an_invalid_event_is_buried_whole_and_the_next_is_handled(log: AnyLog) -> None:
    await log.publish(completed(1), cause=None)
    await log.publish(completed(2), cause=None)
    recorder = Recorder(log, failures=[InvalidEvent("nonsense")], until=2)
    await log.consume(CONSUMER, recorder, concurrency=1)
    letter = await log.last(DeadLetter, stream="MINT", consumer="test")
    assert letter is not None
    assert (letter.data.stream_sequence, letter.data.reason) == (1, "nonsense")
    assert letter.data.subject_name == completed(1).subject()


async def test_an_unknown_failure_is_retried_and_then_buried(log: AnyLog) -> None:
    await log.publish(completed(1), cause=None)
    recorder = Recorder(log, failures=[ZeroDivisionError("bug")] * 3, until=3)
    await log.consume(CONSUMER, recorder, concurrency=1)
    letter = await log.last(DeadLetter, stream="MINT", consumer="test")
    assert letter is not None
    assert letter.data.reason == "failed 3 times, the last time with ZeroDivisionError: bug"
    assert len(recorder.seen) == 3


async def test_announced_retries_do_not_count_among_the_failures(log: AnyLog) -> None:
    await log.publish(completed(1), cause=None)
    announced: list[Exception] = [RetryLater("busy", after=0.01)] * CONSUMER.max_deliveries
    recorder = Recorder(log, failures=[*announced, ZeroDivisionError("bug")], until=len(announced) + 2)
    await log.consume(CONSUMER, recorder, concurrency=1)
    assert len(recorder.seen) == len(announced) + 2, "a failure after them is tried again"
    assert await log.last_sequence(DEAD) == 0


async def test_uploads_are_kept_by_their_digest(log: AnyLog) -> None:
    uploads = MemoryUploads() if isinstance(log, MemoryLog) else await log.uploads(UPLOADS)
    data = b"image" * 100_000
    digest = hashlib.sha256(data).hexdigest()
    assert await uploads.get(digest) is None
    await uploads.put(digest, data)
    await uploads.put(digest, data)
    assert await uploads.get(digest) == data
    with pytest.raises(ValueError, match="digest"):
        await uploads.put("0" * 64, data)


async def test_uploads_are_copied_piece_by_piece_and_deleted(log: AnyLog, tmp_path: Path) -> None:
    uploads = MemoryUploads() if isinstance(log, MemoryLog) else await log.uploads(UPLOADS)
    data = bytes(range(256)) * 2_000
    digest = hashlib.sha256(data).hexdigest()
    await uploads.put(digest, data)
    with (tmp_path / "copy").open("w+b") as target:
        assert await uploads.copy(digest, target) == len(data)
        target.seek(0)
        assert target.read() == data
        await uploads.delete(digest)
        await uploads.delete(digest)
        assert await uploads.copy(digest, target) is None
    assert await uploads.get(digest) is None
    await uploads.put(digest, data)
    assert await uploads.get(digest) == data


def test_the_cap_halts_beyond_its_limit_and_forgets_with_time() -> None:
    cap = BurialCap(limit=2, window=10)
    assert [cap.record(now) for now in (0.0, 1.0, 2.0)] == [False, False, True]
    assert not cap.record(100.0)


async def test_messages_are_found_by_their_place(log: AnyLog) -> None:
    for number in (1, 2, 1):
        await log.publish(completed(number), cause=None)
    second = await log.lookup.at(MINT, 2)
    assert second is not None
    assert (second.data, second.sequence) == (completed(2), 2)
    assert await log.lookup.at(MINT, 4) is None
    found = await log.lookup.next(MINT, completed(1).subject(), 1)
    assert found is not None
    assert (found.data, found.sequence) == (completed(1), 3)
    assert await log.lookup.next(MINT, Completed.pattern(), 3) is None


async def test_history_is_what_there_is_and_ends(log: AnyLog) -> None:
    assert [raw async for raw in log.lookup.history(MINT, [Completed.pattern()])] == []
    await log.publish(REQUESTED, cause=None)
    for number in range(1, 601):  # more than one pull request brings
        await log.publish(completed(number), cause=None)
    patterns = [completed(7).subject(), Requested.pattern(), completed(600).subject()]
    assert [raw.sequence async for raw in log.lookup.history(MINT, patterns)] == [1, 8, 601]
    whole = [raw async for raw in log.lookup.history(MINT, [Completed.pattern()])]
    assert [raw.sequence for raw in whole] == list(range(2, 602))
    beyond = [raw.sequence async for raw in log.lookup.history(MINT, patterns, after=8)]
    assert beyond == [601]
    assert [raw async for raw in log.lookup.history(MINT, patterns, after=601)] == []
    await asyncio.sleep(0.01)  # the server's clock and this one are one, and tell time in microseconds
    middle = datetime.now(UTC)
    await asyncio.sleep(0.01)
    for number in (1, 2):
        await log.publish(completed(number), cause=None)
    assert [raw.sequence async for raw in log.lookup.history(MINT, [Completed.pattern()], middle)] == [602, 603]
    for beginning, found in (("0001-01-01T00:00:00+14:00", 602), ("9999-12-31T23:59:59-14:00", 0)):
        since = datetime.fromisoformat(beginning)  # which no clock of the log can tell
        assert len([raw async for raw in log.lookup.history(MINT, [Completed.pattern()], since)]) == found
