"""A leading indexer in memory: catching up, retrying, closing operations, stopping."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from chassis.clock import ManualClock
from chassis.log import LogUnavailable, RawMessage
from contracts.fact import Event, Fact
from contracts.mint import Completed, Failed
from contracts.streams import MINT, Stream
from services.indexer.closing import Closer
from services.indexer.entries import Entry, plan
from services.indexer.ports import Accounts, Committed, Fenced, StoreUnavailable
from services.indexer.projector import LogTruncated
from services.indexer.term import Term
from tests.support.indexing import completed, confirmed, failed, pin_failed, requested, uid
from tests.support.memory_log import MemoryLog
from tests.support.memory_tables import MemoryTables

FIRST, SECOND = uid("first"), uid("second")


class HeldLog(MemoryLog):
    """Gives the first messages of MINT, and the rest only when `release` is set."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self._first = first
        self.release = asyncio.Event()

    async def read(self, stream: Stream, after: int) -> AsyncGenerator[RawMessage, None]:
        async for message in super().read(stream, after):
            if stream is MINT and message.sequence > self._first:
                await self.release.wait()
            yield message


class CountingLog(MemoryLog):
    """Counts the publishes that were tried."""

    tries = 0

    async def publish_once(self, fact: Fact, *, cause: Event[Fact] | None) -> bool:
        self.tries += 1
        return await super().publish_once(fact, cause=cause)


class NoChain:
    """A chain without accounts."""

    async def accounts(self, addresses: Sequence[str], *, min_slot: int = 0) -> Accounts:
        return Accounts(slot=1)

    async def answers_das(self, collection_address: str) -> bool:
        return False


@dataclass
class World:
    log: MemoryLog = field(default_factory=MemoryLog)
    tables: MemoryTables = field(default_factory=MemoryTables)
    clock: ManualClock = field(default_factory=ManualClock)

    @asynccontextmanager
    async def leading(self) -> AsyncGenerator[asyncio.Task[None], None]:
        """A term for the body; killed, not stopped, at its end."""
        term = Term(self.log, self.tables, NoChain(), self.clock, count_interval=300)
        running = asyncio.create_task(term.run(asyncio.Event()))
        yield running
        running.cancel()
        await asyncio.wait([running])

    async def work(self) -> None:
        """Let everything that can happen happen, time included."""
        for _ in range(20):
            await self.clock.advance(1)


@pytest.fixture
def world() -> World:
    return World()


class UnheardTables(MemoryTables):
    """Commits the message that settles, and loses the answer."""

    lost = False

    async def apply(self, stream: str, after: int, entries: Sequence[Entry]) -> Committed:
        committed = await super().apply(stream, after, entries)
        if committed.settled and not self.lost:
            self.lost = True
            raise StoreUnavailable("committed, and nobody heard")
        return committed


async def test_an_operation_is_completed_although_the_answer_of_the_commit_that_settled_it_was_lost() -> None:
    world = World(tables=UnheardTables())
    async with world.leading():
        await world.log.publish(requested(FIRST, 1), cause=None)
        await world.work()
        await world.log.publish(confirmed(FIRST, 0, 0, [0]), cause=None)
        await world.work()
        assert [fact.operation for fact in world.log.facts(Completed)] == [FIRST]


async def test_an_operation_whose_items_are_settled_is_completed_once(world: World) -> None:
    async with world.leading():
        await world.log.publish(requested(FIRST, 3), cause=None)
        await world.log.publish(confirmed(FIRST, 0, 0, [0]), cause=None)
        await world.log.publish(pin_failed(FIRST, 0, [1]), cause=None)
        await world.work()
        assert world.log.facts(Completed) == []
        await world.log.publish(failed(FIRST, 1, 0, [2]), cause=None)
        await world.work()
    (said,) = world.log.messages(Completed)
    assert said.data == completed(FIRST, total=3, minted=1, failed=2)
    assert said.event.causation_id == world.log.messages(Failed)[0].event.id
    row = world.tables.operations[FIRST]
    assert (row.status, row.end_time) == ("completed", said.event.time)


