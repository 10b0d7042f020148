"""The adapters against servers whose connections break: whatever happens, the content waits and nothing is claimed."""

import asyncio
import gzip
import io
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from chassis.clock import ManualClock
from chassis.redaction import Secret
from services.ipfs.adapters.gateway import HttpGateway
from services.ipfs.adapters.kubo import KuboPinning
from services.ipfs.adapters.pinata import KeyPair, PinataLegacyPinning, PinataPinning
from services.ipfs.adapters.pinning_api import PinningApi
from services.ipfs.ports import PinningService, PinUnavailable
from tests.support.content import content_of
from unixfs import V1

CONTENT = content_of(bytes(3_000_000))
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def cut_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 200 and break off in the middle of the body."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"data": {"cid": "')


async def refuse_early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer 503 while the body is still being sent, and close."""
    await reader.read(1000)
    writer.write(b"HTTP/1.1 503 Busy\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close without a word."""
    await reader.read(1000)


async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak something else than HTTP."""
    await reader.read(1000)
    writer.write(b"220 mail.example.com ESMTP\r\n")


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take the request and never answer."""
    while await reader.read(65_536):
        pass


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer without an end, more than any answer is."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b" " * 400_000)
    await writer.drain()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a byte at a time, for ever."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    await again_and_again(b" ", writer)


async def more_is_coming(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say for ever that an answer will come."""
    await reader.readuntil(b"\r\n\r\n")
    await again_and_again(b"HTTP/1.1 102 Processing\r\n\r\n", writer)


async def again_and_again(data: bytes, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0.02)


async def compress(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with something small that becomes large."""
    await reader.readuntil(b"\r\n\r\n")
    body = gzip.compress(bytes(100_000_000))
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()


@asynccontextmanager
async def serving(behaviour: Behaviour) -> AsyncGenerator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await behaviour(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def services(client: httpx.AsyncClient, url: str) -> list[PinningService]:
    clock = ManualClock()
    keys = KeyPair(Secret("key"), Secret("secret"))
    return [
        KuboPinning(client, url, V1, clock),
        PinataPinning(client, Secret("jwt"), "v1", clock, uploads_url=url, api_url=url),
        PinataLegacyPinning(client, keys, "v1", clock, api_url=url),
        PinningApi(client, url, Secret("token"), clock),
    ]


@pytest.mark.parametrize("behaviour", [cut_answer, refuse_early, hang_up, nonsense, silence, trickle])
@pytest.mark.parametrize("number", range(4), ids=["kubo", "pinata", "pinata-legacy", "pinning-api"])
async def test_the_content_waits(behaviour: Behaviour, number: int) -> None:
    async with serving(behaviour) as url, httpx.AsyncClient(timeout=httpx.Timeout(10, read=0.3)) as client:
        with pytest.raises(PinUnavailable):
            await services(client, url)[number].pin(CONTENT)
        with pytest.raises(PinUnavailable):
            await services(client, url)[number].has(CONTENT.cid)


@pytest.mark.parametrize("behaviour", [drip, more_is_coming, compress])
async def test_no_answer_is_waited_for_for_ever(behaviour: Behaviour) -> None:
    async with (
        asyncio.timeout(60),
        serving(behaviour) as url,
        httpx.AsyncClient(timeout=httpx.Timeout(10, read=0.2)) as client,
    ):
        with pytest.raises(PinUnavailable):
            await services(client, url)[0].has(CONTENT.cid)
        gateway = HttpGateway(client, url, V1, ManualClock())
        with pytest.raises(PinUnavailable):
            await gateway.fetch(CONTENT.cid, io.BytesIO(), 1000)
