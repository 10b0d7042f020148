"""Reading ahead: everything that is there, nothing waited for, nothing unbounded."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from chassis.log import RawMessage
from services.indexer.intake import Intake, Limits
from tests.support.indexing import START


def message(sequence: int, size: int = 1) -> RawMessage:
    return RawMessage("mint.x.v1.y", sequence, START, b"x" * size, {})


class Source:
    """Messages given by hand; says how many were asked for."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[RawMessage | Exception] = asyncio.Queue()
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[RawMessage]:
        try:
            while True:
                message = await self.queue.get()
                if isinstance(message, Exception):
                    raise message
                yield message
        finally:
            self.closed = True

    def give(self, *messages: RawMessage | Exception) -> None:
        for each in messages:
            self.queue.put_nowait(each)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_batch_is_what_has_arrived() -> None:
    source = Source()
    async with Intake(aiter(source), Limits()) as intake:
        source.give(message(1))
        assert [each.sequence for each in await intake.take()] == [1]
        source.give(message(2), message(3))
        await settle()
        assert [each.sequence for each in await intake.take()] == [2, 3]
    assert source.closed


async def test_no_more_is_read_ahead_than_allowed() -> None:
    for limits, expected in ((Limits(messages=3), 3), (Limits(bytes=100), 2)):
        source = Source()
        source.give(*(message(number, size=50) for number in range(1, 10)))
        async with Intake(aiter(source), limits) as intake:
            await settle()
            assert len(await intake.take()) == expected
            await settle()
            assert len(await intake.take()) == expected


async def test_a_message_larger_than_the_limit_still_comes_through() -> None:
    source = Source()
    source.give(message(1, size=1000), message(2, size=1000))
    async with Intake(aiter(source), Limits(bytes=10)) as intake:
        taken = [each.sequence for _ in range(2) for each in await intake.take()]
    assert taken == [1, 2]


async def test_a_failure_comes_after_what_was_read_before_it() -> None:
    source = Source()
    source.give(message(1), OSError("gone"))
    async with Intake(aiter(source), Limits()) as intake:
        await settle()
        assert len(await intake.take()) == 1
        with pytest.raises(OSError, match="gone"):
            await intake.take()


async def test_stopping_ends_a_wait() -> None:
    source = Source()
    async with Intake(aiter(source), Limits()) as intake:
        waiting = asyncio.create_task(intake.take())
        await settle()
        intake.stop()
        assert await waiting == []
