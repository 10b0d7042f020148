# pyright: reportUnknownMemberType=false
"""The event log on a nats-server that is killed, and consumers that die: what only the real one can show."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import nats
import pytest

from chassis import metrics
from chassis.batching import Batching, Burst
from chassis.clock import SystemClock
from chassis.dead_letters import Letter
from chassis.exposition import REGISTRY
from chassis.log import InvalidEvent, LogUnavailable, Message, RawMessage
from chassis.messaging import WRONG_LAST_SEQUENCE, Connection, Log
from contracts.dead import DeadLetter
from contracts.fact import Producer
from contracts.mint import Completed
from contracts.streams import DEAD, MINT, Consumer
from localnet.child import Child, running
from localnet.nats_server import NatsOptions, nats_spec
from tests.support.ending import end

CONSUMER = Consumer(
    name="test", stream="MINT", filters=(Completed.pattern(),), description="", ack_wait=1.0, max_deliveries=3
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Child]:
    async with running(nats_spec(NatsOptions(data_dir=tmp_path / "nats"))) as child:
        yield child


def connection(server: Child) -> Connection:
    return Connection(servers=(server.addresses["nats"],), producer=Producer(name="test", version="test"), timeout=1.0)


class Hurried(SystemClock):
    """Does not wait before it tries again."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.01))


def completed(number: int) -> Completed:
    return Completed(operation=UUID(int=number), total=1, minted=1, failed=0)


async def test_a_message_held_by_a_dead_worker_goes_to_the_next(server: Child) -> None:
    async with Log.session(connection(server)) as dying, Log.session(connection(server)) as living:
        await dying.declare(consumers=(CONSUMER,))
        await dying.publish(completed(1), cause=None)
        taken = asyncio.Event()

        async def hang(_: Message[Any]) -> None:
            taken.set()
            await asyncio.Event().wait()

        worker = asyncio.create_task(dying.consume(CONSUMER, hang, concurrency=1))
        await taken.wait()
        await end([worker])
        seen: list[int] = []

        async def take(message: Message[Any]) -> None:
            seen.append(message.deliveries)
            living.drain()

        await living.consume(CONSUMER, take, concurrency=1)
        assert seen == [2]


async def test_a_long_handler_keeps_its_message(server: Child) -> None:
    """Longer than the ack wait, and yet delivered once: progress is reported."""
    async with Log.session(connection(server)) as log:
        await log.declare(consumers=(CONSUMER,))
        await log.publish(completed(1), cause=None)
        deliveries: list[int] = []

        async def slow(message: Message[Any]) -> None:
            deliveries.append(message.deliveries)
            await asyncio.sleep(CONSUMER.ack_wait * 3)
            log.drain()

        await log.consume(CONSUMER, slow, concurrency=2)
        assert deliveries == [1]


async def test_publishing_and_reading_go_on_after_a_killed_server(server: Child, tmp_path: Path) -> None:
    port = int(server.addresses["nats"].rsplit(":", 1)[1])
    async with Log.session(connection(server)) as log:
        await log.declare(consumers=(CONSUMER,))
        await log.publish(completed(1), cause=None, expected_sequence=0)
        reader = log.read(MINT, after=0)
        assert (await anext(reader)).sequence == 1
        server.kill()
        await server.wait()
        waiting = asyncio.create_task(log.publish(completed(2), cause=None, expected_sequence=0))
        async with running(nats_spec(NatsOptions(data_dir=tmp_path / "nats", port=port))):
            assert await waiting == 2
            assert (await anext(reader)).sequence == 2
            assert await log.last(Completed, operation=UUID(int=1)) is not None


