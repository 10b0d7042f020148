"""One request to a receiver: where it goes, and what is made of the answer."""

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.responses import Response

from chassis.clock import ManualClock
from chassis.outside import Destinations, outside_client
from chassis.settings import SettingsError, load
from services.notifier.adapters.http import HttpSender
from services.notifier.domain import Answer
from services.notifier.settings import NotifierSettings
from tests.support.webhooks import OTHER_SECRET, SECRET, Received, receiver

PUBLIC = "93.184.215.14"
NAMES = {"shop.test": [PUBLIC], "inside.test": ["10.0.0.7"], "local.test": ["127.0.0.1"]}
HEADERS = {"webhook-id": "msg_1"}

Respond = Callable[[httpx.Request], httpx.Response]


async def send(url: str, respond: Respond, asked: list[httpx.Request], seconds: float = 30.0) -> Answer:
    async def resolve(host: str) -> list[str]:
        return NAMES.get(host, [])

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return respond(request)

    local = Destinations(resolve, inside=[ipaddress.ip_network("127.0.0.0/8")], any_port=True)
    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
        return await HttpSender(client, local, ManualClock(), seconds=seconds).send(url, HEADERS, b"{}")


async def test_the_checked_address_is_called_under_the_name() -> None:
    asked: list[httpx.Request] = []
    answer = await send("https://shop.test:8443/hook?a=1", lambda _: httpx.Response(204), asked)
    assert (answer.taken, answer.reason) == (True, "")
    (request,) = asked
    assert (request.method, str(request.url)) == ("POST", f"https://{PUBLIC}:8443/hook?a=1")
    assert (request.headers["host"], request.extensions["sni_hostname"]) == ("shop.test:8443", "shop.test")
    assert (request.headers["webhook-id"], request.headers["content-type"]) == ("msg_1", "application/json")


@pytest.mark.parametrize("url", ["https://inside.test/", "http://shop.test/", "https://unknown.test/", "https://[::1/"])
async def test_nothing_inside_is_called(url: str) -> None:
    asked: list[httpx.Request] = []
    answer = await send(url, lambda _: httpx.Response(204), asked)
    assert (answer.status, asked) == (None, [])
    assert "endpoint" in answer.reason


async def test_what_the_operator_opened_is_called_over_http() -> None:
    asked: list[httpx.Request] = []
    assert (await send("http://local.test:9000/", lambda _: httpx.Response(200), asked)).taken
    assert str(asked[0].url) == "http://127.0.0.1:9000/"


async def test_a_redirect_is_not_followed() -> None:
    asked: list[httpx.Request] = []
    answer = await send("https://shop.test/", lambda _: httpx.Response(302, headers={"Location": "/b"}), asked)
    assert (answer.status, answer.taken, len(asked)) == (302, False, 1)


async def test_the_answer_may_ask_for_time_and_its_body_is_not_kept() -> None:
    response = httpx.Response(503, headers={"Retry-After": "120"}, text="private detail")
    answer = await send("https://shop.test/", lambda _: response, [])
    assert answer == Answer(503, "The endpoint answered 503.", 120.0)


async def test_a_connection_that_fails_is_an_answer_too() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("private detail", request=request)

    assert await send("https://shop.test/", fail, []) == Answer(None, "The endpoint cannot be reached (ConnectError).")


async def test_a_receiver_that_never_answers_is_left() -> None:
    async def hang(host: str) -> list[str]:
        await asyncio.Event().wait()
        return [host]

    async with httpx.AsyncClient() as client:
        sender = HttpSender(client, Destinations(hang), ManualClock(), seconds=0.01)
        answer = await sender.send("https://shop.test/", HEADERS, b"{}")
    assert (answer.status, "did not answer" in answer.reason) == (None, True)


