"""Following operations: history and what is to come without a gap, bounded, resumable; and waiting for a result."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from contracts.access import Scope
from contracts.mint import (
    Completed,
    Confirmed,
    Failed,
    FailureCode,
    Finalized,
    ImageUri,
    ItemFailure,
    Nft,
    Requested,
)
from contracts.streams import MINT
from services.gateway.errors import ProjectionDown, TooManyFollowers
from services.gateway.following import MAX_FOLLOWERS, MAX_WAITING, StreamOver
from services.gateway.ports import Operation, Result
from services.gateway.progress import Ending
from services.gateway.results import preferred_wait
from tests.support import samples
from tests.support.gateway import API_KEY, COLLECTION, RECIPIENT, URI, Gateway, single

OPERATION = samples.OPERATION
OTHER = UUID("0199b0a0-0000-7000-8000-00000000000b")
REQUESTED = Requested(
    operation=OPERATION,
    operation_type="mint",
    collection=COLLECTION,
    recipient=RECIPIENT,
    nfts=(Nft(name="Tent", image=ImageUri(uri=URI)),),
)
COMPLETED = Completed(operation=OPERATION, total=1, minted=1, failed=0)
FINALIZED = Finalized(operation=OPERATION, chunk=0, tx=1, signature=samples.SIGNATURE, slot=9)


@asynccontextmanager
async def running(gateway: Gateway) -> AsyncGenerator[Gateway]:
    """The gateway with its reader."""
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(gateway.following.run(gateway.stopping))
        try:
            yield gateway
        finally:
            gateway.stopping.set()


async def collect(gateway: Gateway, after: int = 0) -> list[int]:
    return [event.sequence async for event in gateway.following.events(OPERATION, after) if event is not None]


async def test_what_was_said_before_and_what_comes_later_is_one_stream() -> None:
    gateway = Gateway()
    await gateway.log.publish(REQUESTED, cause=None)
    async with running(gateway):
        following = asyncio.create_task(collect(gateway))
        for _ in range(20):
            await asyncio.sleep(0)
        for fact in (samples.CONFIRMED, COMPLETED):
            await gateway.log.publish(fact, cause=None)
        await gateway.log.publish(Completed(operation=OTHER, total=1, minted=1, failed=0), cause=None)
        await gateway.log.publish(FINALIZED, cause=None)
        assert await following == [1, 2, 3, 5]


async def test_it_goes_on_behind_the_last_event_that_was_seen() -> None:
    gateway = Gateway()
    for fact in (REQUESTED, samples.CONFIRMED, COMPLETED, FINALIZED):
        await gateway.log.publish(fact, cause=None)
    async with running(gateway):
        assert await collect(gateway, after=2) == [3, 4]
        assert await collect(gateway, after=4) == []


async def test_a_copy_of_the_log_that_is_behind_is_waited_for() -> None:
    gateway = Gateway()
    for fact in (REQUESTED, samples.CONFIRMED, COMPLETED, FINALIZED):
        await gateway.log.publish(fact, cause=None)
    gateway.projection.position = 1
    async with running(gateway):
        events = gateway.following.events(OPERATION, 0)
        first, waiting = await anext(events), await anext(events)
        assert first is not None
        assert waiting is None
        gateway.projection.position = None
        rest = asyncio.ensure_future(anext(events))
        await gateway.clock.advance(1)
        found = await rest
        assert found is not None
        assert (first.sequence, found.sequence) == (1, 2)
        await cast("AsyncGenerator[object]", events).aclose()


async def test_without_the_copy_the_log_itself_is_read() -> None:
    gateway = Gateway()
    gateway.projection.down = True
    for fact in (REQUESTED, samples.CONFIRMED, Completed(operation=OTHER, total=1, minted=1, failed=0)):
        await gateway.log.publish(fact, cause=None)
    async with running(gateway):
        following = asyncio.create_task(collect(gateway, after=1))
        for _ in range(20):
            await asyncio.sleep(0)
        for fact in (FINALIZED, COMPLETED):
            await gateway.log.publish(fact, cause=None)
        assert await following == [2, 4, 5]


async def test_without_the_copy_there_is_no_stream_with_a_hole() -> None:
    gateway = Gateway()
    gateway.projection.down = True
    for fact in (REQUESTED, samples.SIGNED, samples.CONFIRMED, COMPLETED, FINALIZED):
        await gateway.log.publish(fact, cause=None)
    async with running(gateway):
        assert await collect(gateway) == [1, 2, 3, 4, 5]
        await gateway.log.purge(MINT, Confirmed.pattern(), up_to=3)
        with pytest.raises(ProjectionDown):
            await collect(gateway)


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_a_stream_ends_when_its_key_does(gateway: Gateway, kind: str) -> None:
    await gateway.log.publish(REQUESTED, cause=None)
    told, inbox = asyncio.Queue[Any](), asyncio.Queue[Any]()
    scope: dict[str, Any] = {
        "type": kind,
        "method": "GET",
        "scheme": kind,
        "path": f"/api/mint/status/{OPERATION}/events",
        "raw_path": b"",
        "query_string": b"",
        "headers": [(b"x-api-key", gateway.key("auditor", Scope.ADMIN).encode())],
        "client": ("127.0.0.1", 1),
    }
    async with running(gateway):
        if kind == "websocket":
            inbox.put_nowait({"type": "websocket.connect"})
        talking = asyncio.create_task(gateway.app()(scope, inbox.get, told.put))
        first = [await told.get(), await told.get()]
        assert "mint.requested.v1" in str(first[1])
        gateway.keys.keys.clear()
        await gateway.log.publish(samples.CONFIRMED, cause=None)
        await talking
        rest = str([told.get_nowait() for _ in range(told.qsize())])
    assert "mint.confirmed.v1" not in rest
    assert "event: end" not in rest
    assert gateway.following.followers == 0


async def test_a_caller_that_goes_while_nothing_happens_is_followed_for_no_longer(gateway: Gateway) -> None:
    await gateway.log.publish(REQUESTED, cause=None)
    told = asyncio.Queue[Any]()
    inbox = asyncio.Queue[Any]()
    scope: dict[str, Any] = {
        "type": "websocket",
        "scheme": "ws",
        "path": f"/api/mint/status/{OPERATION}/events",
        "raw_path": b"",
        "query_string": b"",
        "headers": [(b"x-api-key", API_KEY.encode())],
        "subprotocols": ["other", "mintstream"],
        "client": ("127.0.0.1", 1),
    }
    async with running(gateway):
        inbox.put_nowait({"type": "websocket.connect"})
        talking = asyncio.create_task(gateway.app()(scope, inbox.get, told.put))
        assert (await told.get())["subprotocol"] == "mintstream"
        assert json.loads((await told.get())["text"])["type"] == "mint.requested.v1"
        inbox.put_nowait({"type": "websocket.receive", "text": "hello?"})
        inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
        await talking
        assert told.empty()
        assert gateway.following.followers == 0


async def test_a_caller_that_does_not_keep_up_loses_its_stream_and_nobody_else_does() -> None:
    gateway = Gateway()
    async with running(gateway), gateway.following.follow(OPERATION) as slow:
        for _ in range(MAX_WAITING + 1):
            await gateway.log.publish(samples.CONFIRMED, cause=None)
        async with gateway.following.follow(OTHER) as other:
            await gateway.log.publish(Completed(operation=OTHER, total=1, minted=1, failed=0), cause=None)
            event = await other.next(5.0)
            assert event is not None
        with pytest.raises(StreamOver):
            await slow.next(5.0)


async def test_streams_are_bounded_in_number() -> None:
    gateway = Gateway()
    async with running(gateway):
        streams = [gateway.following.follow(OPERATION) for _ in range(MAX_FOLLOWERS)]
        for stream in streams:
            await stream.__aenter__()
        with pytest.raises(TooManyFollowers):
            async with gateway.following.follow(OTHER):
                pass
        for stream in streams:
            await stream.__aexit__(None, None, None)
        async with gateway.following.follow(OTHER):
            pass


async def test_stopping_ends_every_stream() -> None:
    gateway = Gateway()
    async with running(gateway), gateway.following.follow(OPERATION) as follower:
        gateway.stopping.set()
        with pytest.raises(StreamOver):
            await follower.next(20.0)


def test_an_operation_is_over_when_all_that_landed_is_final() -> None:
    ending = Ending()
    for fact, reached in ((REQUESTED, False), (samples.CONFIRMED, False), (COMPLETED, False), (FINALIZED, True)):
        ending.see(fact.subject())
        assert ending.reached is reached


def test_an_operation_is_over_when_a_fork_has_taken_back_for_good_what_was_not_final() -> None:
    failure = ItemFailure(items=(0,), code=FailureCode.PROGRAM_REFUSED, reason="It cannot land any more.")
    dropped = Failed(operation=OPERATION, chunk=0, tx=1, failure=failure, dropped=samples.SIGNATURE)
    ending = Ending()
    for fact, reached in ((REQUESTED, False), (samples.CONFIRMED, False), (COMPLETED, False), (dropped, True)):
        ending.see(fact.subject())
        assert ending.reached is reached


async def test_server_sent_events(gateway: Gateway) -> None:
    for fact in (REQUESTED, samples.SIGNED, samples.CONFIRMED, COMPLETED, FINALIZED):
        await gateway.log.publish(fact, cause=None)
    path = f"/api/mint/status/{OPERATION}/events"
    async with running(gateway), gateway.client() as client:
        answer = await client.get(path, headers={"Last-Event-ID": "1"})
        assert answer.headers["content-type"].startswith("text/event-stream")
        frames = [
            dict(line.split(": ", 1) for line in frame.splitlines()) for frame in answer.text.split("\n\n") if frame
        ]
        assert [frame.get("id") for frame in frames] == ["2", "3", "4", "5", None]
        assert [frame["event"] for frame in frames][-2:] == ["mint.finalized.v1", "end"]
        signed = json.loads(frames[0]["data"])
        assert signed["data"]["attempt"]["signature"] == samples.SIGNATURE
        assert "transaction" not in signed["data"]
        assert (await client.get(f"/api/mint/status/{OTHER}/events")).json()["code"] == "operation_not_found"
    async with gateway.client(api_key=None) as stranger:
        assert (await stranger.get(path)).status_code == 401


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("wait=10", 10),
        ("respond-async, wait=5", 5),
        ("wait = 7; foo=bar", 7),
        ('wait="8"', 8),
        ("WAIT=3", 3),
        ("wait=9999", 60),
        ("wait=-1", 0),
        ("wait=soon", 0),
        ("await=5", 0),
        ("return=minimal", 0),
    ],
)
def test_how_long_a_caller_prefers_to_wait(header: str | None, seconds: int) -> None:
    assert preferred_wait(header) == seconds


async def test_an_answer_that_waits_has_the_result(gateway: Gateway) -> None:
    async with running(gateway), gateway.client() as client:
        headers = {"Prefer": "wait=10", "Idempotency-Key": "k"}
        posting = asyncio.create_task(client.post("/api/mint/single", json=single(), headers=headers))
        asked = await anext(gateway.log.read(MINT, 0))
        operation = UUID(asked.subject.split(".")[3])
        gateway.projection.operations_by_id[operation] = Operation(
            id=operation,
            status="completed",
            total=1,
            completed=1,
            failed=0,
            start_time=datetime(2026, 1, 1, tzinfo=UTC),
            results=(
                Result(
                    status="success", signature=samples.SIGNATURE, leaf_index=7, asset_id=samples.ASSET, ipfs_uri=URI
                ),
            ),
        )
        await gateway.log.publish(Completed(operation=operation, total=1, minted=1, failed=0), cause=None)
        answer = await posting
        again = await client.post("/api/mint/single", json=single(), headers=headers)
    for one in (answer, again):
        data = one.json()["data"]
        assert one.headers["preference-applied"] == "wait=10"
        assert data["status"] == "completed"
        assert (data["signatures"], data["leafIndexes"]) == ([samples.SIGNATURE], [7])
        assert (data["assetIds"], data["ipfsUris"]) == ([samples.ASSET], [URI])


async def test_an_answer_that_cannot_wait_is_the_plain_one(gateway: Gateway) -> None:
    gateway.stopping.set()
    async with gateway.client() as client:
        await gateway.following.run(gateway.stopping)
        answer = await client.post("/api/mint/single", json=single(), headers={"Prefer": "wait=10"})
    assert answer.status_code == 200
    assert answer.json()["data"]["status"] == "queued"
