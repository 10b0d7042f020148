"""The ipfs service as a process between a real nats-server and the embedded pinning endpoint."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec
import pytest

from chassis.messaging import Connection, Log
from contracts import registry
from contracts.collection import CollectionPinned
from contracts.fact import Event, Fact, Producer
from contracts.mint import FailureCode, PinFailed, Pinned
from contracts.streams import COLLECTION, CONTENT, MINT, UPLOADS, Stream
from contracts.upload import UploadPinned, UploadRequested, upload_fence
from localnet.child import running
from localnet.linux import free_port
from tests.support.content import collection_created, collection_requested, mint_request, nft, png, sha256
from tests.support.pinning import gated_endpoint, ipfs_service_spec, pinning_endpoint
from unixfs import import_bytes

F = TypeVar("F", bound=Fact)

PATIENCE = 120.0
"""Seconds until a hung test is given up."""


@pytest.fixture
async def log(nats_url: str) -> AsyncGenerator[Log]:
    async with Log.session(Connection(servers=(nats_url,), producer=Producer(name="test", version="0"))) as opened:
        # One server serves many tests, and each bucket reserves its limit of the server's storage.
        await opened.declare(buckets=(msgspec.structs.replace(UPLOADS, max_bytes=64 * 1024**2),))
        yield opened


async def request_mint(log: Log, count: int, *, batch_size: int = 10, without: frozenset[int] = frozenset()) -> None:
    """Publish a request for `count` NFTs with uploaded images of their own, those in `without` left out."""
    uploads = await log.uploads(UPLOADS)
    for number in set(range(count)) - without:
        await uploads.put(sha256(png(number)), png(number))
    await log.publish(collection_created(), cause=None)
    await log.publish(mint_request(*(nft(number) for number in range(count)), batch_size=batch_size), cause=None)


async def facts_until(
    log: Log, stream: Stream, kind: type[F], enough: Callable[[list[Event[F]]], bool]
) -> list[Event[F]]:
    """Read the stream from its start until the facts of a kind are enough."""
    found: list[Event[F]] = []
    async with asyncio.timeout(PATIENCE):
        async for raw in log.read(stream, 0):
            if raw.subject.startswith(kind.type() + "."):
                found.append(registry.decode(raw.subject, raw.payload))
            if enough(found):
                break
    return found


async def test_thirty_nfts_are_pinned_and_served(tmp_path: Path, nats_url: str, log: Log) -> None:
    await request_mint(log, 30)
    async with (
        pinning_endpoint(tmp_path / "endpoint") as endpoint,
        running(ipfs_service_spec(tmp_path / "service", nats_url, endpoint.url)) as service,
        httpx.AsyncClient(base_url=endpoint.url, timeout=60) as http,
    ):
        chunks = await facts_until(log, MINT, Pinned, lambda found: len(found) == 3)
        assert [event.data.chunk for event in chunks] == [0, 1, 2]
        assert {event.producer.name for event in chunks} == {"ipfs"}
        items = [item for event in chunks for item in event.data.items]
        assert [item.index for item in items] == list(range(30))
        for item in items:
            document = (await http.get(item.uri.replace("ipfs://", "/ipfs/"))).json()
            assert document["name"] == item.name == f"Booth #{item.index}"
            assert document["image"] == item.image_uri == import_bytes(png(item.index)).cid.uri
            image = await http.get(item.image_uri.replace("ipfs://", "/ipfs/"))
            assert (image.headers["content-type"], image.content) == ("image/png", png(item.index))
        ready = await http.get(f"{service.addresses['probe']}/health/ready")
        assert (ready.status_code, set(ready.json()["checks"])) == (200, {"nats", "pinning"})
        service.kill(signal.SIGTERM)
        assert await service.wait() == 0


async def test_a_collection_and_a_missing_upload(tmp_path: Path, nats_url: str, log: Log) -> None:
    uploads = await log.uploads(UPLOADS)
    await uploads.put(sha256(png(200)), png(200))
    await log.publish(collection_requested(png(200)), cause=None)
    async with (
        pinning_endpoint(tmp_path / "endpoint") as endpoint,
        running(ipfs_service_spec(tmp_path / "service", nats_url, endpoint.url)),
        httpx.AsyncClient(base_url=endpoint.url, timeout=60) as http,
    ):
        (collection,) = await facts_until(log, COLLECTION, CollectionPinned, lambda found: len(found) == 1)
        document = (await http.get(collection.data.uri.replace("ipfs://", "/ipfs/"))).json()
        assert document["image"] == collection.data.image_uri == import_bytes(png(200)).cid.uri
        await request_mint(log, 3, without=frozenset({1}))
        (pinned,) = await facts_until(log, MINT, Pinned, lambda found: len(found) == 1)
        assert [item.index for item in pinned.data.items] == [0, 2]
        (failed,) = await facts_until(log, MINT, PinFailed, lambda found: len(found) == 1)
        assert [(each.items, each.code) for each in failed.data.failures] == [((1,), FailureCode.UPLOAD_MISSING)]


async def test_an_upload_is_pinned_served_and_no_longer_kept(tmp_path: Path, nats_url: str, log: Log) -> None:
    uploads = await log.uploads(UPLOADS)
    data = png(7)
    cid = import_bytes(data).cid
    await uploads.put(sha256(data), data)
    request = UploadRequested(sha256=sha256(data), cid=str(cid), content_type="image/png", size=len(data))
    await log.publish(request, cause=None, expected_sequence=0, fence=upload_fence(request.sha256))
    async with (
        pinning_endpoint(tmp_path / "endpoint") as endpoint,
        running(ipfs_service_spec(tmp_path / "service", nats_url, endpoint.url)),
        httpx.AsyncClient(base_url=endpoint.url, timeout=60) as http,
    ):
        (pinned,) = await facts_until(log, CONTENT, UploadPinned, lambda found: len(found) == 1)
        assert (pinned.data.cid, pinned.data.size) == (str(cid), len(data))
        assert (await http.get(f"/ipfs/{cid}")).content == data
        # A mint of the same image needs neither its bytes nor another pin.
        await log.publish(collection_created(), cause=None)
        await log.publish(mint_request(nft(7)), cause=None)
        (minted,) = await facts_until(log, MINT, Pinned, lambda found: len(found) == 1)
        assert minted.data.items[0].image_uri == cid.uri
    assert await uploads.get(sha256(data)) is None


async def test_one_directory_for_an_operation_checked_through_the_gateway(
    tmp_path: Path, nats_url: str, log: Log
) -> None:
    await request_mint(log, 25)
    async with pinning_endpoint(tmp_path / "endpoint") as endpoint:
        spec = ipfs_service_spec(
            tmp_path / "service",
            nats_url,
            endpoint.url,
            METADATA_LAYOUT="operation",
            RETRIEVAL_CHECK="true",
            IPFS_GATEWAY_URL=endpoint.url,
        )
        async with running(spec), httpx.AsyncClient(base_url=endpoint.url, timeout=60) as http:
            chunks = await facts_until(log, MINT, Pinned, lambda found: len(found) == 3)
            items = [item for event in chunks for item in event.data.items]
            assert len({item.uri.rpartition("/")[0] for item in items}) == 1
            for item in items:
                document = (await http.get(item.uri.replace("ipfs://", "/ipfs/"))).json()
                assert document["name"] == f"Booth #{item.index}"
            assert {event.data.retrieved_from for event in chunks} == {endpoint.url}


async def test_killed_within_a_chunk_the_next_process_pins_the_rest_once(
    tmp_path: Path, nats_url: str, log: Log
) -> None:
    await request_mint(log, 12, batch_size=2)
    # A chunk of two takes three uploads, two images and its metadata: the process dies with its third chunk half sent.
    async with gated_endpoint(tmp_path / "endpoint", uploads=7) as (url, gate):
        spec = ipfs_service_spec(tmp_path / "service", nats_url, url)
        async with running(spec) as first:
            await asyncio.wait_for(gate.holding.wait(), PATIENCE)
            first.kill(signal.SIGKILL)
            await first.wait()
        assert await log.last_sequence(MINT) == 1 + 2, "the request and two chunks"
        gate.open()
        async with running(spec) as second:
            chunks = await facts_until(log, MINT, Pinned, lambda found: len(found) == 6)
            second.kill(signal.SIGTERM)
            assert await second.wait() == 0
    assert Counter(item.index for event in chunks for item in event.data.items) == Counter(range(12))
    assert await log.last_sequence(MINT) == 1 + 6


async def test_content_waits_for_the_pinning_service(tmp_path: Path, nats_url: str, log: Log) -> None:
    await request_mint(log, 2)
    port = free_port()
    spec = ipfs_service_spec(tmp_path / "service", nats_url, f"http://127.0.0.1:{port}")
    async with running(spec) as service, httpx.AsyncClient(timeout=60) as http:
        async with asyncio.timeout(PATIENCE):
            while "pinning unavailable" not in logged(spec.log_file):  # noqa: ASYNC110  (another process's log)
                await asyncio.sleep(0.05)
        ready = await http.get(f"{service.addresses['probe']}/health/ready")
        assert (ready.status_code, ready.json()["checks"]["pinning"]["ok"]) == (503, False)
        assert await log.last_sequence(MINT) == 1
        async with pinning_endpoint(tmp_path / "endpoint", "--listen", f"127.0.0.1:{port}"):
            (pinned,) = await facts_until(log, MINT, Pinned, lambda found: len(found) == 1)
    assert [item.index for item in pinned.data.items] == [0, 1]


def logged(path: Path) -> list[str]:
    """Return the events of a JSON log."""
    return [str(json.loads(line).get("event")) for line in path.read_text().splitlines() if line.startswith("{")]
