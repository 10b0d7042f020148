"""One collection and one chunk, minted by a bare minter (`crashing.live`) on a real log and a real chain.

Says what gateway and ipfs would say, and checks what has come of it, in the tests of crash points and of a log that is
a cluster.
"""

import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast
from uuid import UUID, uuid4

from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from audit.chain import ChainVerifier
from chassis.log import Message, RawMessage
from chassis.messaging import Log
from contracts.collection import CollectionCreated, CollectionPinned, CollectionRequested, Standard, TreeShape
from contracts.mint import Confirmed, Pinned, PinnedItem, Signed
from contracts.streams import MINT
from tests.support.crashing import Fuse, World, live
from tests.support.stack import facts, message_of

ITEMS = 3
URI = "ipfs://bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"


async def never(log: Log) -> bool:
    """No goal: the minter works until it dies."""
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


async def check(world: World, log: Log, created: CollectionCreated, pinned: Pinned, *, minted: int = ITEMS) -> None:
    """One confirmation and one asset an item, and every transaction's bytes on the log before they were on chain.

    `minted` are the leaves of the collection with those of other chunks.
    """
    everything = await events(log)
    told = [fact for fact in facts(everything, Confirmed) if fact.operation == pinned.operation]
    assert sorted(fact.tx for fact in told) == list(range(ITEMS))
    leaves = [leaf for fact in told for leaf in fact.leaves]
    assert sorted(leaf.item for leaf in leaves) == list(range(ITEMS))
    async with ChainVerifier(world.rpc_url) as chain:
        assert await chain.minted(created.tree_address) == minted
        assert sorted(await chain.assets_of(pinned.recipient)) == sorted(leaf.asset_id for leaf in leaves)
        for leaf in leaves:
            assert (await chain.verify(leaf.asset_id, pinned.recipient)).leaf_index == leaf.leaf_index
    intended = {fact.attempt.signature: fact for fact in facts(everything, Signed)}
    for fact in told:
        signed = intended[fact.signature]
        assert signed.items == tuple(leaf.item for leaf in fact.leaves)
        wire = VersionedTransaction.from_bytes(base64.b64decode(signed.transaction, validate=True))
        assert str(wire.signatures[0]) == fact.signature
