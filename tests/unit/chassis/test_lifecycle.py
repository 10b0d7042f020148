"""How a process ends whose tasks end in a way of their own."""

import asyncio

import pytest

from chassis.lifecycle import EXIT_FAILED, Lifecycle, Service, supervise


async def given_up() -> None:
    """Waits for what somebody else cancels, as clients do with what waits when they are closed."""
    awaited = asyncio.get_running_loop().create_future()
    awaited.cancel()
    await awaited


async def with_a_task(life: Lifecycle) -> None:
    life.spawn("reader", given_up())
    await life.draining.wait()


async def with_a_background_task(life: Lifecycle) -> None:
    life.spawn("reporter", given_up(), background=True)
    await life.draining.wait()


async def itself(_: Lifecycle) -> None:
    await given_up()


@pytest.mark.parametrize("service", [with_a_task, with_a_background_task, itself])
async def test_a_task_that_is_cancelled_while_the_process_lives_stops_it(service: Service) -> None:
    """Else it would live on without it, ready and idle."""
    async with asyncio.timeout(30):
        assert await supervise(service, grace_seconds=5) == EXIT_FAILED
