# nats-py is annotated in part only.
# pyright: reportUnknownMemberType=false
"""Three minters on one log: killed, stopped for longer than their messages wait, and given each other's work."""

import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import nats
import pytest
import pytest_asyncio

from contracts.mint import Completed, Confirmed, Signed
from contracts.streams import MINTER_FINALITY, MINTER_FIRST, MINTER_MINT
from localnet.child import Child, running
from tests.bench.scaling import scaled
from tests.bench.stage import Stage
from tests.support.exactly_once import check_exactly_once
from tests.support.stack import Json, LiveStack, another, eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT = 30


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def collection(live: LiveStack) -> Json:
    return await live.collection()


@pytest_asyncio.fixture(loop_scope="module")
async def others(live: LiveStack, tmp_path: Path) -> AsyncGenerator[tuple[Child, Child]]:
    """Two more minters beside the stack's own, pulling from the same consumers."""
    async with AsyncExitStack() as resources:
        first, second = [
            await resources.enter_async_context(running(another(live.stack, "minter", tmp_path / str(number))))
            for number in (2, 3)
        ]
        for child in (first, second):
            await eventually(lambda child=child: ready(child), f"minter {child.pid} is ready")
        yield first, second
        for child in (first, second):
            child.kill(signal.SIGCONT)


async def ready(child: Child) -> bool:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{child.addresses['probe']}/health/ready")).status_code == 200


async def test_one_of_three_is_killed(live: LiveStack, collection: Json, others: tuple[Child, Child]) -> None:
    asked = await live.ask(collection, COUNT, batch_size=2)
    await live.first(Signed, asked)
    others[0].kill()
    await check_exactly_once(live, asked)


async def test_two_of_three_are_killed(live: LiveStack, collection: Json, others: tuple[Child, Child]) -> None:
    asked = await live.ask(collection, COUNT, batch_size=2)
    await live.first(Signed, asked)
    others[0].kill()
    live.stack.kill("minter")
    await check_exactly_once(live, asked)
    await live.stack.wait("minter")


async def test_a_stopped_minter_wakes_up_when_others_have_done_its_work(
    live: LiveStack, collection: Json, others: tuple[Child, Child]
) -> None:
    asked = await live.ask(collection, COUNT, batch_size=2)
    await live.first(Signed, asked)
    # Stopped in the middle of whatever it does: its messages are delivered to the others after their ack wait, and
    # when it goes on it still believes that the work is its own.
    others[0].kill(signal.SIGSTOP)
    await live.first(Completed, asked)
    others[0].kill(signal.SIGCONT)
    await eventually(lambda: ready(others[0]), "the stopped minter is itself again")
    await check_exactly_once(live, asked)
    again = await live.ask(collection, COUNT, batch_size=2)
    await check_exactly_once(live, again)
    await check_exactly_once(live, asked)


async def test_a_minter_that_wakes_up_in_the_middle_of_the_others_work(
    live: LiveStack, collection: Json, others: tuple[Child, Child]
) -> None:
    asked = await live.ask(collection, COUNT, batch_size=1)
    await live.first(Signed, asked)
    for child in others:
        child.kill(signal.SIGSTOP)
    await live.first_of(Confirmed, asked, 5)
    others[0].kill(signal.SIGCONT)
    await live.first_of(Confirmed, asked, 15)
    others[1].kill(signal.SIGCONT)
    await check_exactly_once(live, asked)


async def deliver_everything_again(live: LiveStack) -> None:
    """Make the consumers anew: whatever was pinned or confirmed, acknowledged or in somebody's hands, comes again."""
    client = await nats.connect(live.stack.nats_url)
    try:
        for consumer in (MINTER_FIRST, MINTER_MINT, MINTER_FINALITY):
            await client.jetstream().delete_consumer(consumer.stream, consumer.name)
    finally:
        await client.close()
    await live.log.declare()


async def test_three_are_given_everything_again_and_again(
    live: LiveStack, collection: Json, others: tuple[Child, Child]
) -> None:
    asked = await live.ask(collection, COUNT, batch_size=1)
    for count in (1, 5, 10):
        await live.first_of(Signed, asked, count)
        await deliver_everything_again(live)
    await check_exactly_once(live, asked)
    await deliver_everything_again(live)
    again = await live.ask(collection, COUNT, batch_size=2)
    await check_exactly_once(live, again)
    await check_exactly_once(live, asked)


async def test_the_load_bench_sees_every_nft_with_one_minter_more(live: LiveStack, collection: Json) -> None:
    stage = Stage(live.stack, live.api, live.log)
    found = await scaled(stage, collection["id"], "minter", 2, 20, warm_up=5)
    run = found.run
    assert (run.nfts, run.requests, len(run.posts), len(run.waits)) == (20, 2, 2, 20)
    assert all(0 < each <= run.seconds for each in run.waits)
    assert run.samples
    assert {"minter 1", "minter 2"} <= set(run.processor)
    assert "minter" not in run.processor, "each worker is counted once"
    assert found.again >= 0, "no delivery is missed"
