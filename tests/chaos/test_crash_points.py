"""The minter dies before and after every effect it has; the next one finds the log and finishes, each item once."""

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Literal, cast
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from chassis.log import Message, RawMessage
from chassis.messaging import Log
from contracts.collection import CollectionCreated, CollectionPinned, CollectionRequested, Standard, TreeShape
from contracts.mint import Confirmed, Finalized, Pinned, PinnedItem, Signed
from contracts.streams import MINT
from localnet.wallet import fund_wallet
from mintstream.verify import ChainVerifier
from tests.support.cluster import PROGRAMS, timed_cluster
from tests.support.crashing import Fuse, Lifespan, World, live
from tests.support.nats import NatsAccounts
from tests.support.stack import facts, message_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # A message that came as the process died is never handled, as it should be.
    pytest.mark.filterwarnings("ignore:coroutine 'ConsumerLoop._handle' was never awaited:RuntimeWarning"),
]

SLOT_MS = 20
ITEMS = 3
URI = "ipfs://bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
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


async def never(log: Log) -> bool:
    return False


def confirmed(pinned: Pinned) -> Any:
    """Whether every transaction of the chunk is confirmed on the log."""

    async def all_confirmed(log: Log) -> bool:
        told = [await log.last(Confirmed, operation=pinned.operation, chunk=0, tx=tx) for tx in range(ITEMS)]
        return all(told)

    return all_confirmed


async def ask_for_collection(log: Log) -> UUID:
    """Say what gateway and ipfs say of a new collection."""
    collection = uuid4()
    requested = CollectionRequested(
        collection=collection,
        name="Tents",
        symbol="TENT",
        standard=Standard.V2,
        tree=TreeShape(max_depth=5, max_buffer_size=8, canopy_depth=0),
    )
    assert await log.publish_once(requested, cause=None)
    assert await log.publish_once(CollectionPinned(collection=collection, uri=URI), cause=None)
    return collection


async def found(world: World, log: Log, collection: UUID) -> CollectionCreated:
    """Let a minter that does not die make the collection."""

    async def made(log: Log) -> bool:
        return await log.last(CollectionCreated, collection=collection) is not None

    assert not await live(world, Fuse(), made)
    created = await log.last(CollectionCreated, collection=collection)
    assert created is not None
    return created.data


async def ask_for_mint(log: Log, created: CollectionCreated) -> Pinned:
    """Say what ipfs says of a chunk."""
    pinned = Pinned(
        operation=uuid4(),
        chunk=0,
        collection=created.collection,
        recipient=str(Keypair().pubkey()),
        items=tuple(
            # The same content each time: copies must not be taken for one another.
            PinnedItem(index=index, name="Tent", symbol="TENT", uri=URI, image_uri=URI)
            for index in range(ITEMS)
        ),
    )
    assert await log.publish_once(pinned, cause=None)
    return pinned


async def finish(world: World, log: Log, pinned: Pinned) -> None:
    """Let a minter that does not die finish the chunk."""
    assert not await live(world, Fuse(), confirmed(pinned))


async def events(log: Log) -> list[Message[Any]]:
    """All of MINT."""
    last = await log.last_sequence(MINT)
    found: list[Message[Any]] = []
    async with aclosing(cast("AsyncGenerator[RawMessage]", log.read(MINT, 0))) as messages:
        async for raw in messages:
            found.append(message_of(raw))
            if raw.sequence == last:
                break
    return found


async def check(world: World, log: Log, created: CollectionCreated, pinned: Pinned) -> None:
    """One confirmation and one asset an item, and every transaction's bytes on the log before they were on chain."""
    everything = await events(log)
    told = facts(everything, Confirmed)
    assert sorted(fact.tx for fact in told) == list(range(ITEMS))
    leaves = [leaf for fact in told for leaf in fact.leaves]
    assert sorted(leaf.item for leaf in leaves) == list(range(ITEMS))
    async with ChainVerifier(world.rpc_url) as chain:
        assert await chain.minted(created.tree_address) == ITEMS
        assert sorted(await chain.assets_of(pinned.recipient)) == sorted(leaf.asset_id for leaf in leaves)
        for leaf in leaves:
            assert (await chain.verify(leaf.asset_id, pinned.recipient)).leaf_index == leaf.leaf_index
    intended = {fact.attempt.signature: fact for fact in facts(everything, Signed)}
    for fact in told:
        signed = intended[fact.signature]
        assert signed.items == tuple(leaf.item for leaf in fact.leaves)
        wire = VersionedTransaction.from_bytes(base64.b64decode(signed.transaction, validate=True))
        assert str(wire.signatures[0]) == fact.signature
