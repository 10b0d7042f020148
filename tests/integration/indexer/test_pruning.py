"""Pruning on a real nats-server: killed between any two deletions, and every service given everything again."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from archive.object_store import ObjectStore
from archive.reading import Archive
from chassis.clock import SystemClock
from chassis.database import Pool
from chassis.log import RawMessage, SequenceConflict
from chassis.messaging import Connection, Log
from chassis.redaction import Secret
from contracts.fact import Fact, Producer
from contracts.guard import Truncated
from contracts.mint import Completed, Requested, transaction_fence
from contracts.registry import decode
from contracts.streams import COLLECTION, GUARD, MINT, Stream
from contracts.webhook import WebhookConfigured
from localnet.child import Child
from mintstream import archives
from mintstream.cli import app
from mintstream.ending import Exit
from services.gateway.adapters.projection import PostgresProjection
from services.gateway.callers import Caller
from services.gateway.errors import IdempotencyKeyReused, OperationEnded
from services.gateway.handlers import Asking
from services.gateway.operations import Operations
from services.indexer import archiving, pruning
from services.indexer.archiving import Archiver, Bounds
from services.indexer.guard import Guard
from services.indexer.history import History
from services.indexer.pruning import Pruned, Pruner
from services.indexer.rebuilding import Rebuild
from services.indexer.replaying import replay
from services.indexer.retention import Reason
from services.indexer.store import PostgresStore
from services.indexer.vault import PostgresVault
from tests.support.bystanders import everything_again, sequences
from tests.support.indexing import collection_created, uid
from tests.support.nats import NatsFactory
from tests.support.postgres import Database
from tests.support.settled import settled_story

SEEDS = (10, 20, 23)
"""Of operations that are over: with forks, failures, refused items, and one that was cancelled."""
RUNNING = uid("running")
OWNER = Caller(name="app:shop", scopes=frozenset())


class Killed(Exception):
    pass


@dataclass
class Mortal:
    """Deletes, and dies before the next deletion once `lives` of them have deleted something."""

    log: Log
    lives: int
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def purge(self, stream: Stream, pattern: str, up_to: int) -> None:
        """See `pruning.Purging.purge`. One after another, so that one can die between any two."""
        async with self.turn:
            if not self.lives:
                raise Killed
            self.lives -= await self._holds(stream, pattern)
            await self.log.repair().purge(stream, pattern, up_to)
            assert not await self._holds(stream, pattern)

    async def _holds(self, stream: Stream, pattern: str) -> bool:
        return await self.log.last_matching(stream, pattern) is not None


@dataclass
class World:
    server: Child
    log: Log
    pool: Pool
    archive: Archive
    archive_url: str

    @property
    def url(self) -> str:
        return self.server.addresses["nats"]

    async def prune(
        self, lives: int = 10**6, *, rehearse: bool = False, age: timedelta = -timedelta(minutes=1)
    ) -> Pruned:
        pruner = Pruner(self.log, Mortal(self.log, lives), PostgresVault(self.pool), self.archive)
        return await pruner.prune(datetime.now(UTC) - age, rehearse=rehearse)

    async def held(self) -> list[RawMessage]:
        return [raw async for raw in self.log.lookup.history(MINT, ["mint.>"])]


def silent(stream: str, sequence: int) -> None:
    """No progress is told."""
    del stream, sequence


async def say(log: Log, facts: Sequence[Fact]) -> None:
    for fact in facts:
        await log.publish(fact, cause=None)


def stories() -> list[Fact]:
    """Operations side by side, each in its own order: some that are over, and one that was not completed."""
    random = Random(3)
    threads = [settled_story(Random(seed), uid(seed)) for seed in SEEDS] + [settled_story(Random(9), RUNNING)[:-1]]
    facts: list[Fact] = []
    while threads := [thread for thread in threads if thread]:
        facts.append(random.choice(threads).pop(0))
    return facts


@pytest.fixture
async def world(
    start_nats: NatsFactory, pool: Pool, store: PostgresStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[World]:
    """A log that is in the tables, and in the archive but for its last message."""
    monkeypatch.setattr(archiving, "MAX_MESSAGES", 10)
    server = await start_nats()
    async with Log.session(Connection((server.addresses["nats"],), Producer(name="test", version="0"))) as log:
        await log.declare(buckets=())
        now = datetime.now(UTC)
        hook = WebhookConfigured(
            webhook=uid("hook"), caller="", url="https://a.test", events=("*",), created_at=now, all_callers=True
        )
        await say(log, [hook, collection_created(uid("collection")), *stories()])
        for stream in (MINT, COLLECTION):
            await replay(log, store, stream, await log.last_sequence(stream), silent)
        archive_url = (tmp_path / "archive").as_uri()
        archive = Archive(ObjectStore(archive_url), log)
        bounds = Bounds(watermark=await log.last_sequence(MINT), until=now + timedelta(days=1))
        await Archiver(log, archive).archive(MINT, bounds, flush=True)
        yield World(server, log, pool, archive, archive_url)


def attempts(messages: Sequence[RawMessage], operation: UUID | None = None) -> list[RawMessage]:
    """What may leave of these messages."""
    kinds = ("mint.signed.v1", "mint.confirmed.v1")
    return [raw for raw in messages if raw.subject.startswith(kinds) and str(operation or "") in raw.subject]


async def test_killed_between_any_two_deletions_nobody_does_anything_again(world: World) -> None:
    before = await world.held()
    assert await everything_again(world.url) == [], "with everything on the log"
    said = await sequences(world.log)
    assert said["DELIVERY"] > 0
    assert said["DEAD"] == 0
    deletions = 0
    while True:
        try:
            await world.prune(lives=1)
            break
        except Killed:
            deletions += 1
        assert await everything_again(world.url) == [], f"after {deletions} deletions"
        assert await sequences(world.log) == said
    assert deletions > len(SEEDS), "also within an operation"
    assert await everything_again(world.url) == []
    assert await sequences(world.log) == said
    assert (await world.prune()).operations == 0, "each deletion was made"
    gone = [raw for raw in attempts(before) if str(RUNNING) not in raw.subject]
    assert await world.held() == [raw for raw in before if raw not in gone]


@pytest.mark.parametrize("sparse", [0, 1000])
async def test_nothing_is_taken_that_is_young_unfinished_unarchived_or_not_the_same_everywhere(
    world: World, monkeypatch: pytest.MonkeyPatch, sparse: int
) -> None:
    """Whether the log is read message by message or in one stretch."""
    before = await world.held()
    assert (await world.prune(age=timedelta(days=1))).staying == {}
    monkeypatch.setattr(pruning, "SPARSE", sparse)
    rehearsal = await world.prune(rehearse=True)
    assert (rehearsal.operations, rehearsal.staying) == (len(SEEDS), {Reason.RUNNING: 1})
    assert rehearsal.messages == len(attempts(before)) - len(attempts(before, RUNNING))
    assert rehearsal.bytes > 0
    forged, copied, later = (uid(seed) for seed in SEEDS)
    await world.pool.execute(
        "UPDATE event_log SET payload = replace(convert_from(payload, 'UTF8'), 'Nft', 'Cat')::bytea WHERE subject = $1",
        Requested.subject_of(operation=forged),
    )
    await world.pool.execute("DELETE FROM event_log WHERE subject = $1", Requested.subject_of(operation=copied))
    await world.log.publish(Completed(operation=later, total=1, minted=1, failed=0), cause=None)
    done = await world.prune()
    assert done.staying == {Reason.ARCHIVE_DIFFERS: 1, Reason.NO_COPY: 1, Reason.LOG_DIFFERS: 1, Reason.RUNNING: 1}
    assert done.operations == 0
    assert (await world.held())[:-1] == before


async def test_a_pruned_log_answers_replays_and_verifies_as_before(world: World, tables: Database) -> None:
    messages = await world.held()
    projection = PostgresProjection(world.pool)
    stored = {raw.subject: decode(raw.subject, raw.payload).data for raw in messages}
    operations = Operations(asking := Asking(world.log, _never()), projection)
    assert (await world.prune()).operations == len(SEEDS)

    for first in (True, False):
        history = History(world.log, world.archive, archive_first=first)
        rebuild = Rebuild(Secret(tables.dsn), f"rebuilt_{first}".lower(), history)
        await rebuild.prepare(fresh=False)
        await rebuild.catch_up(silent)
        assert [difference async for difference in rebuild.verify()] == []

    for seed in SEEDS:
        requested: Requested = stored[Requested.subject_of(operation=uid(seed))]
        assert await asking.earlier(requested, key="k") == requested, "the same key, the same answer"
        assert not await world.log.publish_once(requested, cause=None)
        with pytest.raises(IdempotencyKeyReused):
            await asking.earlier(_other(requested), key="k")
        told = await operations.timeline(uid(seed), OWNER, 0, 1000)
        assert [event.sequence for event in told.events] == [
            r.sequence for r in messages if str(uid(seed)) in r.subject
        ]
        if f"mint.cancelled.v1.{uid(seed)}" in stored:
            await operations.cancel(uid(seed), OWNER)
        else:
            with pytest.raises(OperationEnded):
                await operations.cancel(uid(seed), OWNER)
        if failed := await projection.failed_items(uid(seed)):
            again = await operations.retry(uid(seed), OWNER)
            assert again.total == len(failed) < requested.total
            assert await operations.retry(uid(seed), OWNER) == again


async def test_no_intent_passes_the_end_of_its_transaction_not_even_after_a_restart(world: World) -> None:
    """A worker that slept since before the operation was planned holds a transaction of which it knows nothing."""
    messages = await world.held()
    await world.prune()
    world.server.kill()
    await world.server.wait()
    await world.server.start()
    intents = [decode(raw.subject, raw.payload).data for raw in attempts(messages) if "signed" in raw.subject]
    intents = [fact for fact in intents if fact.operation != RUNNING]
    assert intents
    for fact in intents:
        fence = transaction_fence(fact.operation, fact.chunk, fact.tx)
        with pytest.raises(SequenceConflict):
            await world.log.publish(fact, cause=None, expected_sequence=0, fence=fence)
    assert await world.log.last_sequence(MINT) == messages[-1].sequence


async def test_a_lost_log_comes_back_with_what_was_pruned(world: World, start_nats: NatsFactory) -> None:
    messages = await world.held()
    await world.prune()
    vault = PostgresVault(world.pool)
    await Guard(world.log, vault).whole()
    assert await world.log.last_matching(GUARD, Truncated.pattern()) is None, "what was pruned is not lost"
    empty = await start_nats()
    async with Log.session(Connection((empty.addresses["nats"],), Producer(name="test", version="0"))) as log:
        await log.declare(buckets=())
        await Guard(log, vault).whole()
        back = [raw async for raw in log.lookup.history(MINT, ["mint.>"])]
    assert [(r.sequence, r.subject, r.payload) for r in back] == [(r.sequence, r.subject, r.payload) for r in messages]


class NextWeek(SystemClock):
    def now(self) -> datetime:
        return super().now() + timedelta(days=8)


async def test_the_command_takes_it_after_a_week_at_the_earliest_and_tells_what_stays(
    world: World, tables: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {"NATS_URL": world.url, "DATABASE_URL": tables.dsn, "ARCHIVE_URL": world.archive_url}

    async def prune(*options: str) -> Result:
        arguments = ["archive", "prune", "--older-than-days", *options]
        return await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environ)

    before = await world.held()
    assert (await prune("6.9")).exit_code == Exit.USAGE
    assert json.loads((await prune("7", "--json")).stdout)["MINT"]["staying"] == {}
    monkeypatch.setattr(archives, "SystemClock", NextWeek)
    count = len(attempts(before)) - len(attempts(before, RUNNING))
    rehearsed = await prune("7", "--dry-run")
    assert f"MINT: {count} messages (" in rehearsed.stdout
    assert f"of {len(SEEDS)} operations would leave\nMINT: 1 operations stay: not completed\n" in rehearsed.stdout
    assert await world.held() == before
    first = json.loads((await prune("7", "--at-most", "1", "--json")).stdout)["MINT"]
    told = json.loads((await prune("7", "--json")).stdout)["MINT"]
    assert (first["operations"], told["operations"], told["staying"]) == (1, len(SEEDS) - 1, {"running": 1})
    assert first["messages"] + told["messages"] == count
    assert len(before) - len(await world.held()) == count


def _never() -> Any:
    """No image is looked at here."""
    return None


def _other(requested: Requested) -> Requested:
    return Requested(
        operation=requested.operation,
        operation_type=requested.operation_type,
        collection=uid("another collection"),
        recipient=requested.recipient,
        nfts=requested.nfts,
    )
