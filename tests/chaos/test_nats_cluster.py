"""The log as production has it, three replicas and every write synced: what goes on without one server, and two.

Without one nothing stops, once there is another leader; without two nothing is acknowledged any more, so nothing is
signed; once they are back, everything that was ever acknowledged is there and minting goes on.
"""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
from solders.keypair import Keypair

from chassis.log import LogUnavailable
from chassis.messaging import Log
from contracts.mint import Cancelled
from contracts.streams import COLLECTION, MINT
from localnet.wallet import fund_wallet
from tests.support.bare_minting import ITEMS, ask_for_collection, ask_for_mint, check, confirmed, events, found
from tests.support.cluster import PROGRAMS, timed_cluster
from tests.support.crashing import Fuse, World, declared, live
from tests.support.nats_cluster import NatsCluster, nats_cluster

SLOT_MS = 20


@pytest_asyncio.fixture(loop_scope="function")
async def cluster(tmp_path: Path) -> AsyncGenerator[NatsCluster]:
    async with nats_cluster(tmp_path) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="function")
async def world(cluster: NatsCluster) -> AsyncGenerator[World]:
    wallet = Keypair()
    async with timed_cluster(slot_ms=SLOT_MS, programs=PROGRAMS) as chain:
        await fund_wallet(chain.addresses.rpc, str(wallet))
        yield World(cluster.url, chain.addresses.rpc, wallet, replicas=3)


@pytest_asyncio.fixture(loop_scope="function")
async def log(world: World) -> AsyncGenerator[Log]:
    async with Log.session(world.log("test")) as session:
        await declared(session, streams=(MINT, COLLECTION), consumers=())
        yield session


async def told(log: Log) -> list[tuple[int, str]]:
    return [(message.sequence, str(message.event.id)) for message in await events(log)]


async def test_a_cluster_loses_one_server_and_then_two(cluster: NatsCluster, world: World, log: Log) -> None:
    created = await found(world, log, await ask_for_collection(log))
    await cluster.kill(await cluster.leader(MINT))
    await cluster.leader(MINT)
    await cluster.leader(COLLECTION)
    first = await ask_for_mint(log, created)
    assert not await live(world, Fuse(), confirmed(first)), "one lost: minting goes on"
    await check(world, log, created, first)
    acknowledged = await told(log)

    second = next(name for name, member in cluster.members.items() if member.pid is not None)
    minting = await ask_for_mint(log, created)
    acknowledged.append((await log.last_sequence(MINT), str((await events(log))[-1].event.id)))
    await cluster.kill(second)
    with pytest.raises(LogUnavailable):
        await log.publish(Cancelled(operation=first.operation), cause=None)

    await asyncio.gather(*(member.start() for member in cluster.members.values() if member.pid is None))
    await cluster.leader(MINT)
    await cluster.leader(COLLECTION)
    assert not await live(world, Fuse(), confirmed(minting)), "they are back: minting goes on"
    await check(world, log, created, minting, minted=2 * ITEMS)
    assert (await told(log))[: len(acknowledged)] == acknowledged, "what was acknowledged is where it was"
