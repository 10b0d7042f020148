"""Histories of the log for the indexer's tests: single facts, and whole streams with everything that can go wrong.

Written as services would write them, with times and ids that are the same in every run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid5

from solders.pubkey import Pubkey
from solders.signature import Signature

from chassis.log import RawMessage
from contracts import registry
from contracts.collection import (
    CollectionCounted,
    CollectionCreated,
    CollectionFailed,
    CollectionImportRequested,
    CollectionPinned,
    CollectionRequested,
    CollectionTreeAdded,
    CountedTree,
    Standard,
    TreeShape,
)
from contracts.fact import Event, Fact, Producer
from contracts.mint import (
    Attempt,
    Completed,
    Confirmed,
    Failed,
    FailureCode,
    Finalized,
    ImageUri,
    ItemFailure,
    MintedLeaf,
    Nft,
    PinFailed,
    Pinned,
    PinnedItem,
    Requested,
    Signed,
)
from contracts.observation import CollectionDrift, Difference, DriftKind

SPACE = UUID("8d5b8f2c-0000-7000-8000-000000000000")
START = datetime(2026, 1, 1, tzinfo=UTC)
PRODUCER = Producer(name="test", version="1")


def uid(*name: object) -> UUID:
    """A UUID that the name determines."""
    return uuid5(SPACE, "/".join(map(str, name)))


def address(*name: object) -> str:
    """An account address that the name determines."""
    return str(Pubkey(uid("a", *name).bytes + uid("b", *name).bytes))


def signature(*name: object) -> str:
    """A transaction signature that the name determines."""
    return str(Signature(b"".join(uid(part, *name).bytes for part in "abcd")))


@dataclass
class History:
    """Messages of one stream in order; sequences from 1, one second apart."""

    messages: list[RawMessage] = field(default_factory=list[RawMessage])

    def say(self, fact: Fact) -> RawMessage:
        """Append `fact` in an envelope."""
        position = len(self.messages) + 1
        event = Event(
            id=uid("event", position),
            type=fact.type(),
            time=START + timedelta(seconds=position),
            producer=PRODUCER,
            data=fact,
        )
        return self.put(fact.subject(), registry.encode(event))

    def put(self, subject: str, payload: bytes) -> RawMessage:
        """Append bytes as they are."""
        position = len(self.messages) + 1
        stored_at = START + timedelta(seconds=position, milliseconds=3)
        raw = RawMessage(subject, position, stored_at, payload, {"Nats-Msg-Id": str(uid("event", position))})
        self.messages.append(raw)
        return raw


def requested(operation: UUID, total: int = 1, *, batch_size: int = 2, **fields: Any) -> Requested:
    """A request for `total` items in as many descriptions."""
    nfts = tuple(Nft(name=f"Nft {index}", image=ImageUri(uri="https://example.org/1.png")) for index in range(total))
    given: dict[str, Any] = {
        "operation_type": "mint" if total == 1 else "batch_mint",
        "collection": uid("collection"),
        "recipient": address("recipient"),
        "caller": "app:shop",
        "nfts": nfts,
        "batch_size": batch_size,
    } | fields
    return Requested(operation=operation, **given)


def pinned(operation: UUID, chunk: int, items: Sequence[int]) -> Pinned:
    """The chunk's items with their URIs."""
    return Pinned(
        operation=operation,
        chunk=chunk,
        collection=uid("collection"),
        recipient=address("recipient"),
        items=tuple(
            PinnedItem(index=i, name=f"Nft {i}", symbol="N", uri=f"ipfs://bafy{i}/m.json", image_uri=f"ipfs://img{i}")
            for i in items
        ),
    )


def pin_failed(
    operation: UUID, chunk: int, items: Sequence[int], code: FailureCode = FailureCode.IMAGE_REFUSED
) -> PinFailed:
    """The chunk's items could not be pinned."""
    return PinFailed(operation=operation, chunk=chunk, failures=(failure(items, code),))


def failure(items: Sequence[int], code: FailureCode = FailureCode.TREE_FULL) -> ItemFailure:
    """One cause for these items."""
    return ItemFailure(items=tuple(items), code=code, reason=f"because of {code.value}", cure="try another")