async def test_a_crash_between_rows_and_completion_is_made_up_for(world: World) -> None:
    await world.log.publish(requested(FIRST), cause=None)
    await world.log.publish(confirmed(FIRST, 0, 0, [0]), cause=None)
    world.log.fail_publishes = [RuntimeError("killed here")]
    async with world.leading() as running:
        with pytest.raises(RuntimeError, match="killed here"):
            await running
    assert world.tables.operations[FIRST].settled_sequence == 2
    async with world.leading():
        await world.work()
    async with world.leading():
        await world.work()
    assert world.log.facts(Completed) == [completed(FIRST, 1, 1, 0)]


async def test_a_replay_says_nothing_that_was_said(world: World) -> None:
    await test_an_operation_whose_items_are_settled_is_completed_once(world)
    before = len(world.log.streams["MINT"])
    world.tables = MemoryTables()
    world.log.fail_publishes = [AssertionError("nothing is to be published")]
    async with world.leading():
        await world.work()
    assert len(world.log.streams["MINT"]) == before
    assert world.tables.operations[FIRST].status == "completed"
    assert world.log.fail_publishes, "not even tried"


async def test_nothing_is_published_before_the_log_is_read_to_its_end(world: World) -> None:
    world.log = held = HeldLog(first=2)
    await held.publish(requested(FIRST), cause=None)
    await held.publish(confirmed(FIRST, 0, 0, [0]), cause=None)
    await held.publish(completed(FIRST, 1, 1, 0), cause=None)
    refusals = [AssertionError("nothing is to be published")]
    held.fail_publishes = list(refusals)
    async with world.leading():
        await world.work()
        assert world.tables.operations[FIRST].settled_sequence == 2
        held.release.set()
        await world.work()
        assert world.tables.operations[FIRST].status == "completed"
    assert held.fail_publishes == refusals


async def test_an_operation_whose_end_has_not_come_back_is_not_told_again(world: World) -> None:
    log = CountingLog()
    for fact in (requested(FIRST), confirmed(FIRST, 0, 0, [0])):
        await log.publish(fact, cause=None)
    await world.tables.apply("MINT", 0, [plan(raw) for raw in log.streams["MINT"]])
    closer = Closer(log, world.tables, world.clock)
    await closer.close_settled()
    await closer.close_settled()
    assert log.tries == 1


async def test_what_may_pass_is_tried_again(world: World) -> None:
    world.tables.fail_next = [StoreUnavailable("restarting"), StoreUnavailable("still")]
    async with world.leading():
        await world.log.publish(requested(FIRST), cause=None)
        await world.log.publish(confirmed(FIRST, 0, 0, [0]), cause=None)
        await world.clock.advance(0)
        world.log.fail_publishes = [LogUnavailable("no leader")]
        await world.work()
    assert world.log.facts(Completed) == [completed(FIRST, 1, 1, 0)]


async def test_operations_that_settle_together_are_all_completed(world: World) -> None:
    for operation in (FIRST, SECOND):
        await world.log.publish(requested(operation), cause=None)
    for operation in (SECOND, FIRST):
        await world.log.publish(confirmed(operation, 0, 0, [0]), cause=None)
    async with world.leading():
        await world.work()
    assert [fact.operation for fact in world.log.facts(Completed)] == [SECOND, FIRST]


async def test_another_writer_ends_the_term(world: World) -> None:
    async with world.leading() as running:
        await world.work()
        world.tables.watermarks["MINT"] = 7
        await world.log.publish(requested(FIRST), cause=None)
        with pytest.raises(Fenced):
            await running


async def test_a_log_that_lost_its_tail_ends_the_term(world: World) -> None:
    world.tables.watermarks["COLLECTION"] = 3
    async with world.leading() as running:
        with pytest.raises(LogTruncated, match="stream COLLECTION ends at sequence 0, but messages up to 3"):
            await running


async def test_stopping_finishes_and_returns(world: World) -> None:
    stopping = asyncio.Event()
    term = Term(world.log, world.tables, NoChain(), world.clock, count_interval=300)
    running = asyncio.create_task(term.run(stopping))
    await world.log.publish(requested(FIRST), cause=None)
    await world.work()
    stopping.set()
    await running
    assert world.tables.watermarks["MINT"] == 1
