"""One request to a receiver: where it goes, and what is made of the answer."""

import asyncio
import ipaddress
from collections.abc import Callable

import httpx
import pytest

from chassis.clock import ManualClock
from chassis.outside import Destinations
from chassis.settings import SettingsError, load
from services.notifier.adapters.http import HttpSender
from services.notifier.domain import Answer
from services.notifier.settings import NotifierSettings
from tests.support.webhooks import OTHER_SECRET, SECRET

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

    local = Destinations(resolve=resolve, inside=[ipaddress.ip_network("127.0.0.0/8")], any_port=True)
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
        sender = HttpSender(client, Destinations(resolve=hang), ManualClock(), seconds=0.01)
        answer = await sender.send("https://shop.test/", HEADERS, b"{}")
    assert (answer.status, "did not answer" in answer.reason) == (None, True)


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