def signed(operation: UUID, chunk: int, tx: int, items: Sequence[int], attempt: int = 1) -> Signed:
    """An attempt at the transaction."""
    return Signed(
        operation=operation,
        chunk=chunk,
        tx=tx,
        collection=uid("collection"),
        tree=address("tree"),
        items=tuple(items),
        attempt=Attempt(
            number=attempt,
            signature=signature(operation, chunk, tx, attempt),
            blockhash=address("blockhash", attempt),
            last_valid_block_height=150,
        ),
        transaction="AA==",
        fee_payer=address("payer"),
    )


def confirmed(operation: UUID, chunk: int, tx: int, items: Sequence[int], attempt: int = 1) -> Confirmed:
    """The transaction with one leaf an item; another attempt makes other leaves."""
    return Confirmed(
        operation=operation,
        chunk=chunk,
        tx=tx,
        collection=uid("collection"),
        tree=address("tree"),
        signature=signature(operation, chunk, tx, attempt),
        slot=100 + attempt,
        leaves=tuple(
            MintedLeaf(
                item=i,
                asset_id=address("asset", operation, i, attempt),
                leaf_index=10 * attempt + i,
                nonce=10 * attempt + i,
                owner=address("recipient"),
                leaf_hash=f"{i:064x}",
            )
            for i in items
        ),
        fee=5000,
        attempt=attempt,
    )


def finalized(operation: UUID, chunk: int, tx: int, attempt: int = 1) -> Finalized:
    """The transaction is final."""
    return Finalized(
        operation=operation, chunk=chunk, tx=tx, signature=signature(operation, chunk, tx, attempt), slot=132
    )


def failed(operation: UUID, chunk: int, tx: int, items: Sequence[int], dropped: str | None = None) -> Failed:
    """The transaction's items can never be minted."""
    return Failed(operation=operation, chunk=chunk, tx=tx, failure=failure(items), dropped=dropped)


def completed(operation: UUID, total: int, minted: int, failed: int, cancelled: int = 0) -> Completed:
    """The closing totals."""
    return Completed(operation=operation, total=total, minted=minted, failed=failed, cancelled=cancelled)


def collection_requested(collection: UUID, **fields: Any) -> CollectionRequested:
    """A request for a collection with a small tree."""
    given: dict[str, Any] = {"name": "Cats", "symbol": "CAT", "tree": TreeShape(max_depth=3, max_buffer_size=8)}
    return CollectionRequested(collection=collection, **(given | fields))


def collection_pinned(collection: UUID) -> CollectionPinned:
    """The collection's metadata."""
    return CollectionPinned(collection=collection, uri="ipfs://bafycollection", image_uri="ipfs://bafyimage")


def collection_created(collection: UUID, **fields: Any) -> CollectionCreated:
    """The collection on chain."""
    given: dict[str, Any] = {
        "name": "Cats",
        "symbol": "CAT",
        "standard": Standard.V2,
        "uri": "ipfs://bafycollection",
        "collection_address": address("collection", collection),
        "tree_address": address("tree", collection),
        "creator_address": address("creator"),
        "tree": TreeShape(max_depth=3, max_buffer_size=8),
        "signatures": (signature("create", collection),),
        "slot": 50,
        "fee": 5000,
    }
    return CollectionCreated(collection=collection, **(given | fields))


def collection_failed(collection: UUID) -> CollectionFailed:
    """The collection can never be made."""
    return CollectionFailed(collection=collection, code="insufficient_funds", reason="the wallet is empty")


def tree_added(collection: UUID, number: int) -> CollectionTreeAdded:
    """Another tree of the collection on chain."""
    return CollectionTreeAdded(
        collection=collection,
        number=number,
        tree_address=address("tree", collection, number),
        tree=TreeShape(max_depth=3, max_buffer_size=8),
        signature=signature("tree", collection, number),
        slot=55,
    )


def counted(collection: UUID, minted: int, capacity: int = 8, slot: int = 60, **fields: Any) -> CollectionCounted:
    """The chain's numbers: all of them in the first tree."""
    given: dict[str, Any] = {
        "has_valid_tree": True,
        "supports_das": True,
        "trees": (CountedTree(tree_address=address("tree", collection), minted=minted, valid=True),),
    }
    return CollectionCounted(collection=collection, minted=minted, capacity=capacity, slot=slot, **(given | fields))