class Batches(Batching):
    """The rule of a disk on which a batch always pays."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self._largest = most

    def burst(self, waiting: int, now: float) -> Burst:
        return Burst(min(waiting, self._largest), batched=True)


async def test_publishes_of_one_moment_are_one_batch(server: Child) -> None:
    """One atomic batch, one fsync: the server says of every stored message which batch it came in."""
    async with Log.session(replace(connection(server), rule=Batches)) as log:
        await log.declare(consumers=(CONSUMER,))
        sequences = await asyncio.gather(*(log.publish(completed(number), cause=None) for number in range(1, 51)))
        messages = [message async for message in first(log, 50)]
        assert len({message.headers["Nats-Batch-Id"] for message in messages}) == 1
        assert sequences == [message.sequence for message in messages]


async def test_batches_can_be_smaller_or_none(server: Child) -> None:
    for most, rule, expected in ((20, Batches, 3), (1, Batching, 0)):
        async with Log.session(replace(connection(server), max_batch=most, rule=rule)) as log:
            await log.declare(consumers=(CONSUMER,))
            before = await log.last_sequence(MINT)
            sequences = await asyncio.gather(*(log.publish(completed(number), cause=None) for number in range(1, 51)))
            messages = [message async for message in first(log, 50, after=before)]
            assert sequences == [message.sequence for message in messages]
            batches = {message.headers["Nats-Batch-Id"] for message in messages if "Nats-Batch-Id" in message.headers}
            assert len(batches) == expected


@pytest.mark.parametrize("rule", [Batching, Batches], ids=["singly", "as a batch"])
async def test_of_publishes_of_one_moment_each_gets_its_own_answer(
    server: Child, rule: Callable[[int], Batching]
) -> None:
    """Two say the same, and only one of them may; the others are stored."""
    async with Log.session(replace(connection(server), rule=rule)) as log:
        await log.declare(consumers=(CONSUMER,))
        assert await log.publish_once(completed(1), cause=None)
        asked = [log.publish_once(completed(number), cause=None) for number in (1, 2, 3, 3, 4, 5)]
        assert await asyncio.gather(*asked) == [False, True, True, False, True, True]
        assert [message.subject for message in [each async for each in first(log, 5)]] == [
            completed(number).subject() for number in (1, 2, 3, 4, 5)
        ]


async def test_a_publish_without_an_answer_ends_and_the_next_is_answered(server: Child) -> None:
    """Also those of one moment: all that went in one write have waited for one deadline."""
    async with Log.session(connection(server)) as log:
        await log.declare(consumers=(CONSUMER,))
        await log.publish(completed(1), cause=None)
        server.kill(signal.SIGSTOP)
        try:
            asked = [asyncio.create_task(log.publish_once(completed(number), cause=None)) for number in (2, 3)]
            await asyncio.wait(asked, timeout=connection(server).timeout * 1.5)  # then they have begun to try again
        finally:
            server.kill(signal.SIGCONT)
        assert await asyncio.gather(*asked) == [True, True]
        assert await log.last_sequence(MINT) == 3, "and were stored once"


async def test_a_batch_is_judged_when_it_is_committed(server: Child) -> None:
    """What is stored between a batch's first message and its commit counts: the server's promise that we build on."""
    client = await nats.connect(server.addresses["nats"])
    async with Log.session(connection(server)) as log:
        await log.declare(consumers=(CONSUMER,))
        subject, expected = completed(1).subject(), {"Nats-Expected-Last-Subject-Sequence": "0"}
        batch = {"Nats-Batch-Id": "b", **expected}
        await client.publish(subject, b"{}", headers={**batch, "Nats-Batch-Sequence": "1"})
        await client.flush()
        await log.publish(completed(1), cause=None, expected_sequence=0)
        other = completed(2).subject()
        answer = await client.request(
            other, b"{}", headers={**batch, "Nats-Batch-Sequence": "2", "Nats-Batch-Commit": "1"}
        )
        assert json.loads(answer.data)["error"]["err_code"] == WRONG_LAST_SEQUENCE
        assert await log.last_sequence(MINT) == 1
    await client.close()


async def test_who_loses_a_fence_is_counted(server: Child) -> None:
    def fenced() -> float:
        return REGISTRY.get_sample_value("mintstream_log_fenced_total", {"stream": "MINT"}) or 0.0

    async with Log.session(connection(server)) as log:
        await log.declare(consumers=())
        before = fenced()
        assert await log.publish_once(completed(1), cause=None)
        assert fenced() == before
        assert not await log.publish_once(completed(1), cause=None)
        assert fenced() == before + 1


async def test_who_no_longer_reads_tells_of_no_lag(server: Child) -> None:
    """An indexer that lost the lead lives on: its last word would keep the alert up for ever."""

    def lag() -> float | None:
        return REGISTRY.get_sample_value("mintstream_consumer_lag", {"consumer": "MINT"})

    async with Log.session(connection(server)) as log:
        await log.declare(consumers=())
        await log.publish(completed(1), cause=None)
        seen = asyncio.Event()

        async def read() -> None:
            async for _ in log.read(MINT, 0):
                metrics.CONSUMER_LAG.set(7, consumer="MINT")
                seen.set()

        reading = asyncio.create_task(read())
        await seen.wait()
        await end([reading])
        assert lag() == 0


async def first(log: Log, count: int, after: int = 0) -> AsyncIterator[RawMessage]:
    messages = log.read(MINT, after)
    for _ in range(count):
        yield await anext(messages)


async def test_a_message_that_cannot_be_buried_now_is_buried_later(server: Child) -> None:
    """Nowhere to put it says nothing about the others: the consumer goes on with them."""
    async with Log.session(connection(server), Hurried()) as log:
        await log.declare((MINT,), (CONSUMER,), ())
        await log.publish(completed(1), cause=None)
        await log.publish(completed(2), cause=None)
        handled = asyncio.Event()

        async def handle(message: Message[Any]) -> None:
            if message.sequence == 1:
                raise InvalidEvent("nonsense")
            handled.set()

        working = asyncio.create_task(log.consume(CONSUMER, handle, concurrency=1))
        waiting = asyncio.create_task(handled.wait())
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
        assert handled.is_set(), working
        await log.declare((DEAD,), (), ())
        buried = await anext(log.read(DEAD, after=0))
        assert json.loads(buried.payload)["data"]["streamSequence"] == 1
        log.drain()
        await working


async def test_the_largest_message_is_buried_whole(server: Child) -> None:
    """Also one that doubles as a text within a text."""
    async with Log.session(connection(server)) as log:
        await log.declare((MINT, DEAD), (CONSUMER,), ())
        payload = b"\\" * (MINT.max_message_bytes - 1024)
        client = await nats.connect(server.addresses["nats"])
        await client.jetstream().publish(completed(1).subject(), payload)
        await client.close()
        working = asyncio.create_task(log.consume(CONSUMER, nothing, concurrency=1))
        reading = asyncio.ensure_future(anext(log.read(DEAD, after=0)))
        await asyncio.wait((working, reading), return_when=asyncio.FIRST_COMPLETED)
        letter = await log.last(DeadLetter, stream="MINT", consumer="test")
        assert letter is not None, working
        assert Letter(1, letter.stored_at, letter.data, None).message.payload == payload
        log.drain()
        await working


async def test_a_history_of_which_something_was_lost_on_the_way_does_not_end_as_if_it_were_whole(
    server: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a client changes servers while it is given messages: those of a moment go to where it was before."""
    monkeypatch.setattr("chassis.messaging_lookup.READ_BATCH", 2)
    client = await nats.connect(server.addresses["nats"])
    async with Log.session(connection(server)) as log:
        await log.declare((MINT,), (), ())
        for number in range(1, 6):
            await log.publish(completed(number), cause=None)
        history = log.lookup.history(MINT, [Completed.pattern()])
        assert [(await anext(history)).sequence for _ in range(2)] == [1, 2]
        [reader] = await client.jetstream().consumers_info("MINT")
        elsewhere = await client.subscribe("elsewhere")
        await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.MINT.{reader.name}", b"1", reply="elsewhere")
        await elsewhere.next_msg(timeout=30)
        with pytest.raises(LogUnavailable, match="2 messages arrived, and then number 4"):
            await anext(history)
    await client.close()


async def nothing(_: Message[Any]) -> None:
    pass
