"""From events to changes, and from changes to rows."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from contracts import registry
from contracts.collection import (
    MAX_TREES,
    CollectionImportRequested,
    CollectionUpdated,
    CountedTree,
    TreePlace,
    TreeShape,
)
from contracts.fact import Event, Fact
from contracts.mint import MAX_ITEMS, Cancelled, FailureCode, ImageUri, ItemFailure, Nft, PinFailed
from services.indexer.changes import OpenOperation, PinItems
from services.indexer.entries import Entry, plan
from services.indexer.projection import Unprojectable, ipfs_hash, project
from services.indexer.tables import Collection, Operation
from tests.support.indexing import (
    PRODUCER,
    START,
    History,
    address,
    collection_created,
    collection_failed,
    collection_pinned,
    collection_requested,
    completed,
    confirmed,
    counted,
    drift,
    failed,
    finalized,
    pin_failed,
    pinned,
    requested,
    signature,
    signed,
    tree_added,
    uid,
)
from tests.support.memory_tables import MemoryTables

OPERATION = uid("operation")
COLLECTION = uid("collection")


async def tables_of(*facts: Fact) -> MemoryTables:
    """The tables after the facts, each in a batch of its own."""
    history = History()
    tables = MemoryTables()
    for fact in facts:
        raw = history.say(fact)
        stream = registry.stream_of(type(fact)).name
        await tables.apply(stream, tables.watermarks[stream], [plan(raw)])
    return tables


async def operation_after(*facts: Fact) -> Operation:
    return (await tables_of(*facts)).operations[OPERATION]


async def collection_after(*facts: Fact) -> Collection:
    return (await tables_of(*facts)).collections[COLLECTION]


def event(fact: Fact, **fields: Any) -> Event[Any]:
    given: dict[str, Any] = {"id": UUID(int=1), "time": START, "producer": PRODUCER, "type": fact.type()} | fields
    return Event(data=fact, **given)


async def test_a_request_opens_the_operation_and_its_items() -> None:
    nfts = (
        Nft(name="A", image=ImageUri(uri="https://example.org/a"), copies=2),
        Nft(name="B", image=ImageUri(uri="https://example.org/b")),
    )
    tables = await tables_of(requested(OPERATION, nfts=nfts, batch_size=2, operation_type="batch_mint"))
    row = tables.operations[OPERATION]
    assert (row.status, row.total_nfts, row.batch_size, row.operation_type) == ("pending", 3, 2, "batch_mint")
    assert row.start_time == START + timedelta(seconds=1)
    assert row.metadata is not None
    assert [nft["name"] for nft in msgspec.json.decode(row.metadata)["nfts"]] == ["A", "B"]
    assert [item.nft_name for item in tables.items.values()] == ["A", "A", "B"]
    assert {item.status for item in tables.items.values()} == {"pending"}


@pytest.mark.parametrize(
    "fact",
    [
        pinned(OPERATION, 0, [0]),
        pin_failed(OPERATION, 0, [0]),
        signed(OPERATION, 0, 0, [0]),
        confirmed(OPERATION, 0, 0, [0]),
        failed(OPERATION, 0, 0, [0]),
    ],
    ids=lambda fact: type(fact).__name__,
)
async def test_the_first_work_on_an_operation_starts_it(fact: Fact) -> None:
    assert (await operation_after(requested(OPERATION, 2), fact)).status == "processing"


async def test_a_confirmed_item_is_a_success_with_its_asset() -> None:
    tables = await tables_of(
        requested(OPERATION, 2),
        pinned(OPERATION, 0, [0, 1]),
        confirmed(OPERATION, 0, 1, [1]),
        finalized(OPERATION, 0, 1),
    )
    item = tables.items[OPERATION, 1]
    assert (item.status, item.asset_id) == ("success", address("asset", OPERATION, 1, 1))
    assert (item.signature, item.leaf_index, item.slot) == (signature(OPERATION, 0, 1, 1), 11, 101)
    assert (item.ipfs_uri, item.ipfs_hash) == ("ipfs://bafy1/m.json", "bafy1")
    assert item.finalized_slot == 132
    row = tables.operations[OPERATION]
    assert (row.completed_nfts, row.failed_nfts, row.status) == (1, 0, "processing")
    assert tables.items[OPERATION, 0].status == "pending"


async def test_an_operation_ends_only_when_the_log_says_so() -> None:
    story = [requested(OPERATION, 2), confirmed(OPERATION, 0, 0, [0]), confirmed(OPERATION, 0, 1, [1])]
    settled = await operation_after(*story)
    assert (settled.status, settled.end_time, settled.settled_sequence) == ("processing", None, 3)
    ended = await operation_after(*story, completed(OPERATION, 2, 2, 0))
    assert (ended.status, ended.end_time, ended.error_message) == ("completed", START + timedelta(seconds=4), None)


async def test_the_message_that_settles_an_operation_stays_the_one() -> None:
    row = await operation_after(
        requested(OPERATION), confirmed(OPERATION, 0, 0, [0]), confirmed(OPERATION, 0, 0, [0], attempt=2)
    )
    assert row.settled_sequence == 2


async def test_completed_with_failures_says_how_many_and_why() -> None:
    row = await operation_after(
        requested(OPERATION, 3),
        pin_failed(OPERATION, 0, [1]),
        confirmed(OPERATION, 0, 0, [0]),
        failed(OPERATION, 1, 0, [2]),
        completed(OPERATION, 3, 1, 2),
    )
    assert (row.status, row.completed_nfts, row.failed_nfts) == ("completed", 1, 2)
    assert row.error_message == "2 of 3 NFTs failed: because of image_refused"


async def test_an_operation_with_no_asset_has_failed() -> None:
    tables = await tables_of(requested(OPERATION), failed(OPERATION, 0, 0, [0]), completed(OPERATION, 1, 0, 1))
    assert tables.operations[OPERATION].status == "failed"
    item = tables.items[OPERATION, 0]
    assert (item.status, item.error_code, item.error_message) == ("failed", "tree_full", "because of tree_full")


async def test_a_cancelled_operation_stays_cancelled_with_its_assets() -> None:
    row = await operation_after(
        requested(OPERATION, 3),
        confirmed(OPERATION, 0, 0, [0]),
        pin_failed(OPERATION, 1, [1, 2], FailureCode.CANCELLED),
        completed(OPERATION, 3, 1, 0, cancelled=2),
    )
    assert (row.status, row.completed_nfts, row.cancelled_nfts) == ("cancelled", 1, 2)


async def test_an_end_does_not_take_back_what_landed_after_it_was_decided_on() -> None:
    """The totals were told from the tables; a transaction that was taken for cancelled has landed meanwhile."""
    row = await operation_after(
        requested(OPERATION, 2),
        confirmed(OPERATION, 0, 0, [0]),
        pin_failed(OPERATION, 0, [1], FailureCode.CANCELLED),
        confirmed(OPERATION, 0, 1, [1]),
        completed(OPERATION, 2, 1, 0, cancelled=1),
    )
    assert (row.status, row.completed_nfts, row.cancelled_nfts) == ("completed", 2, 0)
    assert row.settled == row.total_nfts


async def test_saying_it_twice_counts_once() -> None:
    story = [
        requested(OPERATION, 2),
        pin_failed(OPERATION, 0, [1]),
        confirmed(OPERATION, 0, 0, [0]),
        completed(OPERATION, 2, 1, 1),
    ]
    twice = [fact for fact in story for _ in range(2)]
    row = await operation_after(*twice)
    assert (row.completed_nfts, row.failed_nfts, row.total_nfts) == (1, 1, 2)


async def test_after_a_fork_the_last_confirmation_holds() -> None:
    tables = await tables_of(
        requested(OPERATION),
        confirmed(OPERATION, 0, 0, [0], attempt=1),
        finalized(OPERATION, 0, 0, attempt=1),
        confirmed(OPERATION, 0, 0, [0], attempt=2),
    )
    item = tables.items[OPERATION, 0]
    assert (item.signature, item.leaf_index) == (signature(OPERATION, 0, 0, 2), 20)
    assert item.finalized_slot is None, "the finality was that of the dropped transaction"
    assert tables.operations[OPERATION].completed_nfts == 1


async def test_a_collection_is_counted_again_when_its_mints_are_final() -> None:
    history, tables = History(), MemoryTables()
    told = [
        await tables.apply("MINT", tables.watermarks["MINT"], [plan(history.say(fact))])
        for fact in (
            requested(OPERATION),
            confirmed(OPERATION, 0, 0, [0]),
            completed(OPERATION, 1, 1, 0),
            finalized(OPERATION, 0, 0),
        )
    ]
    assert [bool(committed.to_count) for committed in told] == [False, False, True, True]
    assert told[-1].to_count == told[-2].to_count


async def test_the_chain_overrules_a_failure_and_never_the_other_way() -> None:
    fail, land = failed(OPERATION, 0, 0, [0]), confirmed(OPERATION, 0, 0, [0])
    for story in ([fail, land], [land, fail], [fail, land, fail]):
        tables = await tables_of(requested(OPERATION), *story)
        row, item = tables.operations[OPERATION], tables.items[OPERATION, 0]
        assert (row.completed_nfts, row.failed_nfts, row.error_message) == (1, 0, None)
        assert (item.status, item.error_code, item.error_message) == ("success", None, None)


async def test_a_failure_takes_back_the_confirmation_that_a_fork_dropped_for_good_and_no_other() -> None:
    story = [requested(OPERATION, 2), confirmed(OPERATION, 0, 0, [0, 1]), completed(OPERATION, 2, 2, 0)]
    earlier = failed(OPERATION, 0, 0, [0, 1], dropped=signature(OPERATION, 0, 0, 7))
    tables = await tables_of(*story, earlier)
    assert tables.operations[OPERATION].completed_nfts == 2
    tables = await tables_of(*story, failed(OPERATION, 0, 0, [0, 1], dropped=signature(OPERATION, 0, 0, 1)))
    row, item = tables.operations[OPERATION], tables.items[OPERATION, 0]
    assert (row.completed_nfts, row.failed_nfts, row.status) == (0, 2, "failed")
    assert (item.status, item.signature, item.asset_id, item.slot) == ("failed", None, None, None)


async def test_the_expected_end_follows_the_mean_rate() -> None:
    row = await operation_after(requested(OPERATION, 4), confirmed(OPERATION, 0, 0, [0]))
    assert row.estimated_completion == row.start_time + timedelta(seconds=4)


@pytest.mark.parametrize(
    "fact",
    [
        confirmed(uid("nobody"), 0, 0, [0]),
        completed(uid("nobody"), 1, 1, 0),
        confirmed(OPERATION, 0, 0, [0, 7]),
        collection_pinned(uid("nobody")),
    ],
    ids=["operation", "closing", "item", "collection"],
)
async def test_what_the_log_never_introduced_changes_nothing_and_is_parked(fact: Fact) -> None:
    before = await tables_of(requested(OPERATION, 2))
    after = await tables_of(requested(OPERATION, 2), fact)
    assert (after.operations, after.items, after.collections) == (before.operations, before.items, {})
    assert len(after.parked) == 1


def parked(entry: Entry) -> str:
    assert entry.parked is not None
    assert entry.changes == ()
    return entry.parked


def test_bytes_that_are_no_event_are_parked_with_the_reason() -> None:
    history = History()
    subject = requested(OPERATION).subject()
    assert "truncated" in parked(plan(history.put(subject, b'{"id":')))
    assert "no message type" in parked(plan(history.put("mint.news.v1.x", b"{}")))
    assert parked(plan(history.put(subject, b"[" * 200_000)))
    assert parked(plan(history.put(subject, b'{"id":"\xed\xa0\x80"}')))
    elsewhere = registry.encode(event(requested(uid("other"))))
    assert "the body says" in parked(plan(history.put(subject, elsewhere)))


def test_a_time_that_postgres_cannot_hold_is_refused() -> None:
    fact = requested(OPERATION)
    for time in (START.replace(tzinfo=None), START.replace(year=9999), START.replace(year=1)):
        with pytest.raises(Unprojectable):
            project(event(fact, time=time), 1)


def test_a_request_beyond_the_limit_is_refused_without_making_its_items() -> None:
    endless = Nft(name="A", image=ImageUri(uri="https://example.org/a"), copies=MAX_ITEMS + 1)
    with pytest.raises(Unprojectable, match="1001 items"):
        project(event(requested(OPERATION, nfts=(endless,))), 1)


def test_texts_are_made_fit_for_postgres() -> None:
    nft = Nft(name="\x00" + "é" * 300, description="a\x00b", image=ImageUri(uri="https://example.org/\x00"))
    (change,) = project(event(requested(OPERATION, nfts=(nft,))), 1)
    assert isinstance(change, OpenOperation)
    assert change.names == ("\ufffd" + "é" * 199,)
    assert "\\u0000" not in change.metadata


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("ipfs://QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG", "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"),
        ("ipfs://bafy/meta.json?x=1", "bafy"),
        ("ipfs://" + "b" * 64, "b" * 64),
        ("ipfs://" + "b" * 65, None),
        ("ar://abc", None),
        ("https://example.org/ipfs://bafy", None),
        ("ipfs://", None),
    ],
)
def test_the_cid_of_a_uri(uri: str, expected: str | None) -> None:
    assert ipfs_hash(uri) == expected


def test_a_pinned_item_keeps_its_uris() -> None:
    _, change = project(event(pinned(OPERATION, 0, [3])), 9)
    assert isinstance(change, PinItems)
    (item,) = change.items
    assert (item.index, item.ipfs_uri, item.image_uri) == (3, "ipfs://bafy3/m.json", "ipfs://img3")


async def test_a_collection_is_active_only_once_it_is_on_chain() -> None:
    story: list[Fact] = [collection_requested(COLLECTION)]
    row = await collection_after(*story)
    assert (row.stage, row.status, row.tree_address, row.capacity) == ("requested", "paused", None, 8)
    story.append(collection_pinned(COLLECTION))
    row = await collection_after(*story)
    assert (row.stage, row.status, row.uri) == ("pinned", "paused", "ipfs://bafycollection")
    story.append(collection_created(COLLECTION))
    row = await collection_after(*story)
    assert (row.stage, row.status, row.tree_address) == ("created", "active", address("tree", COLLECTION))
    assert row.image_url == "ipfs://bafyimage"
    assert row.created_at == START + timedelta(seconds=1)
    assert not row.has_valid_tree, "only the chain can say so"


async def test_a_collection_that_was_never_requested_here_can_be_created() -> None:
    assert (await collection_after(collection_created(COLLECTION))).status == "active"


async def test_a_collection_that_is_to_be_imported_has_a_row_from_then_on() -> None:
    asked = CollectionImportRequested(collection=COLLECTION, collection_address=address("elsewhere"))
    row = await collection_after(asked)
    assert (row.stage, row.name, row.standard, row.imported) == ("requested", address("elsewhere"), None, True)
    row = await collection_after(asked, collection_failed(COLLECTION))
    assert (row.stage, row.error_message) == ("failed", "the wallet is empty")


async def test_counts_come_from_the_chain_and_close_a_full_collection() -> None:
    story = [collection_created(COLLECTION), counted(COLLECTION, 7)]
    row = await collection_after(*story)
    assert (row.minted, row.capacity, row.has_valid_tree, row.supports_das) == (7, 8, True, True)
    assert row.status == "active"
    assert (await collection_after(*story, counted(COLLECTION, 8, slot=61))).status == "completed"


async def test_every_tree_has_a_row_with_what_the_chain_says_of_it() -> None:
    first = CountedTree(tree_address=address("tree", COLLECTION), minted=8, valid=True)
    second = CountedTree(tree_address=address("tree", COLLECTION, 1), minted=2, valid=True)
    nobodys = CountedTree(tree_address=address("tree", "of nobody"), minted=5, valid=True)
    story = [
        collection_created(COLLECTION),
        counted(COLLECTION, 8),
        tree_added(COLLECTION, 1),
        tree_added(COLLECTION, 1),
        counted(COLLECTION, 10, slot=61, trees=(first, second, nobodys)),
    ]
    tables = await tables_of(*story)
    assert [(key[1], row.minted, row.capacity, row.max_depth) for key, row in sorted(tables.trees.items())] == [
        (0, 8, 8, 3),
        (1, 2, 8, 3),
    ]
    gone = msgspec.structs.replace(second, minted=None, valid=False)
    tables = await tables_of(*story, counted(COLLECTION, 10, slot=62, trees=(gone,)))
    assert [(row.minted, row.valid) for _, row in sorted(tables.trees.items())] == [(8, True), (2, False)]


async def test_more_trees_than_are_ever_counted_at_once_are_refused() -> None:
    tables = await tables_of(collection_created(COLLECTION), tree_added(COLLECTION, MAX_TREES - 1))
    assert not tables.parked
    places = (TreePlace(tree_address=address("another"), tree=TreeShape()),) * MAX_TREES
    tables = await tables_of(collection_created(COLLECTION), tree_added(COLLECTION, MAX_TREES))
    assert list(tables.parked) == [("COLLECTION", 2)]
    with pytest.raises(Unprojectable, match="17 trees"):
        project(event(collection_created(COLLECTION, more_trees=places)), 1)


async def test_every_comparison_that_is_told_is_kept() -> None:
    tables = await tables_of(drift(COLLECTION, 1), collection_created(COLLECTION), drift(COLLECTION, 2))
    assert [(sequence, one.drift.slot) for (_, sequence), one in sorted(tables.drifts.items())] == [(1, 81), (3, 82)]
    (told,) = msgspec.json.decode(tables.drifts[COLLECTION, 1].differences)
    assert (told["kind"], told["explanation"], told["examples"]) == ("das_ahead", "Shown.", ["a\ufffd"])


async def test_a_collection_closed_for_minting_is_paused() -> None:
    assert (await collection_after(collection_created(COLLECTION, allow_minting=False))).status == "paused"


async def test_a_collection_that_failed_says_why_unless_it_was_made_after_all() -> None:
    story = [collection_requested(COLLECTION), collection_failed(COLLECTION)]
    row = await collection_after(*story)
    assert (row.stage, row.error_code, row.error_message) == ("failed", "insufficient_funds", "the wallet is empty")
    row = await collection_after(*story, collection_created(COLLECTION))
    assert (row.stage, row.status, row.error_message) == ("created", "active", None)
    assert (await collection_after(*story, collection_created(COLLECTION), collection_failed(COLLECTION))).stage == (
        "created"
    )


def test_every_code_of_a_failure_fits_its_column() -> None:
    assert max(len(code) for code in FailureCode) <= 64


async def test_a_cancelled_item_is_no_failed_one() -> None:
    cancelled = ItemFailure(items=(1, 2), code=FailureCode.CANCELLED, reason="It was cancelled.")
    tables = await tables_of(
        requested(OPERATION, 3),
        Cancelled(operation=OPERATION),
        confirmed(OPERATION, 0, 0, [0]),
        PinFailed(operation=OPERATION, chunk=1, failures=(cancelled,)),
    )
    row = tables.operations[OPERATION]
    assert (row.completed_nfts, row.failed_nfts, row.cancelled_nfts) == (1, 0, 2)
    assert (row.settled, row.settled_sequence, row.error_message) == (3, 4, None)
    assert (tables.items[OPERATION, 1].status, tables.items[OPERATION, 1].error_code) == ("failed", "cancelled")


async def test_an_item_says_when_it_ended() -> None:
    tables = await tables_of(requested(OPERATION, 2), confirmed(OPERATION, 0, 0, [0]), finalized(OPERATION, 0, 0))
    assert [tables.items[OPERATION, index].settled_at for index in (0, 1)] == [START + timedelta(seconds=2), None]


async def test_the_newest_flags_of_a_collection_hold() -> None:
    created = collection_created(COLLECTION)
    row = await collection_after(created, CollectionUpdated(collection=COLLECTION, is_public=True, allow_minting=False))
    assert (row.is_public, row.allow_minting, row.status) == (True, False, "paused")
    row = await collection_after(
        created,
        CollectionUpdated(collection=COLLECTION, is_public=True, allow_minting=False),
        CollectionUpdated(collection=COLLECTION, is_public=False, allow_minting=True),
    )
    assert (row.is_public, row.allow_minting, row.status) == (False, True, "active")
    row = await collection_after(
        created,
        counted(COLLECTION, 3),
        CollectionUpdated(collection=COLLECTION, is_public=True, allow_minting=False),
        created,
    )
    assert (row.is_public, row.allow_minting, row.status, row.minted) == (True, False, "paused", 3), "said again"
