"""Callers who send or read so slowly that a connection would be theirs for ever, against the real server."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from services.gateway import server
from services.gateway.api import failures
from services.gateway.api.patience import BodyPatience
from services.gateway.connections import ImpatientProtocol
from services.gateway.errors import RequestTimeout

PATIENCE = 60.0


def impatient(app: ASGIApp) -> ASGIApp:
    """The application with little patience for bodies."""

    async def surrounded(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, BodyPatience(receive, grace=0.3, rate=1_000_000).receive, send)

    return surrounded


class Server:
    """A small application behind the gateway's server; it tells which requests it has seen to an end."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.app = FastAPI()
        failures.install(self.app)
        self.app.post("/")(self.echo)
        self.app.get("/flood")(self.flood)
        self.app.add_middleware(impatient)
        self.host, self.port = "", 0

    async def echo(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    async def flood(self) -> Response:
        async def pieces() -> AsyncGenerator[bytes]:
            try:
                while True:
                    yield b"x" * 65536
                    await asyncio.sleep(0)
            finally:
                self.ended.set()

        return StreamingResponse(pieces())

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.host, self.port, limit=1024)


@asynccontextmanager
async def serving() -> AsyncGenerator[Server]:
    listener, draining, found = server.listen("127.0.0.1", 0), asyncio.Event(), Server()
    address = urlsplit(server.address_of(listener))
    found.host, found.port = str(address.hostname), int(address.port or 0)
    task = asyncio.create_task(server.serve(found.app, listener, draining, 2))
    try:
        yield found
    finally:
        draining.set()
        await task


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImpatientProtocol, "header_seconds", 0.3)
    monkeypatch.setattr(ImpatientProtocol, "read_seconds", 0.3)


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """What still comes until the server closes the connection."""
    try:
        return await asyncio.wait_for(reader.read(1 << 20), PATIENCE)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("beginning", [b"", b"POST / HTT", b"POST / HTTP/1.1\r\nHost: x\r\nX-Long: ", b"\r\n\r\n"])
async def test_headers_that_do_not_end_end_the_connection(beginning: bytes) -> None:
    async with serving() as found:
        reader, writer = await found.connect()
        writer.write(beginning)
        assert await until_closed(reader) == b""
        writer.close()


HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize("more", [b"User-Agent: " + b"a" * 1_000_000, b"A: b\r\n" * 200_000], ids=["long", "many"])
@pytest.mark.parametrize("before", [b"", HEAD + b"\r\n"], ids=["first", "behind another"])
async def test_headers_are_not_taken_without_end(before: bytes, more: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImpatientProtocol, "header_seconds", 10 * PATIENCE)
    async with serving() as found:
        reader, writer = await found.connect()
        writer.write(before + HEAD + more)
        answer = await until_closed(reader)
        # It may be lost: what the server has not read makes its end a reset.
        assert not answer or answer.startswith(b"HTTP/1.1 431") is not bool(before), "no answer to the request before"
        writer.close()


async def test_a_further_request_is_waited_for_no_longer_than_the_first() -> None:
    async with serving() as found:
        reader, writer = await found.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert head.startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(2) == b"ok"
        writer.write(b"POST / HTTP/1.1\r\nHost: ")
        assert await until_closed(reader) == b""
        writer.close()


async def test_a_body_that_does_not_come_is_answered_and_the_connection_ends() -> None:
    async with serving() as found:
        reader, writer = await found.connect()
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nbeginning")
        answer = await until_closed(reader)
        while more := await until_closed(reader):
            answer += more
        assert answer.startswith(b"HTTP/1.1 408")
        assert RequestTimeout.code.encode() in answer
        assert b"connection: close" in answer.lower()
        writer.close()


async def test_a_caller_who_does_not_read_is_cut_off() -> None:
    async with serving() as found:
        reader, writer = await found.connect()
        writer.write(b"GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(found.ended.wait(), PATIENCE)
        assert reader.at_eof() is False, "it was the server that ended it: nobody has read"
        writer.close()


async def test_a_body_may_take_its_time_while_it_comes_fast_enough() -> None:
    async with serving() as found:
        reader, writer = await found.connect()
        piece = b"y" * 400_000  # earns 0.4 s more
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (3 * len(piece)))
        for _ in range(3):
            writer.write(piece)
            await writer.drain()
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert head.startswith(b"HTTP/1.1 200")
        writer.close()
