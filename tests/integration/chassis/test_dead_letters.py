"""Dead letters on a real log: a replay reaches the consumer once more, at most once, and never over later words."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis.dead_letters import AlreadySettled, NoSuchLetter, Superseded, drop, letter, letters, replay
from chassis.log import InvalidEvent, Message, RawMessage
from chassis.messaging import Connection, Log
from contracts import registry
from contracts.dead import DeadLetter, DeadLetterSettled
from contracts.fact import Producer
from contracts.mint import Confirmed, Failed, FailureCode, ItemFailure, Requested
from contracts.streams import DEAD, IPFS_MINT, MINT
from tests.support.samples import SAMPLES

REQUESTED = next(each for each in SAMPLES if isinstance(each, Requested))


@pytest.fixture
async def log(nats_url: str) -> AsyncGenerator[Log]:
    async with Log.session(Connection((nats_url,), Producer(name="test", version="1"))) as opened:
        await opened.declare((MINT, DEAD), (IPFS_MINT,), ())
        yield opened


async def handled(nats_url: str, *, mended: bool) -> Message[Any]:
    """What the consumer is given next; it buries it unless it is mended."""
    given: list[Message[Any]] = []
    async with Log.session(Connection((nats_url,), Producer(name="ipfs", version="1"))) as own:

        async def handle(message: Message[Any]) -> None:
            given.append(message)
            own.drain()
            if not mended:
                raise InvalidEvent("not yet")

        await own.consume(IPFS_MINT, handle, concurrency=1)
    assert len(given) == 1
    return given[0]


async def open_letters(log: Log) -> list[int]:
    return [each.number async for each in letters(log)]


async def test_a_replay_gives_the_consumer_the_same_message_once_more(log: Log, nats_url: str) -> None:
    said = await log.publish(REQUESTED, cause=None)
    first = await handled(nats_url, mended=False)
    assert await open_letters(log) == [1]
    assert (await letter(log, 1)).message.sequence == said

    settled = await replay(log, 1)
    second = await handled(nats_url, mended=True)
    assert (second.event, second.subject) == (first.event, first.subject)
    assert second.sequence == settled.said_at > said
    assert await open_letters(log) == []
    [kept] = [each async for each in letters(log, settled=True)]
    assert kept.settled == settled
    for decide in (replay, drop):
        with pytest.raises(AlreadySettled, match="replayed already"):
            await decide(log, 1)


async def test_a_replay_that_died_before_it_was_settled_is_not_said_twice(log: Log, nats_url: str) -> None:
    await log.publish(REQUESTED, cause=None)
    await handled(nats_url, mended=False)
    said_at = await log.repair().repeat(MINT, (await letter(log, 1)).message)
    assert (await replay(log, 1)).said_at == said_at
    assert await log.last_sequence(MINT) == said_at


async def test_a_confirmation_that_was_taken_back_is_not_said_again(log: Log) -> None:
    landed = next(each for each in SAMPLES if isinstance(each, Confirmed))
    said = await log.publish(landed, cause=None)
    raw = await log.lookup.raw(MINT, said)
    assert raw is not None
    buried = DeadLetter(
        stream=MINT.name,
        consumer="notifier-mint",
        subject_name=raw.subject,
        stream_sequence=said,
        reason="not yet",
        deliveries=8,
        payload=raw.payload.decode(),
    )
    await log.publish(buried, cause=None)
    taken_back = ItemFailure(items=(0,), code=FailureCode.PROGRAM_REFUSED, reason="A fork dropped it.")
    gone = Failed(
        operation=landed.operation, chunk=landed.chunk, tx=landed.tx, failure=taken_back, dropped=landed.signature
    )
    await log.publish(gone, cause=None)
    with pytest.raises(Superseded, match="not on chain any more"):
        await replay(log, 1)
    assert await log.last_sequence(MINT) == said + 1


async def test_a_letter_about_what_was_never_said_says_nothing(log: Log) -> None:
    """Every service may write letters; the one that replays them may say what no other may."""
    landed = next(each for each in SAMPLES if isinstance(each, Confirmed))
    forged = registry.encode(log.envelope(landed, None)).decode()
    said = await log.publish(REQUESTED, cause=None)
    truth = await log.lookup.raw(MINT, said)
    assert truth is not None
    lies = (
        (MINT.name, landed.subject(), 0, forged),  # never said: nothing stands on its subject
        (MINT.name, truth.subject, said, truth.payload.decode().replace(str(REQUESTED.recipient), "1" * 32)),
        (MINT.name, "mint.>", said, truth.payload.decode()),
        (MINT.name, "", said, truth.payload.decode()),
        (DEAD.name, truth.subject, said, truth.payload.decode()),
        ("NONE", truth.subject, said, truth.payload.decode()),
    )
    for number, (stream, subject, sequence, payload) in enumerate(lies, start=1):
        lie = DeadLetter(
            stream=stream,
            consumer="ipfs-mint",
            subject_name=subject,
            stream_sequence=sequence,
            reason="not yet",
            deliveries=1,
            payload=payload,
        )
        await log.publish(lie, cause=None)
        with pytest.raises(Superseded):
            await replay(log, number)
    assert await log.last_sequence(MINT) == said


async def test_noise_hides_no_letter(log: Log, nats_url: str) -> None:
    """Of whoever may write letters, or of a newer program."""
    for subject in ("dead.letter.v1.MINT.ipfs-mint", "dead.settled.v1.9"):
        await log.repair().append(DEAD, RawMessage(subject, 0, datetime.now(UTC), b"{}", {}), exactly=False)
    await log.publish(REQUESTED, cause=None)
    await handled(nats_url, mended=False)
    assert await open_letters(log) == [3]
    with pytest.raises(NoSuchLetter):
        await letter(log, 1)


async def test_what_was_said_since_is_not_undone(log: Log, nats_url: str) -> None:
    await log.publish(REQUESTED, cause=None)
    await handled(nats_url, mended=False)
    later = await log.publish(REQUESTED, cause=None)
    with pytest.raises(Superseded, match="something else was said"):
        await replay(log, 1)
    assert await log.last_sequence(MINT) == later
    assert await drop(log, 1) == DeadLetterSettled(letter=1, outcome="dropped")
    assert await open_letters(log) == []


async def test_a_number_that_is_no_letter(log: Log) -> None:
    await log.publish(DeadLetterSettled(letter=9, outcome="dropped"), cause=None)
    for number in (0, 1, 2):
        with pytest.raises(NoSuchLetter):
            await replay(log, number)
