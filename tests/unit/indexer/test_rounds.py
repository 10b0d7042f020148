"""Rounds over collections: a burst is one, a long one is rested after, a failed one is done again."""

import asyncio
from uuid import UUID

from chassis.clock import ManualClock
from chassis.log import LogUnavailable
from services.indexer.ports import ChainUnavailable
from services.indexer.rounds import Partly, Rounds
from tests.support.ending import end
from tests.support.indexing import uid

CATS, DOGS = uid("cats"), uid("dogs")


class Work:
    """What a round is asked to do, and how long it takes."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.seconds = 0.0
        self.fails = 0
        self.failure: Exception = LogUnavailable("injected")
        self.rounds: list[tuple[float, frozenset[UUID] | None]] = []

    async def __call__(self, among: frozenset[UUID] | None) -> None:
        self.rounds.append((self.clock.monotonic(), among))
        if self.seconds:
            await self.clock.sleep(self.seconds)
        if self.fails:
            self.fails -= 1
            raise self.failure


async def pass_by(clock: ManualClock, seconds: int) -> None:
    for _ in range(seconds):
        await clock.advance(1)


async def test_rounds() -> None:
    clock = ManualClock()
    work = Work(clock)
    rounds = Rounds(work, clock, interval=1000, pause=5, rest=4, name="test")
    work.fails = 1
    task = asyncio.create_task(rounds.run())
    await pass_by(clock, 20)
    assert [among for _, among in work.rounds] == [None, None], "all of them, at first, and again what failed"
    del work.rounds[0]
    rounds.wake([CATS])
    rounds.wake([DOGS])
    await pass_by(clock, 3)
    rounds.wake([CATS])
    await pass_by(clock, 10)
    assert [among for _, among in work.rounds[1:]] == [{CATS, DOGS}, {CATS}]
    assert work.rounds[2][0] - work.rounds[1][0] >= 5, "the least pause"

    work.seconds = 20
    rounds.wake([CATS])
    await pass_by(clock, 15)
    rounds.wake([DOGS])
    await pass_by(clock, 200)
    long, after = work.rounds[3:5]
    assert after[0] - long[0] >= 20 + 4 * 20, "the rest is as long as the work was, four times"

    work.seconds, work.fails = 0, 1
    rounds.wake([CATS])
    await pass_by(clock, 30)
    assert [among for _, among in work.rounds[5:]] == [{CATS}, {CATS}], "done again"

    work.fails, work.failure = 1, Partly([DOGS], ChainUnavailable("injected"))
    rounds.wake([CATS, DOGS])
    await pass_by(clock, 30)
    assert [among for _, among in work.rounds[7:]] == [{CATS, DOGS}, {DOGS}], "only what failed"
    assert not task.done()
    await end([task])
