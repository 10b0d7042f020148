"""The gateway's queries on the indexer's tables, as the role that may only read."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from chassis import postgres
from chassis.database import Pool
from contracts.mint import FailureCode
from services.gateway.adapters.projection import PostgresProjection
from services.gateway.ports import CollectionQuery, OperationQuery, ProjectionUnavailable, Result
from services.indexer.entries import plan
from services.indexer.store import PostgresStore
from tests.integration.gateway.conftest import NO_DATABASE
from tests.support.indexing import (
    START,
    History,
    address,
    collection_created,
    collection_failed,
    collection_requested,
    completed,
    confirmed,
    counted,
    drift,
    failed,
    pin_failed,
    requested,
    signature,
    signed,
    tree_added,
    uid,
)
from tests.support.postgres import Database

OPERATION = uid("operation")


async def project(store: PostgresStore, stream: str, history: History, after: int = 0) -> None:
    """Let the indexer write what it makes of the messages beyond `after`."""
    await store.apply(stream, after, [plan(raw) for raw in history.messages[after:]])


async def test_an_operation_from_its_request_to_its_end(store: PostgresStore, reader: Pool) -> None:
    projection, history = PostgresProjection(reader), History()
    assert await projection.operation(OPERATION) is None
    history.say(requested(OPERATION, 3, batch_size=3))
    await project(store, "MINT", history)
    fresh = await projection.operation(OPERATION)
    assert fresh is not None
    assert (fresh.id, fresh.status, fresh.total, fresh.completed, fresh.failed) == (OPERATION, "pending", 3, 0, 0)
    assert (fresh.current_item, fresh.results, fresh.end_time) == ("Nft 0", (), None)

    history.say(signed(OPERATION, 0, 0, [0]))
    history.say(confirmed(OPERATION, 0, 0, [0]))
    history.say(failed(OPERATION, 0, 2, [2]))
    await project(store, "MINT", history, after=1)
    halfway = await projection.operation(OPERATION)
    assert halfway is not None
    assert (halfway.status, halfway.completed, halfway.failed) == ("processing", 1, 1)
    assert halfway.current_item == "Nft 1"
    assert halfway.results == (
        Result(
            status="success",
            signature=signature(OPERATION, 0, 0, 1),
            leaf_index=10,
            asset_id=address("asset", OPERATION, 0, 1),
        ),
        Result(status="failed", error="because of tree_full"),
    )

    history.say(confirmed(OPERATION, 0, 1, [1]))
    history.say(completed(OPERATION, 3, 2, 1))
    await project(store, "MINT", history, after=4)
    ended = await projection.operation(OPERATION)
    assert ended is not None
    assert (ended.status, ended.completed, ended.failed, ended.current_item) == ("completed", 2, 1, None)
    assert ended.end_time is not None
    assert ended.error is not None
    assert [result.status for result in ended.results] == ["success", "success", "failed"]


async def test_operations_are_listed_by_who_asked(store: PostgresStore, reader: Pool) -> None:
    projection, history = PostgresProjection(reader), History()
    owners = {uid("list", number): caller for number, caller in enumerate(("app:shop", "app:other", ""))}
    for operation, caller in owners.items():
        history.say(requested(operation, caller=caller))
    await project(store, "MINT", history)
    for caller in (None, "app:shop", "app:nobody"):
        found = await projection.operations(OperationQuery(caller=caller))
        wanted = {operation for operation, owner in owners.items() if caller in (None, owner)}
        assert {one.id for one in found} == wanted
        assert all(one.caller == owners[one.id] for one in found)
    one = await projection.operation(uid("list", 0))
    assert one is not None
    assert one.caller == "app:shop"


async def test_an_operation_is_found_by_what_it_minted(store: PostgresStore, reader: Pool) -> None:
    projection, history = PostgresProjection(reader), History()
    mine, theirs = uid("mine"), uid("theirs")
    for operation, caller in ((mine, "app:shop"), (theirs, "app:other")):
        history.say(requested(operation, 2, batch_size=2, caller=caller))
        history.say(confirmed(operation, 0, 0, [0, 1]))
    await project(store, "MINT", history)

    async def found(**query: object) -> list[UUID]:
        return [one.id for one in await projection.operations(OperationQuery(**query))]  # pyright: ignore[reportArgumentType]

    asset, sent = address("asset", mine, 1, 1), signature(mine, 0, 0, 1)
    assert await found(asset=asset) == await found(signature=sent) == await found(asset=asset, signature=sent) == [mine]
    assert await found(asset=asset, caller="app:shop") == [mine]
    assert await found(asset=asset, caller="app:other") == await found(asset=asset, status="pending") == []
    assert await found(asset=asset, signature=signature(theirs, 0, 0, 1)) == []
    assert await found(asset=address("nothing")) == await found(signature=signature("nothing")) == []


async def test_a_collection_has_all_its_trees_and_its_comparisons(store: PostgresStore, reader: Pool) -> None:
    projection, history, cats = PostgresProjection(reader), History(), uid("cats")
    for fact in (collection_created(cats), tree_added(cats, 1), counted(cats, 8), drift(cats, 1), drift(cats, 2)):
        history.say(fact)
    await project(store, "COLLECTION", history)
    row = await projection.collection(cats)
    assert row is not None
    assert row.trees is not None
    assert [(tree.number, tree.address, tree.max_depth, tree.minted, tree.valid) for tree in row.trees] == [
        (0, address("tree", cats), 3, 8, True),
        (1, address("tree", cats, 1), 3, None, None),
    ]
    told = await projection.drifts(cats, 10)
    assert [(one.slot, one.chain, one.das) for one in told] == [(82, 3, 2), (81, 2, None)]
    assert [(one.kind, one.examples) for one in told[1].differences] == [("das_ahead", ("a\ufffd",))]
    assert len(await projection.drifts(cats, 1)) == 1
    assert await projection.drifts(uid("nobody"), 10) == []


async def test_collections_are_listed_when_they_are_on_chain(store: PostgresStore, reader: Pool) -> None:
    projection, history = PostgresProjection(reader), History()
    names = ["open", "closed", "full", "asked", "broken"]
    identities = {name: uid(name) for name in names}
    history.say(collection_created(identities["open"], name="open"))
    history.say(collection_created(identities["closed"], name="closed", allow_minting=False))
    history.say(collection_created(identities["full"], name="full"))
    history.say(counted(identities["full"], 8))
    history.say(collection_requested(identities["asked"], name="asked"))
    history.say(collection_requested(identities["broken"], name="broken"))
    history.say(collection_failed(identities["broken"]))
    await project(store, "COLLECTION", history)

    async def listed(**query: object) -> list[str]:
        page = await projection.collections(CollectionQuery(**query))  # pyright: ignore[reportArgumentType]
        return [collection.name for collection in page.collections]

    assert await listed() == ["full", "closed", "open"]
    assert await listed(status="active") == ["open"]
    assert await listed(status="paused") == ["closed"]
    assert await listed(status="completed") == ["full"]
    assert await listed(allow_minting=True) == ["full", "open"]
    assert await listed(limit=2) == ["full", "closed"]
    assert await listed(limit=2, page=2) == ["open"]
    beyond = await projection.collections(CollectionQuery(limit=2, page=9))
    assert (beyond.collections, beyond.total) == ([], 3)

    asked, broken = [await projection.collection(identities[name]) for name in ("asked", "broken")]
    assert asked is not None
    assert (asked.stage, asked.tree_address, asked.status) == ("requested", None, "paused")
    assert broken is not None
    assert (broken.stage, broken.error_code) == ("failed", "insufficient_funds")
    full = await projection.collection(identities["full"])
    assert full is not None
    assert (full.minted, full.capacity, full.has_valid_tree, full.supports_das) == (8, 8, True, True)
    assert await projection.collection(uid("nobody")) is None


async def test_the_recent_totals_begin_at_the_very_second(store: PostgresStore, reader: Pool) -> None:
    projection, history = PostgresProjection(reader), History()
    said: list[tuple[datetime, str]] = []
    for number in range(50):  # three minutes of it
        operation = uid("recent", number)
        ended = (
            failed(operation, 0, 0, [0])
            if number % 5 == 0
            else pin_failed(operation, 0, [0], FailureCode.CANCELLED)
            if number % 5 == 1
            else confirmed(operation, 0, 0, [0])
        )
        for fact, counts_as in (
            (requested(operation), "operations"),
            (signed(operation, 0, 0, [0]), ""),
            (ended, ("failed", "", "minted", "minted", "minted")[number % 5]),
        ):
            history.say(fact)
            said.append((START + timedelta(seconds=len(history.messages)), counts_as))
    await project(store, "MINT", history)
    for seconds in (-5, 0, 1, 59, 60, 61, 119, 120.5, 149, 150, 200):
        since = START + timedelta(seconds=seconds)
        wanted = Counter(counts_as for at, counts_as in said if at >= since)
        found = await projection.overview(since)
        told = (found.recent_operations, found.recent_minted, found.recent_failed)
        assert told == (wanted["operations"], wanted["minted"], wanted["failed"]), since
    assert found.active_operations == 50


@pytest.mark.parametrize("step", [timedelta(minutes=1), timedelta(hours=1)])
async def test_a_series_has_every_row_of_its_stretch(store: PostgresStore, reader: Pool, step: timedelta) -> None:
    history = History()
    begin = START.replace(minute=0, second=0, microsecond=0)
    wanted: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
    for number in range(30):
        operation = uid("series", number)
        ended = failed(operation, 0, 0, [0]) if number % 3 == 0 else confirmed(operation, 0, 0, [0, 1])
        for fact in (requested(operation, 2), signed(operation, 0, 0, [0, 1]), ended):
            history.say(fact)
        asked_at, ended_at = (START + timedelta(seconds=len(history.messages) - before) for before in (2, 0))
        wanted[begin + (asked_at - begin) // step * step]["accepted"] += 2
        settled = {"failed": 1} if number % 3 == 0 else {"confirmed": 2}
        wanted[begin + (ended_at - begin) // step * step].update(settled)
    await project(store, "MINT", history)
    found = await PostgresProjection(reader).series(begin, step)
    told = {each.at: (each.accepted, each.confirmed, each.failed) for each in found}
    assert told == {at: (each["accepted"], each["confirmed"], each["failed"]) for at, each in wanted.items()}
    assert [each.at for each in found] == sorted(wanted)
    assert all(sum(items for _, items in each.latencies) == each.confirmed for each in found)
    assert {up_to for each in found for up_to, _ in each.latencies} == {2200}  # two seconds of the history's clock
    late = begin + step * ((START - begin) // step + 1)
    assert [each.at for each in await PostgresProjection(reader).series(late, step)] == [
        at for at in sorted(wanted) if at >= late
    ]


async def test_the_gateways_role_cannot_write(reader: Pool) -> None:
    with pytest.raises(asyncpg.PostgresError):
        await reader.execute("DELETE FROM mint_operations")


async def test_a_database_without_tables_is_unavailable(database: Database) -> None:
    async with postgres.pool(database.dsn, application_name="test", min_size=0) as pool:
        projection = PostgresProjection(pool)
        await projection.check()
        with pytest.raises(ProjectionUnavailable):
            await projection.operation(OPERATION)


async def test_a_database_that_is_away_is_unavailable_and_needs_no_start() -> None:
    async with postgres.pool(NO_DATABASE, application_name="test", min_size=0, wait_seconds=0) as pool:
        projection = PostgresProjection(pool)
        with pytest.raises(ProjectionUnavailable):
            await projection.check()
        with pytest.raises(ProjectionUnavailable):
            await projection.collections(CollectionQuery())
