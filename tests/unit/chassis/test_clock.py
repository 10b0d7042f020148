"""chassis.clock: a manual clock that wakes sleepers in order, and a system clock that is one."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from chassis.clock import Clock, ManualClock, SystemClock


async def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    clock = ManualClock()
    start = clock.now()
    woken: list[tuple[str, float, timedelta]] = []

    async def sleeper(name: str, *naps: float) -> None:
        for seconds in naps:
            await clock.sleep(seconds)
            woken.append((name, clock.monotonic(), clock.now() - start))

    async with asyncio.TaskGroup() as group:
        for name, naps in {"slow": [10.0], "quick": [1.0, 1.0, 5.0], "same": [2.0]}.items():
            group.create_task(sleeper(name, *naps))
        await clock.advance(9)
        assert clock.sleepers == 1
        await clock.advance(1)
    assert [(name, at) for name, at, _ in woken] == [
        ("quick", 1.0),
        ("same", 2.0),
        ("quick", 2.0),
        ("quick", 7.0),
        ("slow", 10.0),
    ]
    assert all(passed == timedelta(seconds=at) for _, at, passed in woken)
    assert clock.sleepers == 0


async def test_time_stands_still_until_advanced() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(0.001))
    await asyncio.sleep(0)
    assert (clock.monotonic(), clock.sleepers, task.done()) == (0.0, 1, False)
    await clock.advance(0.0005)
    assert not task.done()
    await clock.advance(0.0005)
    await task


async def test_a_cancelled_sleeper_holds_nobody_up() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clock.sleepers == 0
    await clock.advance(5)
    assert clock.monotonic() == 5.0


async def test_no_sleep_at_all_only_yields() -> None:
    clock = ManualClock()
    await clock.sleep(0)
    await clock.sleep(-1)
    assert clock.monotonic() == 0.0


async def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        await ManualClock().advance(-1)


def test_a_naive_start_is_refused_and_another_zone_is_converted() -> None:
    with pytest.raises(ValueError, match="aware"):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001,RUF100
    clock = ManualClock(datetime(2026, 1, 1, 3, tzinfo=timezone(timedelta(hours=3))))
    assert clock.now() == datetime(2026, 1, 1, tzinfo=UTC)
    assert clock.now().tzinfo is UTC


async def test_the_system_clock() -> None:
    clock: Clock = SystemClock()
    assert clock.now().tzinfo is UTC
    before = clock.monotonic()
    await clock.sleep(0.001)
    await clock.sleep(-5)
    assert clock.monotonic() > before