def drift(collection: UUID, number: int) -> CollectionDrift:
    """A comparison that came out differently, with a text that the database cannot hold as it is."""
    return CollectionDrift(
        collection=collection,
        slot=80 + number,
        log=number,
        projection=number,
        chain=number + 1,
        observed=number,
        living=number,
        das=None if number % 2 else number,
        differences=(
            Difference(kind=DriftKind.DAS_AHEAD, count=1, alarm=False, explanation="Shown.", examples=("a\x00",)),
        )
        * (number % 2),
    )


def mint_history(seed: int, operations: int = 5) -> History:
    """MINT as it may look: operations side by side, retries, forks, failures, duplicates, and what nobody can read."""
    random = Random(seed)
    threads = [_operation_story(random, uid("operation", seed, number)) for number in range(operations)]
    history = History()
    while threads:
        thread = random.choice(threads)
        history.say(thread.pop(0))
        if not thread:
            threads.remove(thread)
        _disturb(random, history)
    return history


def _operation_story(random: Random, operation: UUID) -> list[Fact]:
    total, size = random.randint(1, 7), random.randint(1, 4)
    facts: list[Fact] = [requested(operation, total, batch_size=size)]
    minted = 0
    for chunk, start in enumerate(range(0, total, size)):
        items = list(range(start, min(start + size, total)))
        refused = [item for item in items if random.random() < 0.15]
        pinned_items = [item for item in items if item not in refused]
        facts += [pinned(operation, chunk, pinned_items)] * bool(pinned_items)
        facts += [pin_failed(operation, chunk, refused)] * bool(refused)
        for tx, item in enumerate(pinned_items):
            facts += [signed(operation, chunk, tx, [item], n + 1) for n in range(random.randint(1, 2))]
            if random.random() < 0.15:
                facts.append(failed(operation, chunk, tx, [item]))
                continue
            minted += 1
            facts.append(confirmed(operation, chunk, tx, [item]))
            if random.random() < 0.2:  # a fork drops it, and it lands elsewhere
                facts.append(confirmed(operation, chunk, tx, [item], attempt=2))
                facts.append(finalized(operation, chunk, tx, attempt=2))
            elif random.random() < 0.7:
                facts.append(finalized(operation, chunk, tx))
    if random.random() < 0.8:
        facts.append(completed(operation, total, minted, total - minted))
    return facts


def _disturb(random: Random, history: History) -> None:
    """Say something again, or what cannot be applied."""
    dice = random.random()
    if dice < 0.10:
        again = random.choice(history.messages)
        history.put(again.subject, again.payload)
    elif dice < 0.13:
        history.put(f"mint.pinned.v1.{uid('junk')}.0", b'{"half": ')
    elif dice < 0.16:
        history.put("mint.unheard_of.v9.x", b"{}")
    elif dice < 0.19:
        history.say(confirmed(uid("never requested", random.random()), 0, 0, [0]))
    elif dice < 0.22:
        history.say(requested(uid("unstorable", random.random()), 1, batch_size=1 << 40))


def collection_history(seed: int, collections: int = 4) -> History:
    """COLLECTION as it may look."""
    random = Random(seed)
    history = History()
    for number in range(collections):
        collection = uid("collection", seed, number)
        if random.random() < 0.7:
            history.say(collection_requested(collection))
        elif random.random() < 0.5:
            history.say(CollectionImportRequested(collection=collection, collection_address=address("elsewhere")))
        if random.random() < 0.7:
            history.say(collection_pinned(collection))
        if random.random() < 0.2:
            history.say(collection_failed(collection))
        if random.random() < 0.8:
            history.say(collection_created(collection, allow_minting=random.random() < 0.8))
        for number in range(1, random.randint(1, 3)):
            history.say(tree_added(collection, number))
        for minted in range(random.randint(0, 3)):
            second = CountedTree(tree_address=address("tree", collection, 1), minted=None, valid=False)
            trees = (*counted(collection, minted).trees, second)[: random.randint(0, 2)]
            history.say(counted(collection, minted * 4, slot=60 + minted, trees=trees))
        for said in range(random.randint(0, 2)):
            history.say(drift(collection, said))
    return history
