"""One schedule from its seed: callers ask, the weather rages for a while and calms, and everything has to come to its
end within a bound of virtual time. What has come of it is judged in `scheduled_checks`.
"""

import asyncio
import random as global_random
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import msgspec
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from contracts.collection import Standard
from contracts.mint import Cancelled, Completed, ImageUri, Nft, Requested
from tests.support.ending import end
from tests.support.forking_chain import BLOCK_SECONDS
from tests.support.packing import created
from tests.support.scheduled_world import Parts, Program, Violation, World, indexer, ipfs, live, minter

BOUND: Final = 900.0
"""Virtual seconds after the last fault within which everything must have come to its end: some 75 lives of a blockhash,
and far more than the longest pause between two deliveries of one message."""
MINTERS: Final = 2
"""Most minters side by side."""


# The callers ---------------------------------------------------------------------------------------------------------


async def ask(world: World, number: int) -> None:
    """Ask for an operation, perhaps twice; perhaps cancel it; perhaps retry what failed."""
    chance = world.weather.random
    await world.clock.sleep(chance.uniform(0.0, 20.0))
    single = chance.random() < 0.3
    kinds = 1 if single else chance.randint(1, 5)
    nfts = tuple(
        Nft(name=f"N{number}-{kind}", image=ImageUri(uri="ipfs://image"), copies=1 if single else chance.randint(1, 3))
        for kind in range(kinds)
    )
    world.refused.update(nft.name for nft in nfts if world.weather.happens("pin_refused"))
    request = Requested(
        operation=UUID(int=(number + 1) << 64 | 7 << 76),
        operation_type="mint" if single else "batch_mint",
        collection=created(Standard.V2).collection,
        recipient=str(recipient_of(number)),
        nfts=nfts,
        batch_size=chance.randint(1, 8),
        delay_between_batches_ms=chance.choice([0, 0, 0, 2000]),
    )
    retries = chance.random() < 0.5
    await world.say(request)
    if chance.random() < 0.3:
        await world.say(request)
    if chance.random() < 0.25:
        await world.clock.sleep(chance.expovariate(0.2))
        await world.server.back()
        if await world.log.last(Requested, operation=request.operation) is not None:
            await world.say(Cancelled(operation=request.operation))
    again = msgspec.structs.replace(
        request, operation=UUID(int=(number + 1) << 64 | 7 << 76 | 1), retry_of=request.operation, nfts=nfts[:1]
    )
    while not await satisfied(world, request, again if retries else None):
        await world.clock.sleep(1.0)


async def satisfied(world: World, request: Requested, again: Requested | None) -> bool:
    """Whether everything has come to an end that no loss can take back; what the log has lost is asked for again."""
    end_of = await world.log.last(Completed, operation=request.operation)
    wanted = [request, *([again] if again is not None and end_of is not None and end_of.data.failed else [])]
    for each in wanted:
        if await world.log.last(Requested, operation=each.operation) is None:
            await world.say(each)
    return world.weather.calm and all([await world.is_over(each.operation) for each in wanted])


def recipient_of(number: int) -> Pubkey:
    """Whose an operation's assets are."""
    return Keypair.from_seed(bytes([number + 1]) * 32).pubkey()


# A schedule ----------------------------------------------------------------------------------------------------------


async def run(seed: int, program: Program | None = None) -> World:
    """Live through the schedule of a seed; raises Violation when it does not come to an end."""
    world = World.drawn(seed, program or Program())
    state = global_random.getstate()
    global_random.seed(seed)  # the ipfs service spreads its retries by it
    try:
        async with _living(world) as (processes, callers):
            await _within(world.weather.random.uniform(20.0, 120.0), processes, asyncio.sleep(1e9))
            world.weather.calm = True
            if not await _within(BOUND, processes, _until_finished(world, callers)):
                raise Violation(f"{world.unfinished() or 'a caller waits'} {BOUND:g} s after the last fault")
    finally:
        global_random.setstate(state)
    return world


@asynccontextmanager
async def _living(world: World) -> AsyncGenerator[tuple[list["asyncio.Task[None]"], list["asyncio.Task[None]"]]]:
    collection = created(Standard.V2)
    await world.log.publish(collection, cause=None)
    parts: list[Parts] = [ipfs, indexer, *[minter] * world.weather.random.randint(1, MINTERS)]
    processes = [asyncio.create_task(live(world, each)) for each in parts]
    processes += [asyncio.create_task(_grow(world)), asyncio.create_task(world.server.run())]
    callers = [asyncio.create_task(ask(world, number)) for number in range(world.weather.random.randint(1, 4))]
    try:
        yield processes, callers
    finally:
        await end([*processes, *callers])


async def _grow(world: World) -> None:
    while True:
        await world.clock.sleep(BLOCK_SECONDS)
        world.chain.grow()


async def _within(seconds: float, processes: list["asyncio.Task[None]"], work: Coroutine[Any, Any, None]) -> bool:
    """Let it go on until `work` is done (True) or the time is over; raises what a process ended with."""
    task = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait([task, *processes], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
        return bool(done)
    finally:
        await end([task])


async def _until_finished(world: World, callers: list["asyncio.Task[None]"]) -> None:
    await asyncio.gather(*callers)
    while world.unfinished() is not None:
        await world.clock.sleep(5.0)
