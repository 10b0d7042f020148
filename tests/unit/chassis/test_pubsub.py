"""One connection kept open: what is heard, what is not understood, and how long a broken one is left alone."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.utils import accept_key

from chassis.clock import SystemClock
from chassis.pubsub import FIRST_DELAY, Connection, Message, PubSub
from chassis.settings import Secret
from tests.support.ending import end


class _Sleeps(SystemClock):
    """Real time whose sleeps are noted and not slept."""

    def __init__(self) -> None:
        self.slept: asyncio.Queue[float] = asyncio.Queue()

    async def sleep(self, seconds: float) -> None:
        self.slept.put_nowait(seconds)
        await asyncio.sleep(0)


@asynccontextmanager
async def _node(serves: Callable[[ServerConnection], Awaitable[None]]) -> AsyncGenerator[Secret]:
    async with serve(serves, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield Secret(f"ws://127.0.0.1:{port}/?api-key=hidden")


async def _hear_all(connection: Connection) -> None:
    async for _ in connection:
        pass


async def test_requests_are_answered_and_notifications_told_apart() -> None:
    async def serves(socket: ServerConnection) -> None:
        async for text in socket:
            request = json.loads(text)
            await socket.send("not JSON")
            await socket.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": 23}))
            await socket.send(json.dumps({"method": "accountNotification", "params": {"subscription": 23}}))

    heard: asyncio.Queue[Message] = asyncio.Queue()

    async def session(connection: Connection) -> None:
        await connection.call(7, "accountSubscribe", ["tree"])
        async for message in connection:
            heard.put_nowait(message)

    async with _node(serves) as url:
        task = asyncio.create_task(PubSub(url, SystemClock(), "trees").keep(session))
        answer, news = await heard.get(), await heard.get()
        await end([task])
    assert (answer.id, answer.result, answer.news_of("accountNotification")) == (7, 23, None)
    assert (news.news_of("accountNotification"), news.news_of("signatureNotification")) == (23, None)


async def test_a_node_that_says_nothing_is_left_alone_for_longer_each_time_until_it_says_something() -> None:
    connections = 0

    async def serves(socket: ServerConnection) -> None:
        nonlocal connections
        connections += 1
        if connections == 4:
            await socket.send('{"id": 1, "result": 1}')

    clock = _Sleeps()
    async with _node(serves) as url:
        task = asyncio.create_task(PubSub(url, clock, "trees").keep(_hear_all))
        slept = [await clock.slept.get() for _ in range(5)]
        await end([task])
    assert slept == [FIRST_DELAY, FIRST_DELAY * 2, FIRST_DELAY * 4, FIRST_DELAY, FIRST_DELAY * 2]


async def test_a_connection_that_has_gone_silent_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The far end of it is gone without a word, as when a NAT has forgotten it: no close, no answer to a ping."""
    monkeypatch.setattr("chassis.pubsub.PING_SECONDS", 0.05)
    opened = asyncio.Queue[None]()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split(": ")[1] for line in request.splitlines() if line.lower().startswith("sec-websocket-key"))
        answer = (
            f"HTTP/1.1 101 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept_key(key)}"
        )
        writer.write(f"{answer}\r\n\r\n".encode())
        opened.put_nowait(None)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        task = asyncio.create_task(PubSub(Secret(f"ws://127.0.0.1:{port}/"), _Sleeps(), "trees").keep(_hear_all))
        for _ in range(2):
            await opened.get()
        await end([task])


async def test_nothing_is_opened_before_something_is_wanted() -> None:
    opened = asyncio.Event()

    async def serves(socket: ServerConnection) -> None:
        opened.set()
        await socket.wait_closed()

    wanted = asyncio.Event()
    async with _node(serves) as url:
        task = asyncio.create_task(PubSub(url, SystemClock(), "signatures").keep(_hear_all, wanted.wait))
        await asyncio.sleep(0)
        assert not opened.is_set()
        wanted.set()
        await opened.wait()
        await end([task])


async def test_a_url_that_is_none_ends_it() -> None:
    await PubSub(Secret("https://node.example/?api-key=hidden"), _Sleeps(), "trees").keep(_hear_all)


async def test_a_redirect_to_what_is_no_websocket_is_an_answer_like_any_other() -> None:
    """A provider's page of maintenance, for instance: the URL is right, and is asked again."""
    asked: list[str] = []

    def redirects(socket: ServerConnection, request: Request) -> Response | None:
        asked.append(request.path)
        return Response(302, "Found", Headers(Location="https://status.invalid/")) if len(asked) == 1 else None

    async def serves(socket: ServerConnection) -> None:
        await socket.send('{"id": 1, "result": 1}')
        await socket.wait_closed()

    heard = asyncio.Event()

    async def session(connection: Connection) -> None:
        async for _ in connection:
            heard.set()

    async with serve(serves, "127.0.0.1", 0, process_request=redirects) as server:
        url = Secret(f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/")
        keeping = asyncio.create_task(PubSub(url, _Sleeps(), "trees").keep(session))
        hearing = asyncio.create_task(heard.wait())
        await asyncio.wait((keeping, hearing), return_when=asyncio.FIRST_COMPLETED)
        assert heard.is_set()
        await end([keeping])
