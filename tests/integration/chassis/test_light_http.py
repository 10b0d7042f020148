"""The light HTTP client against a real socket: answers, endings in the middle, redirects, silence, proxies."""

import asyncio
import gzip
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from chassis.json_rpc import AnswerTooLarge, TransportFailed
from chassis.light_http import LightHttp, proxy_of

JSON = {"Content-Type": "application/json"}


@asynccontextmanager
async def server(answer: bytes, requests: list[bytes] | None = None) -> AsyncGenerator[str]:
    """Answer every request with these bytes and hang up; with none, never answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if requests is not None:
            requests.append(head + await reader.readexactly(length))
        if answer:
            writer.write(answer)
        else:
            await reader.read()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/?api-key=secret"
    finally:
        listening.close()


async def test_an_answer_is_returned_whatever_its_status_and_what_was_sent_arrives() -> None:
    requests: list[bytes] = []
    answer = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nslow"
    async with server(answer, requests) as url, LightHttp.connect(url, 30, 1) as http:
        response = await http.post(url, content=b'{"id":1}', headers=JSON)
    assert (response.status_code, response.content, response.headers.get("retry-after")) == (429, b"slow", "7")
    assert requests[0].startswith(b"POST /?api-key=secret HTTP/1.1\r\n")
    assert requests[0].endswith(b'{"id":1}')
    assert b"Content-Type: application/json\r\n" in requests[0]


async def test_a_redirect_is_not_followed() -> None:
    requests: list[bytes] = []
    async with server(b"", requests) as elsewhere:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode()
        async with server(moved) as url, LightHttp.connect(url, 30, 1) as http:
            assert (await http.post(url, content=b"{}", headers=JSON)).status_code == 307
    assert requests == []


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut off",
        b"no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnone",
    ],
    ids=["cut off", "no HTTP", "not compressed as it says"],
)
async def test_what_is_no_answer_fails_without_telling_the_url(answer: bytes) -> None:
    async with server(answer) as url, LightHttp.connect(url, 30, 1) as http:
        with pytest.raises(TransportFailed) as failed:
            await http.post(url, content=b"{}", headers=JSON)
    assert "secret" not in str(failed.value)


HEAD = b"HTTP/1.1 200 OK\r\n"
BOMB, PACKED = gzip.compress(bytes(1_000_000)), gzip.compress(bytes(100))


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 101\r\n\r\n" + bytes(101),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"40\r\n" + bytes(64) + b"\r\n40\r\n" + bytes(64) + b"\r\n",
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % 90 + BOMB[:90],
        HEAD + b"\r\n" + bytes(101),
    ],
    ids=["tells its length", "in pieces", "packed", "until the end"],
)
async def test_an_answer_that_is_too_large_is_not_read(answer: bytes) -> None:
    async with server(answer) as url, aiohttp.ClientSession() as session:
        with pytest.raises(AnswerTooLarge, match="an answer of more than 100 bytes"):
            await LightHttp(session, most=100).post(url, content=b"{}", headers=JSON)


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 100\r\n\r\n" + bytes(100),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n64\r\n" + bytes(100) + b"\r\n0\r\n\r\n",
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED) + PACKED,
    ],
    ids=["tells its length", "in pieces", "packed"],
)
async def test_an_answer_that_is_just_small_enough_is_read_whole(answer: bytes) -> None:
    async with server(answer) as url, aiohttp.ClientSession() as session:
        assert (await LightHttp(session, most=100).post(url, content=b"{}", headers=JSON)).content == bytes(100)


async def test_nobody_there_and_nobody_answering_fail() -> None:
    async with server(b"") as url, LightHttp.connect(url, 0.2, 1) as http:
        with pytest.raises(TransportFailed, match="Timeout"):
            await http.post(url, content=b"{}", headers=JSON)
    async with LightHttp.connect(url, 30, 1) as http:
        with pytest.raises(TransportFailed, match="Connect"):
            await http.post(url, content=b"{}", headers=JSON)


def test_the_environment_names_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert proxy_of("https://node.example/key") == "http://proxy.example:3128"
    assert proxy_of("https://inside.example/key") is None
    assert proxy_of("http://node.example") is None
