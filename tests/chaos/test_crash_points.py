"""The minter dies before and after every effect it has; the next one finds the log and finishes, each item once."""

from collections.abc import AsyncGenerator
from typing import Literal

import pytest
import pytest_asyncio
from solders.keypair import Keypair

from audit.chain import ChainVerifier
from chassis.messaging import Log
from contracts.collection import CollectionCreated
from contracts.mint import Confirmed, Finalized
from localnet.wallet import fund_wallet
from tests.support.bare_minting import (
    ITEMS,
    ask_for_collection,
    ask_for_mint,
    check,
    confirmed,
    events,
    finish,
    found,
    never,
)
from tests.support.cluster import PROGRAMS, timed_cluster
from tests.support.crashing import Fuse, Lifespan, World, live
from tests.support.nats import NatsAccounts
from tests.support.stack import facts

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # A message that came as the process died is never handled, as it should be.
    pytest.mark.filterwarnings("ignore:coroutine 'ConsumerLoop._handle' was never awaited:RuntimeWarning"),
]

SLOT_MS = 20
Chain = tuple[str, Keypair]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chain() -> AsyncGenerator[Chain]:
    """A cluster, and a wallet that can pay."""
    wallet = Keypair()
    async with timed_cluster(slot_ms=SLOT_MS, programs=PROGRAMS) as cluster:
        await fund_wallet(cluster.addresses.rpc, str(wallet))
        yield cluster.addresses.rpc, wallet


@pytest_asyncio.fixture(loop_scope="module")
async def world(chain: Chain, nats_accounts: NatsAccounts) -> World:
    """The cluster, and a log on which nothing has happened."""
    return World(await nats_accounts.take(), *chain)


@pytest_asyncio.fixture(loop_scope="module")
async def log(world: World) -> AsyncGenerator[Log]:
    async with Log.session(world.log("test")) as session:
        await session.declare(consumers=(), buckets=())
        yield session


FOUNDING = [
    ("last collection.requested", 1),
    ("minimum_rent", 1),
    ("recent_blockhash", 1),
    ("recent_blockhash", 2),
    ("simulate", 1),
    ("publish collection.signed", 1),
    ("publish collection.signed", 2),
    ("send", 1),
    ("send", 2),
    ("look", 1),
    ("transaction", 1),
    ("publish collection.created", 1),
]
MINTING = [
    ("last collection.created", 1),
    ("last_matching", 1),
    ("recent_blockhash", 1),
    ("simulate", 1),
    ("simulate", ITEMS),
    ("publish mint.signed", 1),
    ("publish mint.signed", ITEMS),
    ("finalized_head", 1),
    ("look", 1),
    ("send", 1),
    ("send", ITEMS),
    ("transaction", 1),
    ("transaction", ITEMS),
    ("publish mint.confirmed", 1),
    ("publish mint.confirmed", ITEMS),
]
FINALITY = [("last mint.signed", 1), ("publish mint.finalized", 1), ("publish mint.finalized", ITEMS)]

every_moment = pytest.mark.parametrize("when", ["before", "after"])


@every_moment
@pytest.mark.parametrize(("call", "nth"), FOUNDING)
async def test_a_collection_is_made_once(
    world: World, log: Log, call: str, nth: int, when: Literal["before", "after"]
) -> None:
    fuse = Fuse(call, when, nth)
    collection = await ask_for_collection(log)
    assert await live(world, fuse, never), "the fuse blew"
    created = await found(world, log, collection)
    async with ChainVerifier(world.rpc_url) as chain:
        assert await chain.minted(created.tree_address) == 0
    assert (await log.last(CollectionCreated, collection=collection)) is not None


@every_moment
@pytest.mark.parametrize(("call", "nth"), MINTING)
async def test_every_item_is_minted_once(
    world: World, log: Log, call: str, nth: int, when: Literal["before", "after"]
) -> None:
    created = await found(world, log, await ask_for_collection(log))
    pinned = await ask_for_mint(log, created)
    assert await live(world, Fuse(call, when, nth), never), "the fuse blew"
    await finish(world, log, pinned)
    await check(world, log, created, pinned)


@every_moment
@pytest.mark.parametrize(("call", "nth"), FINALITY)
async def test_every_finality_is_told_once(
    world: World, log: Log, call: str, nth: int, when: Literal["before", "after"]
) -> None:
    created = await found(world, log, await ask_for_collection(log))
    pinned = await ask_for_mint(log, created)
    await finish(world, log, pinned)
    assert await live(world, Fuse(call, when, nth), never, finality=True), "the fuse blew"

    async def final(log: Log) -> bool:
        told = [await log.last(Finalized, operation=pinned.operation, chunk=0, tx=tx) for tx in range(ITEMS)]
        return all(told)

    assert not await live(world, Fuse(), final, finality=True)
    await check(world, log, created, pinned)
    told = facts(await events(log), Finalized)
    assert sorted(fact.tx for fact in told) == list(range(ITEMS))
    assert {fact.signature for fact in told} == {fact.signature for fact in facts(await events(log), Confirmed)}


async def test_a_minter_that_dies_again_and_again(world: World, log: Log) -> None:
    created = await found(world, log, await ask_for_collection(log))
    pinned = await ask_for_mint(log, created)
    length = 1
    while await live(world, Lifespan(length), confirmed(pinned)):
        length += 1
    assert length > ITEMS, "it died many times"
    await check(world, log, created, pinned)
