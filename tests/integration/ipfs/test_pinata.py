"""Both Pinata adapters against a strict double of Pinata's APIs."""

from collections.abc import AsyncGenerator

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from chassis.clock import ManualClock
from chassis.redaction import Secret
from services.ipfs.adapters.pinata import CidVersion, KeyPair, PinataLegacyPinning, PinataPinning
from services.ipfs.bodies import InMemory
from services.ipfs.ports import Content, ContentMismatch, PinningService, PinRefused, PinUnavailable
from tests.support.pinata import API_KEY, JWT, PROFILES, SECRET_KEY, Pinata
from unixfs import import_bytes

UPLOADS = "https://uploads.pinata.test"
API = "https://api.pinata.test"
DATA = bytes(range(256)) * 2_000
VERSIONS: list[CidVersion] = ["v0", "v1", "unixfs-v1-2025"]


def content(version: str = "v1", data: bytes = DATA) -> Content:
    return Content(InMemory(data), import_bytes(data, PROFILES[version]).cid, "name.json", "application/json")


@pytest.fixture
def pinata() -> Pinata:
    return Pinata()


@pytest.fixture
async def client(pinata: Pinata) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(pinata.app())) as opened:
        yield opened


def v3(client: httpx.AsyncClient, version: CidVersion = "v1", jwt: str = JWT) -> PinataPinning:
    return PinataPinning(client, Secret(jwt), version, ManualClock(), uploads_url=UPLOADS, api_url=API)


def legacy(client: httpx.AsyncClient, secret: str = SECRET_KEY) -> PinataLegacyPinning:
    return PinataLegacyPinning(client, KeyPair(Secret(API_KEY), Secret(secret)), "v1", ManualClock(), api_url=API)


@pytest.fixture(params=["v3", "legacy"])
def service(request: pytest.FixtureRequest, client: httpx.AsyncClient) -> PinningService:
    return v3(client) if request.param == "v3" else legacy(client)


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_profile_agrees_with_pinata(pinata: Pinata, client: httpx.AsyncClient, version: CidVersion) -> None:
    await v3(client, version).pin(content(version))
    assert pinata.uploads[0].cid == str(content(version).cid)


async def test_what_is_sent(pinata: Pinata, service: PinningService) -> None:
    await service.check()
    await service.pin(content())
    await service.pin(content())
    for upload in pinata.uploads:
        assert (upload.name, upload.content_type, upload.data) == ("name.json", "application/json", DATA)


async def test_another_cid_is_a_mismatch(client: httpx.AsyncClient) -> None:
    with pytest.raises(ContentMismatch):
        await v3(client, "v0").pin(content("v1"))


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
async def test_passing_troubles_are_retried_when_pinata_says(
    pinata: Pinata, service: PinningService, status: int
) -> None:
    pinata.failures = [PlainTextResponse("busy", status, headers={"Retry-After": "7"})]
    with pytest.raises(PinUnavailable) as caught:
        await service.pin(content())
    assert (caught.value.after, caught.value.operator) == (7.0, False)
    await service.pin(content())


@pytest.mark.parametrize("status", [400, 402, 403, 404, 301])
async def test_what_an_operator_must_correct_is_retried_slowly(
    pinata: Pinata, service: PinningService, status: int
) -> None:
    pinata.failures = [PlainTextResponse("plan exhausted", status)]
    with pytest.raises(PinUnavailable, match="plan exhausted") as caught:
        await service.pin(content())
    assert (caught.value.after, caught.value.operator) == (60.0, True)


@pytest.mark.parametrize("status", [413, 415, 422, 451])
async def test_what_pinata_will_never_take_is_refused(pinata: Pinata, service: PinningService, status: int) -> None:
    pinata.failures = [PlainTextResponse("no", status)]
    with pytest.raises(PinRefused):
        await service.pin(content())


@pytest.mark.parametrize(
    "answer",
    [
        PlainTextResponse("<html>"),
        JSONResponse({}),
        JSONResponse({"data": {"cid": 5}, "IpfsHash": 5}),
        PlainTextResponse("x" * 270_000),
        Response(status_code=200),
    ],
)
async def test_answers_that_say_nothing_are_retried(pinata: Pinata, service: PinningService, answer: Response) -> None:
    pinata.failures = [answer]
    with pytest.raises(PinUnavailable, match="not understood"):
        await service.pin(content())


async def test_a_cid_that_is_none_is_a_mismatch(pinata: Pinata, service: PinningService) -> None:
    pinata.failures = [JSONResponse({"data": {"cid": "x" * 500}, "IpfsHash": "x" * 500})]
    with pytest.raises(ContentMismatch) as caught:
        await service.pin(content())
    assert len(caught.value.answered) == 80


async def test_wrong_credentials_are_told_without_showing_them(client: httpx.AsyncClient) -> None:
    for service, secret in (
        (v3(client, jwt="wrong.jwt.value"), "wrong.jwt"),
        (legacy(client, "wrong-secret"), "wrong-s"),
    ):
        for call in (service.check(), service.pin(content())):
            with pytest.raises(PinUnavailable) as caught:
                await call
            assert caught.value.operator
            assert secret not in f"{caught.value!r} {caught.value}"
