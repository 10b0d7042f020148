"""The log's last moments are cut off while transactions are in flight: nothing is lost, nothing is minted twice."""

from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from solders.keypair import Keypair

from audit.chain import ChainVerifier
from chassis import postgres
from chassis.database import connect
from chassis.log import Message
from chassis.messaging import Connection, Log
from chassis.redaction import Secret
from contracts.collection import CollectionCreated, CollectionPinned, CollectionRequested, Standard, TreeShape
from contracts.fact import Producer
from contracts.guard import Bounded, Truncated
from contracts.mint import Completed, Confirmed, Finalized, ImageUri, Nft, Pinned, PinnedItem, Requested, Signed
from contracts.streams import DEAD, GUARD, MINT, Stream
from localnet.wallet import fund_wallet
from services.indexer.store import MIGRATIONS
from tests.support.cluster import PROGRAMS, timed_cluster
from tests.support.nats import NatsFactory
from tests.support.postgres import Database
from tests.support.stack import eventually, facts, message_of
from tests.support.truncating import Pipeline, Tail, pipeline

SLOT_MS = 50
CHUNKS, SIZE = 8, 3
ITEMS = CHUNKS * SIZE
URI = "ipfs://bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"


class World:
    """Everything that a test of this module holds."""

    def __init__(self, log: Log, tail: Tail, running: Pipeline, rpc_url: str, database: Database) -> None:
        self.log = log
        self.tail = tail
        self.running = running
        self.rpc_url = rpc_url
        self.database = database

    async def events(self, stream: Stream = MINT) -> list[Message[Any]]:
        """Every event of a stream."""
        last = await self.log.last_sequence(stream)
        found: list[Message[Any]] = []
        if last:
            async for raw in self.log.read(stream, 0):
                found.append(message_of(raw))
                if raw.sequence >= last:
                    break
        return found

    async def kept(self) -> set[UUID]:
        """The ids of all events of MINT that the second copy has."""
        connection = await connect(self.database.dsn)
        try:
            rows = await connection.fetch("SELECT payload FROM event_log WHERE stream = 'MINT'")
        finally:
            await connection.close()
        return {UUID(msgspec.json.decode(row["payload"])["id"]) for row in rows}

    async def watermark(self) -> int:
        """How far the tables are on MINT."""
        connection = await connect(self.database.dsn)
        try:
            return await connection.fetchval("SELECT sequence FROM watermarks WHERE stream = 'MINT'")
        finally:
            await connection.close()

    async def confirmed(self, operation: UUID, count: int) -> list[Confirmed]:
        """The operation's confirmations, once there are `count`."""

        async def look() -> list[Confirmed] | None:
            self.running.check()
            told = [fact for fact in facts(await self.events(), Confirmed) if fact.operation == operation]
            return told if len(told) >= count else None

        return await eventually(look, f"{count} transactions are confirmed")

    async def applied(self, confirmed: Confirmed) -> None:
        """Return when the tables have a confirmation."""
        message = await self.log.last(Confirmed, operation=confirmed.operation, chunk=confirmed.chunk, tx=confirmed.tx)
        assert message is not None

        async def look() -> bool:
            return await self.watermark() >= message.sequence

        await eventually(look, "the tables have a confirmation")

    async def caught_up(self) -> None:
        """Return when the tables hold all of MINT."""

        async def look() -> bool:
            self.running.check()
            return await self.watermark() == await self.log.last_sequence(MINT)

        await eventually(look, "the tables hold everything")


@pytest.fixture
async def world(
    request: pytest.FixtureRequest, start_nats: NatsFactory, database: Database, tmp_path: Path
) -> AsyncGenerator[World]:
    """A pipeline at rest; `guarded=False` by parameter takes the minter's gate away."""
    guarded: bool = getattr(request, "param", True)
    await postgres.migrate(Secret(database.dsn), MIGRATIONS)
    directory = tmp_path / "nats"
    server = await start_nats(data_dir=directory)
    wallet, url = Keypair(), server.addresses["nats"]
    async with timed_cluster(slot_ms=SLOT_MS, programs=PROGRAMS) as cluster:
        rpc_url = cluster.addresses.rpc
        await fund_wallet(rpc_url, str(wallet))
        async with (
            pipeline(url, rpc_url, database.dsn, wallet, guarded=guarded) as running,
            Log.session(Connection((url,), Producer(name="test", version="test"))) as log,
        ):
            yield World(log, Tail(server, directory), running, rpc_url, database)


@pytest.mark.parametrize("standard", list(Standard))
async def test_what_the_tables_have_is_put_back(world: World, standard: Standard) -> None:
    created = await found(world, standard)
    operation, recipient = await ask(world, created)
    world.tail.keep()
    seen = await world.confirmed(operation, 2)
    await world.applied(seen[-1])
    before, kept = await world.events(), await world.kept()
    await world.tail.cut()
    await world.tail.back()
    await check(world, created, operation, recipient)
    assert facts(await world.events(GUARD), Truncated), "the loss was noticed"
    present = {message.subject for message in await world.events()}
    assert {message.subject for message in before if message.event.id in kept} <= present
    attempts = {fact.attempt.signature for fact in facts(await world.events(), Signed)}
    signed = [message for message in before if isinstance(message.data, Signed) and message.event.id in kept]
    assert signed
    assert {message.data.attempt.signature for message in signed} <= attempts, "no intent of the tables was forgotten"


