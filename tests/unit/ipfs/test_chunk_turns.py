"""Who is next among the operations that ipfs has in hand."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from chassis.log import RetryLater
from services.ipfs.chunk_turns import LATER_EVERY, ChunkTurns
from tests.support.ending import end

Chunk = tuple[int, int]
"""The operation's sequence, and the chunk."""


class Line:
    """Chunks that wait behind one that has the only turn."""

    def __init__(self) -> None:
        self.turns = ChunkTurns(1)
        self.served: list[Chunk] = []
        self.tasks: dict[Chunk, asyncio.Task[None]] = {}

    async def stand(self, *chunks: Chunk) -> None:
        for chunk in chunks:
            self.tasks[chunk] = asyncio.create_task(self._take(chunk))
            await asyncio.sleep(0)

    async def _take(self, chunk: Chunk) -> None:
        async with self.turns.turn(*chunk):
            self.served.append(chunk)

    @asynccontextmanager
    async def held_up(self) -> AsyncGenerator[None]:
        """Keep the turn, so that whoever comes waits; then let all of them have theirs."""
        async with self.turns.turn(0, 0):
            yield
        await asyncio.gather(*(task for task in self.tasks.values() if not task.cancelled()), return_exceptions=True)


async def test_first_chunks_come_before_others_and_older_operations_before_younger_ones() -> None:
    line = Line()
    async with line.held_up():
        await line.stand((9, 5), (2, 7), (8, 0), (5, 0))
    assert line.served == [(5, 0), (8, 0), (2, 7), (9, 5)]


async def test_a_stream_of_first_chunks_does_not_hold_up_the_others() -> None:
    line = Line()
    async with line.held_up():
        await line.stand((1, 1), (1, 2), *((10 + number, 0) for number in range(3 * LATER_EVERY)))
    assert [index for index, (_, chunk) in enumerate(line.served) if chunk] == [LATER_EVERY - 1, 2 * LATER_EVERY - 1]


async def test_whoever_has_gone_is_passed_over() -> None:
    line = Line()
    async with line.held_up():
        await line.stand((1, 0), (2, 0), (3, 1))
        await end([line.tasks[1, 0]])
    assert line.served == [(2, 0), (3, 1)]


async def test_a_turn_that_was_given_to_one_who_goes_is_the_next_ones() -> None:
    line = Line()
    async with line.held_up():
        await line.stand((1, 0), (2, 0))
        asyncio.get_running_loop().call_soon(line.tasks[1, 0].cancel)  # before it has noticed that it is its turn
    assert line.served == [(2, 0)]
    async with line.turns.turn(3, 0):
        pass


async def test_a_turn_ends_with_an_error_too() -> None:
    turns = ChunkTurns(1)
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            async with turns.turn(1, 0):
                raise ValueError("broken")


async def test_at_the_end_what_waits_is_left_to_others_and_what_is_under_way_goes_on() -> None:
    line = Line()
    async with line.held_up():
        await line.stand((1, 0), (2, 3))
        line.turns.close()
    assert line.served == []
    for task in line.tasks.values():
        assert isinstance(task.exception(), RetryLater)
    with pytest.raises(RetryLater):
        async with line.turns.turn(3, 0):
            pass
