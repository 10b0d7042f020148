"""The adapter of the IPFS Pinning Service API against a strict double."""

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse

from chassis.clock import ManualClock
from chassis.redaction import Secret
from services.ipfs.adapters.pinning_api import PinningApi
from services.ipfs.ports import ContentMismatch, PinUnavailable
from tests.support.content import content_of, folder_of
from tests.support.pinning_service import TOKEN, PinningServiceDouble, failure
from unixfs import V0, import_bytes

URL = "https://pins.test/psa/"
CONTENT = content_of(b"content")
ORIGIN = "/ip4/203.0.113.142/tcp/4001/p2p/QmSourcePeerId"


@pytest.fixture
def double() -> PinningServiceDouble:
    return PinningServiceDouble()


@pytest.fixture
async def client(double: PinningServiceDouble) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(double.app())) as opened:
        yield opened


def service(client: httpx.AsyncClient, clock: ManualClock, token: str = TOKEN, patience: float = 60.0) -> PinningApi:
    return PinningApi(client, URL, Secret(token), clock, origins=(ORIGIN,), patience=patience)


async def finish(job: "asyncio.Task[None]", clock: ManualClock) -> None:
    """Move the clock until the job has ended, then raise what it raised."""
    while not job.done():
        await clock.advance(1.0)
    await job


async def test_a_pin_is_asked_for_and_followed_until_it_is_pinned(
    double: PinningServiceDouble, client: httpx.AsyncClient
) -> None:
    clock = ManualClock()
    pinning = service(client, clock)
    await pinning.check()
    assert not await pinning.has(CONTENT.cid)
    await finish(asyncio.create_task(pinning.pin(CONTENT)), clock)
    assert await pinning.has(CONTENT.cid)
    (made,) = double.pins.values()
    assert made.pin == {"cid": str(CONTENT.cid), "name": "name.png", "origins": [ORIGIN]}
    await pinning.pin(CONTENT)
    assert double.created == 1, "what is pinned is not asked for again"


async def test_a_later_try_follows_the_pin_object_of_the_first(
    double: PinningServiceDouble, client: httpx.AsyncClient
) -> None:
    clock = ManualClock()
    double.statuses = ("queued", "queued", "queued", "queued", "pinning", "pinned")
    with pytest.raises(PinUnavailable, match="still queued"):
        await service(client, clock, patience=0.1).pin(CONTENT)
    await finish(asyncio.create_task(service(client, clock).pin(CONTENT)), clock)
    assert double.created == 1


async def test_a_directory_is_pinned_by_its_cid(double: PinningServiceDouble, client: httpx.AsyncClient) -> None:
    double.statuses = ("pinned",)
    folder = folder_of({"0.json": b"{}"})
    await service(client, ManualClock()).pin(folder)
    assert [each.pin["cid"] for each in double.pins.values()] == [str(folder.cid)]


async def test_a_pin_that_failed_is_asked_for_again_later(
    double: PinningServiceDouble, client: httpx.AsyncClient
) -> None:
    double.statuses = ("failed",)
    with pytest.raises(PinUnavailable, match="nobody provides it") as caught:
        await service(client, ManualClock()).pin(CONTENT)
    assert caught.value.after == 60.0
    double.statuses = ("pinned",)
    await service(client, ManualClock()).pin(CONTENT)
    assert double.created == 2


async def test_another_cid_is_a_mismatch_and_another_version_is_none(
    double: PinningServiceDouble, client: httpx.AsyncClient
) -> None:
    version_0 = import_bytes(b"content", V0).cid
    state = {"requestid": "1", "status": "pinned", "pin": {"cid": str(version_0.as_v1())}}
    double.failures = [JSONResponse({"count": 1, "results": [state]})]
    await service(client, ManualClock()).pin(content_of(b"content", version_0))
    state["pin"] = {"cid": str(import_bytes(b"other").cid)}
    double.failures = [JSONResponse({"count": 1, "results": [state]})]
    with pytest.raises(ContentMismatch):
        await service(client, ManualClock()).pin(CONTENT)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
async def test_what_an_operator_must_correct_is_retried_slowly(
    double: PinningServiceDouble, client: httpx.AsyncClient, status: int
) -> None:
    double.failures = [failure(status, "INSUFFICIENT_FUNDS", "no funds")]
    with pytest.raises(PinUnavailable, match="no funds") as caught:
        await service(client, ManualClock()).pin(CONTENT)
    assert (caught.value.operator, caught.value.after) == (True, 60.0)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_passing_troubles_are_retried_when_the_service_says(
    double: PinningServiceDouble, client: httpx.AsyncClient, status: int
) -> None:
    double.failures = [PlainTextResponse("busy", status, headers={"Retry-After": "11"})]
    with pytest.raises(PinUnavailable) as caught:
        await service(client, ManualClock()).pin(CONTENT)
    assert (caught.value.operator, caught.value.after) == (False, 11.0)


@pytest.mark.parametrize(
    "answer",
    [
        {"count": 1, "results": [{"requestid": "1", "status": "gone", "pin": {"cid": "x"}}]},
        {"count": 1},
        [],
        {"requestid": "../../secrets", "status": "queued", "pin": {"cid": str(CONTENT.cid)}},
    ],
)
async def test_answers_that_say_nothing_are_retried(
    double: PinningServiceDouble, client: httpx.AsyncClient, answer: object
) -> None:
    none = JSONResponse({"count": 0, "results": []})
    double.failures = [none, JSONResponse(answer)] if "requestid" in str(answer)[:15] else [JSONResponse(answer)]
    with pytest.raises(PinUnavailable, match="not understood"):
        await service(client, ManualClock()).pin(CONTENT)


async def test_a_wrong_token_is_told_without_showing_it(client: httpx.AsyncClient) -> None:
    pinning = service(client, ManualClock(), token="wrong-token-value")
    for call in (pinning.check(), pinning.pin(CONTENT), pinning.has(CONTENT.cid)):
        with pytest.raises(PinUnavailable) as caught:
            await call
        assert caught.value.operator
        assert "wrong-token" not in f"{caught.value!r} {caught.value}"