@pytest.mark.parametrize("standard", list(Standard))
async def test_what_nobody_has_is_found_on_chain(world: World, standard: Standard) -> None:
    created = await found(world, standard)
    await world.caught_up()
    world.running.store.away = True
    operation, recipient = await ask(world, created)
    world.tail.keep()
    await world.confirmed(operation, 2)
    before = await world.events()
    kept = await world.kept()
    await world.tail.cut()
    world.running.store.away = False
    await world.tail.back()
    await check(world, created, operation, recipient)
    lost = [message.data for message in before if message.event.id not in kept and isinstance(message.data, Signed)]
    final = {fact.signature for fact in facts(await world.events(), Confirmed)}
    assert any(fact.attempt.signature in final for fact in lost), "an intent was lost whose transaction had landed"
    assert facts(await world.events(GUARD), Truncated), "the loss was noticed"
    assert len(facts(await world.events(GUARD), Bounded)) >= 1, "nothing was signed before the bound was final"


async def found(world: World, standard: Standard) -> CollectionCreated:
    """Say what gateway and ipfs say of a new collection, and wait for it."""
    collection = uuid4()
    requested = CollectionRequested(
        collection=collection,
        name="Tents",
        symbol="TENT",
        standard=standard,
        tree=TreeShape(max_depth=5, max_buffer_size=8, canopy_depth=0),
    )
    assert await world.log.publish_once(requested, cause=None)
    assert await world.log.publish_once(CollectionPinned(collection=collection, uri=URI), cause=None)

    async def look() -> Message[CollectionCreated] | None:
        world.running.check()
        return await world.log.last(CollectionCreated, collection=collection)

    return (await eventually(look, "the collection is made")).data


async def ask(world: World, created: CollectionCreated) -> tuple[UUID, str]:
    """Say what gateway and ipfs say of an operation; returns it and its recipient."""
    operation, recipient = uuid4(), str(Keypair().pubkey())
    nft = Nft(name="Tent", image=ImageUri(uri=URI), copies=ITEMS)
    requested = Requested(
        operation=operation,
        operation_type="batch_mint",
        collection=created.collection,
        recipient=recipient,
        nfts=(nft,),
        batch_size=SIZE,
    )
    assert await world.log.publish_once(requested, cause=None)
    for chunk, items in enumerate(requested.chunks()):
        pinned = Pinned(
            operation=operation,
            chunk=chunk,
            collection=created.collection,
            recipient=recipient,
            # The same content each time: copies must not be taken for one another.
            items=tuple(
                PinnedItem(index=item.index, name="Tent", symbol="TENT", uri=URI, image_uri=URI) for item in items
            ),
        )
        assert await world.log.publish_once(pinned, cause=None)
    return operation, recipient


async def check(world: World, created: CollectionCreated, operation: UUID, recipient: str) -> None:
    """Every item is on chain once, confirmed once on the log, and a row that says so; nothing else is there."""

    async def ended() -> Completed | None:
        world.running.check()
        message = await world.log.last(Completed, operation=operation)
        return message.data if message else None

    completed = await eventually(ended, "the operation ends")
    assert (completed.minted, completed.failed) == (ITEMS, 0)

    async def final() -> bool:
        said = await world.events()
        return {fact.signature for fact in facts(said, Finalized)} == {f.signature for f in facts(said, Confirmed)}

    await eventually(final, "everything is final")
    await world.caught_up()
    events = await world.events()
    told = facts(events, Confirmed)
    leaves = {leaf.item: (leaf, fact) for fact in told for leaf in fact.leaves}
    assert sorted(leaf.item for fact in told for leaf in fact.leaves) == list(range(ITEMS))
    times = Counter(message.subject for message in events if not isinstance(message.data, Signed))
    assert set(times.values()) == {1}, times.most_common(3)
    async with ChainVerifier(world.rpc_url) as chain:
        assert await chain.minted(created.tree_address) == ITEMS
        assert sorted(await chain.assets_of(recipient)) == sorted(leaf.asset_id for leaf, _ in leaves.values())
    connection = await connect(world.database.dsn)
    try:
        rows = await connection.fetch("SELECT * FROM mint_results WHERE operation_id = $1", operation)
    finally:
        await connection.close()
    assert {(row["item_index"], row["status"], row["asset_id"], row["signature"]) for row in rows} == {
        (item, "success", leaf.asset_id, fact.signature) for item, (leaf, fact) in leaves.items()
    }
    assert await world.events(DEAD) == []
