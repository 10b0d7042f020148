"""Retrieval through a gateway: believed only when the bytes are what the CID names."""

import asyncio
import io
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import httpx
import pytest

from chassis.clock import ManualClock
from services.ipfs.adapters.gateway import TRIES, HttpGateway
from services.ipfs.adapters.kubo import KuboPinning
from services.ipfs.ports import Pinnable, PinUnavailable
from tests.support.content import content_of, folder_of
from tests.support.pinning import pinning_endpoint
from unixfs import V1

URL = "https://gateway.test/"
FILE = content_of(bytes(range(256)) * 2_000)
FOLDER = folder_of({f"{number}.json": b"{}" + b" " * number for number in range(5)})
Respond = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
async def client() -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60) as opened:
        yield opened


async def test_what_the_embedded_endpoint_pinned_it_also_serves(tmp_path: Path, client: httpx.AsyncClient) -> None:
    async with pinning_endpoint(tmp_path) as endpoint:
        clock = ManualClock()
        gateway = HttpGateway(client, endpoint.url, V1, clock)
        for content in (FILE, FOLDER):
            assert await gateway.fetch(content.cid, io.BytesIO(), 10**6) is None
            await KuboPinning(client, endpoint.url, V1, clock).pin(content)
            await gateway.confirm(content)
        found = io.BytesIO()
        assert await gateway.fetch(FILE.cid, found, 10**6) == FILE.body.size == len(found.getvalue())


async def confirm(respond: Respond, content: Pinnable) -> None:
    """Confirm with an answering function for a gateway, time passing by itself."""
    clock = ManualClock()
    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
        job = asyncio.create_task(HttpGateway(client, URL, V1, clock).confirm(content))
        while not job.done():
            await clock.advance(1.0)
        await job


async def data_of(content: Pinnable) -> bytes:
    assert content is FILE
    return b"".join([piece async for piece in FILE.body.pieces()])


async def test_content_that_appears_later_is_waited_for() -> None:
    data, seen = await data_of(FILE), list[str]()

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        return httpx.Response(504) if len(seen) < TRIES else httpx.Response(200, content=data)

    await confirm(respond, FILE)
    assert seen == [f"/ipfs/{FILE.cid}"] * TRIES


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(404),
        httpx.Response(500),
        httpx.Response(302, headers={"Location": "http://169.254.169.254/"}),
        httpx.Response(200, content=b"other bytes"),
        httpx.Response(200, content=bytes(10**6)),
    ],
)
async def test_anything_else_is_not_there_yet(answer: httpx.Response) -> None:
    for content in (FILE, FOLDER):
        with pytest.raises(PinUnavailable):
            await confirm(lambda _: httpx.Response(answer.status_code, content=answer.content), content)


async def test_a_pause_that_a_gateway_asks_for_is_not_waited_for_here() -> None:
    answers = [httpx.Response(429, headers={"Retry-After": "900"})]
    with pytest.raises(PinUnavailable) as caught:
        await confirm(lambda _: answers.pop(), FILE)
    assert caught.value.after == 900.0


async def test_a_gateway_that_is_down_is_not_there_yet() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(PinUnavailable, match="cannot be read"):
        await confirm(refuse, FILE)


async def test_a_file_beyond_the_limit_is_not_fetched() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=bytes(100)))
    async with httpx.AsyncClient(transport=transport) as client:
        gateway = HttpGateway(client, URL, V1, ManualClock())
        with pytest.raises(PinUnavailable, match="more than 99"):
            await gateway.fetch(FILE.cid, io.BytesIO(), 99)
