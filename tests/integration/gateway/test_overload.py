"""More requests than the gateway may work on: some are refused at once, and none that was accepted is lost."""

import asyncio
import json
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx

from chassis.messaging import Connection, Log
from contracts.fact import Producer
from contracts.mint import Requested
from contracts.streams import MINT
from localnet.child import Child
from tests.integration.gateway.conftest import StartGateway, prepare
from tests.support.gateway import single
from tests.support.nats import NatsFactory

MOST, ASKED = 4, 24


@asynccontextmanager
async def silent(server: Child) -> AsyncGenerator[None]:
    """Stop the log's process for a while: nothing is acknowledged meanwhile, and no connection breaks."""
    server.kill(signal.SIGSTOP)
    try:
        yield
    finally:
        server.kill(signal.SIGCONT)


async def test_it_refuses_what_is_too_much_and_loses_nothing_that_it_accepted(
    start_nats: NatsFactory, start_gateway: StartGateway
) -> None:
    server = await start_nats()
    url = server.addresses["nats"]
    async with Log.session(Connection(servers=(url,), producer=Producer(name="test", version="0"))) as log:
        await prepare(log)
        gateway = await start_gateway(url, MAX_IN_FLIGHT=str(MOST))
        async with asyncio.TaskGroup() as tasks, silent(server):
            asking = [tasks.create_task(gateway.client.post("/api/mint/single", json=single())) for _ in range(ASKED)]
            refused = await first_to_come(asking, ASKED - MOST)
            health = await gateway.client.get("/health/live")
        accepted = [task.result() for task in asking if task.result() not in refused]
        again = await gateway.client.post("/api/mint/single", json=single())

        assert {answer.status_code for answer in refused} == {503}
        for answer in refused:
            assert answer.json()["code"] == "overloaded"
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["X-Request-Id"] == answer.json()["requestId"]
        assert health.status_code == 200, "probes are answered under any load"
        assert [answer.status_code for answer in (*accepted, again)] == [200] * (MOST + 1)
        assert await operations_on(log) == {operation_of(answer) for answer in (*accepted, again)}


async def test_a_request_that_waits_for_its_result_takes_nobodys_place(
    nats_url: str, log: Log, start_gateway: StartGateway
) -> None:
    gateway = await start_gateway(nats_url, MAX_IN_FLIGHT="1")
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(
            gateway.client.post("/api/mint/single", json=single(), headers={"Prefer": "wait=60"})
        )
        async for raw in log.read(MINT, 0):
            assert raw.subject.startswith(Requested.type())
            break
        other = await accepted_at_last(gateway.client)
        assert other.status_code == 200
        waiting.cancel()
    assert waiting.cancelled(), "it was still waiting"


async def first_to_come(asking: list[asyncio.Task[httpx.Response]], count: int) -> list[httpx.Response]:
    """Return the answers that are there as soon as there are so many."""
    while sum(task.done() for task in asking) < count:
        await asyncio.wait([task for task in asking if not task.done()], return_when=asyncio.FIRST_COMPLETED)
    return [task.result() for task in asking if task.done()]


async def accepted_at_last(client: httpx.AsyncClient) -> httpx.Response:
    """Ask until it is not refused: the first request gives its place up just after the log has its message."""
    while True:
        answer = await client.post("/api/mint/single", json=single())
        if answer.status_code != 503:
            return answer
        await asyncio.sleep(0.05)


def operation_of(answer: httpx.Response) -> UUID:
    return UUID(json.loads(answer.text)["data"]["transactionId"])


async def operations_on(log: Log) -> set[UUID]:
    """Every operation that the log has a request of."""
    found: set[UUID] = set()
    last = await log.last_sequence(MINT)
    async for raw in log.read(MINT, 0):
        if raw.subject.startswith(Requested.type()):
            found.add(UUID(raw.subject.split(".")[3]))
        if raw.sequence >= last:
            break
    return found