HOSTILE: Mapping[str, tuple[bytes, Answer]] = {
    "redirect": (
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        Answer(302, "The endpoint answered 302: redirects are not followed."),
    ),
    "redirect to nowhere": (
        b"HTTP/1.1 307 Temporary\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
        Answer(None, "The endpoint cannot be reached (RemoteProtocolError)."),
    ),
    "a year's rest": (
        b"HTTP/1.1 429 Wait\r\nRetry-After: 31536000\r\nContent-Length: 0\r\n\r\n",
        Answer(429, "The endpoint answered 429.", 86_400.0),
    ),
    "a rest that no clock knows": (
        b"HTTP/1.1 200 Yes\r\nRetry-After: Mon, 01 Jan 99999999999999 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n",
        Answer(200),
    ),
    "letters of no alphabet": (
        b"HTTP/1.1 500 \xff\xfe\r\nX-\x41: \xff\xff\r\nContent-Length: 2\r\n\r\n\xff\x00",
        Answer(500, "The endpoint answered 500."),
    ),
    "a status that is none": (
        b"HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n",
        Answer(None, "The endpoint cannot be reached (RemoteProtocolError)."),
    ),
    "no HTTP": (b"\x00\xff" * 100, Answer(None, "The endpoint cannot be reached (RemoteProtocolError).")),
    "headers without an end": (
        b"HTTP/1.1 200 Yes\r\n" + b"X-More: more\r\n" * 20_000,
        Answer(None, "The endpoint cannot be reached (RemoteProtocolError)."),
    ),
    "a body without an end": (b"HTTP/1.1 200 Yes\r\nContent-Length: 10000000000\r\n\r\n" + b"x" * 1000, Answer(200)),
    "nothing": (b"", Answer(None, "The endpoint cannot be reached (RemoteProtocolError).")),
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
async def test_whatever_a_receiver_says_it_is_an_answer_and_the_connection_is_closed(name: str) -> None:
    said, expected = HOSTILE[name]
    left = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"{}")
        writer.write(said)
        if not said:
            writer.write_eof()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        left.set()
        writer.close()

    async with serving_raw(answer) as url, opened_sender() as (sender, _):
        assert await sender.send(url, HEADERS, b"{}") == expected
        await asyncio.wait_for(left.wait(), 60)


async def test_no_cookie_is_kept_from_one_receiver_for_the_next() -> None:
    async def answer(_: Received) -> Response:
        response = Response(status_code=204)
        response.set_cookie("session", "x" * 1000)
        return response

    async with receiver(answer) as shop, opened_sender() as (sender, client):
        for _ in range(2):
            assert (await sender.send(shop.url, HEADERS, b"{}")).taken
        assert not any("cookie" in request.headers for request in shop.requests)
        assert len(client.cookies) == 0


async def test_where_nobody_listens_the_next_address_of_the_name_is_called() -> None:
    async with receiver() as shop, opened_sender() as (sender, _):
        url = shop.url.replace("127.0.0.1", "half.test")
        assert (await sender.send(url, HEADERS, b"{}")).taken
        assert [request.headers["host"] for request in shop.requests] == [httpx.URL(url).netloc.decode()]
        assert await sender.send(url.replace("half.test", "none.test"), HEADERS, b"{}") == Answer(
            None, "The endpoint cannot be reached (ConnectError)."
        )


@asynccontextmanager
async def opened_sender() -> AsyncGenerator[tuple[HttpSender, httpx.AsyncClient]]:
    """The sender as the service has it, for receivers on this machine."""
    names = {"half.test": ["127.0.0.2", "127.0.0.1"], "none.test": ["127.0.0.2", "127.0.0.3"]}

    async def resolve(host: str) -> list[str]:
        return names.get(host, [host])

    local = Destinations(resolve, inside=[ipaddress.ip_network("127.0.0.0/8")], any_port=True)
    async with outside_client(None) as client:
        yield HttpSender(client, local, ManualClock(), seconds=60.0), client


@asynccontextmanager
async def serving_raw(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncGenerator[str]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def test_settings_are_told_by_name_and_without_their_secrets() -> None:
    environ = {"NATS_URL": "nats://127.0.0.1:4222", "WEBHOOK_URL": "https://shop.test/"}
    wrong = {"WEBHOOK_SECRET": "whsec_c2hvcnQ=", "WEBHOOK_SEALING_KEYS": "hunter2", "WEBHOOK_INSIDE_NETWORKS": "here"}
    with pytest.raises(SettingsError) as refused:
        load(NotifierSettings, environ | wrong)
    assert set(refused.value.problems) == set(wrong)
    assert not any(value in str(refused.value) for value in ("c2hvcnQ=", "hunter2"))
    with pytest.raises(SettingsError) as missing:
        load(NotifierSettings, environ)
    assert set(missing.value.problems) == {"WEBHOOK_SECRET"}
    settings = load(NotifierSettings, environ | {"WEBHOOK_SECRET": f"{SECRET}, {OTHER_SECRET}"})
    assert [secret.reveal() for secret in settings.secrets] == [SECRET, OTHER_SECRET]
    assert settings.sealer is None
