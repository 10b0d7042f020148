"""The gateway as a process: what it says on a real log, with and without what it stands on, and how it goes."""

import asyncio
import json
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from chassis.messaging import Connection, Log
from contracts.collection import CollectionRequested
from contracts.fact import Producer
from contracts.mint import Completed, Requested, UploadedImage
from contracts.streams import MINT, UPLOADS
from localnet.child import Child
from localnet.errors import StackError
from services.indexer.entries import plan
from services.indexer.store import PostgresStore
from tests.integration.gateway.conftest import NO_DATABASE, StartGateway, prepare, spec
from tests.support.gateway import API_KEY, batch, png, single
from tests.support.nats import NatsFactory
from tests.support.postgres import Database

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_a_form_becomes_one_message_with_its_images_and_its_trace(
    nats_url: str, log: Log, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(nats_url)
    images = [png(number) for number in range(3)]
    body = batch([{"name": f"Tent {number}"} for number in range(3)])
    answer = await gateway.client.post(
        "/api/mint/batch",
        data={name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()},
        files=[("images", (f"{number}.png", image, "image/png")) for number, image in enumerate(images)],
        headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"},
    )
    assert answer.status_code == 200, answer.text
    message = await log.last(Requested, operation=UUID(answer.json()["data"]["transactionId"]))
    assert message is not None
    assert message.headers["traceparent"].split("-")[1] == TRACE
    assert message.event.producer.name == "gateway"
    assert message.event.causation_id is None
    uploads = await log.uploads(UPLOADS)
    for nft, image in zip(message.data.nfts, images, strict=True):
        assert isinstance(nft.image, UploadedImage)
        assert await uploads.get(nft.image.sha256) == image


async def test_a_status_from_the_log_and_then_from_the_tables(
    nats_url: str, log: Log, start_gateway: StartGateway, tables: Database, store: PostgresStore
) -> None:
    gateway = await start_gateway(nats_url, tables.reader_dsn)
    answer = await gateway.client.post("/api/mint/single", json=single(copies=2))
    operation = answer.json()["data"]["transactionId"]
    path = f"/api/mint/status/{operation}"
    late = (await gateway.client.get(path)).json()["data"]
    assert (late["status"], late["progress"]["total"]) == ("pending", 2)
    assert "currentItem" not in late["progress"]

    async for raw in log.read(MINT, 0):
        await store.apply("MINT", 0, [plan(raw)])
        break
    known = (await gateway.client.get(path)).json()["data"]
    assert (known["status"], known["progress"]["currentItem"]) == ("pending", "Tent 1")
    assert known["startTime"] == late["startTime"]
    health = (await gateway.client.get("/health")).json()
    assert (health["success"], health["status"]) == (True, "ok")
    assert {name: check["ok"] for name, check in health["checks"].items()} == {
        "log": True,
        "database": True,
        "wallet": True,
        "uploads": True,
    }
    assert all(check["latencyMs"] >= 0 for check in health["checks"].values())


async def test_minting_works_from_the_start_without_a_database(
    nats_url: str, log: Log, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(nats_url, NO_DATABASE)
    answer = await gateway.client.post("/api/mint/single", json=single(copies=2))
    assert answer.status_code == 200, answer.text
    operation = UUID(answer.json()["data"]["transactionId"])
    await log.publish(Completed(operation=operation, total=2, minted=2, failed=0), cause=None)
    status = (await gateway.client.get(f"/api/mint/status/{operation}")).json()["data"]
    assert (status["status"], status["progress"]["percentage"]) == ("completed", 100)
    assert (await gateway.client.get("/api/collections")).status_code == 503
    assert (await gateway.client.get("/health/ready")).status_code == 200
    assert (await gateway.client.get("/health")).json()["status"] == "degraded"


async def test_one_key_from_many_callers_at_once_is_one_operation(
    nats_url: str, log: Log, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(nats_url)
    headers = {"Idempotency-Key": "order-1"}
    answers = await asyncio.gather(
        *(gateway.client.post("/api/mint/single", json=single(), headers=headers) for _ in range(20))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert await log.last_sequence(MINT) == 1
    other = await gateway.client.post("/api/mint/single", json=single(copies=2), headers=headers)
    assert (other.status_code, other.json()["details"][0]["field"]) == (409, "copies")
    assert await log.last_sequence(MINT) == 1


async def test_a_refused_request_leaves_the_log_as_it_was(nats_url: str, log: Log, start_gateway: StartGateway) -> None:
    gateway = await start_gateway(nats_url)
    unknown = single(collectionId="0199b0a0-0000-7000-8000-00000000ffff")
    assert (await gateway.client.post("/api/mint/single", json=unknown)).status_code == 404
    assert (await gateway.client.post("/api/mint/single", json=single(recipient="x"))).status_code == 400
    assert (await gateway.client.post("/api/mint/single", content=b"{")).status_code == 415
    wrong_key = {"X-API-Key": "wrong"}
    assert (await gateway.client.post("/api/mint/single", json=single(), headers=wrong_key)).status_code == 401
    assert await log.last_sequence(MINT) == 0


async def test_a_collection_is_asked_for(nats_url: str, log: Log, start_gateway: StartGateway) -> None:
    gateway = await start_gateway(nats_url)
    answer = await gateway.client.post("/api/collections", json={"name": "Camp", "symbol": "CAMP"})
    assert answer.status_code == 202
    identity = UUID(answer.json()["data"]["id"])
    assert await log.last(CollectionRequested, collection=identity) is not None
    stage = (await gateway.client.get(f"/api/collections/{identity}")).json()["data"]["stage"]
    assert stage == "requested"


async def test_a_log_that_is_away_is_told_and_the_same_request_works_when_it_is_back(
    start_nats: NatsFactory, start_gateway: StartGateway
) -> None:
    nats = await start_nats()
    url = nats.addresses["nats"]
    async with Log.session(Connection(servers=(url,), producer=Producer(name="test", version="0"))) as log:
        await prepare(log)
        gateway = await start_gateway(url)
        nats.kill()
        await nats.wait()
        headers = {"Idempotency-Key": "order-2"}
        away = await gateway.client.post("/api/mint/single", json=single(), headers=headers)
        assert (away.status_code, away.json()["code"]) == (503, "log_unavailable")
        assert away.headers["Retry-After"] == "2"
        assert (await gateway.client.get("/health/ready")).status_code == 503
        assert (await gateway.client.get("/health/live")).status_code == 200
        await nats.start()
        back = await gateway.client.post("/api/mint/single", json=single(), headers=headers)
        while back.status_code == 503:  # the clients reconnect in their own time
            back = await gateway.client.post("/api/mint/single", json=single(), headers=headers)
        assert back.status_code == 200
        again = await gateway.client.post("/api/mint/single", json=single(), headers=headers)
        assert again.text == back.text
        assert await log.last_sequence(MINT) == 1


async def test_a_request_under_way_is_finished_before_the_process_ends(
    nats_url: str, log: Log, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(nats_url)
    begun, stopping = asyncio.Event(), asyncio.Event()
    content = json.dumps(single()).encode()

    async def slow() -> AsyncIterator[bytes]:
        yield content[:10]
        begun.set()
        await stopping.wait()
        yield content[10:]

    headers = {"Content-Type": "application/json"}
    request = asyncio.create_task(gateway.client.post("/api/mint/single", content=slow(), headers=headers))
    await begun.wait()
    # An answer on another connection: the server has by now taken the first one in.
    assert (await gateway.client.get("/health/live")).status_code == 200
    gateway.child.kill(signal.SIGTERM)
    while await listens(gateway.child.addresses["api"]):  # noqa: ASYNC110  (another process: nothing to wait on)
        await asyncio.sleep(0.02)
    stopping.set()
    assert (await request).status_code == 200
    assert await gateway.child.wait() == 0
    assert await log.last_sequence(MINT) == 1


async def listens(address: str) -> bool:
    """Whether somebody takes connections there."""
    url = httpx.URL(address)
    try:
        _, writer = await asyncio.open_connection(url.host, url.port)
    except OSError:
        return False
    writer.close()
    return True


async def test_nothing_secret_is_logged(nats_url: str, log: Log, start_gateway: StartGateway) -> None:
    gateway = await start_gateway(nats_url, "postgresql://mintstream_reader:hunter2@127.0.0.1:1/mintstream")
    minted = await gateway.client.post("/api/mint/single", json=single())
    await gateway.client.get("/api/collections")
    await gateway.client.get("/api/collections", headers={"X-API-Key": "guess-17"})
    await gateway.child.stop()
    lines = [json.loads(line) for line in gateway.child.spec.log_file.read_text().splitlines()]
    assert {"http request", "projection not readable"} <= {line["event"] for line in lines}
    assert minted.json()["data"]["transactionId"] in {line.get("operation") for line in lines}
    text = gateway.child.spec.log_file.read_text()
    assert not any(secret in text for secret in (API_KEY, "hunter2", "guess-17"))


async def test_a_taken_port_is_told_in_a_sentence(nats_url: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        child = Child(spec(tmp_path, nats_url, NO_DATABASE, PORT=str(port)))
        with pytest.raises(StackError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use; set PORT"):
            await child.start()
        assert child.exit_status == 1
