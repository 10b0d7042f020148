"""`/api/dead-letters`: for admins; replays are asked for on the log and answered by whoever may say the message."""

import asyncio
from typing import Any

import httpx
import pytest

from chassis.log import LogUnavailable
from contracts.access import Scope
from contracts.dead import DeadLetter, DeadLetterReplayRefused, DeadLetterReplayRequested, DeadLetterSettled
from contracts.streams import DEAD
from services.gateway.dead_letters import REPLAY_SECONDS
from tests.support.gateway import Gateway
from tests.support.samples import SAMPLES

LETTER = next(each for each in SAMPLES if isinstance(each, DeadLetter))
PATH = "/api/dead-letters"


@pytest.fixture
async def gateway() -> Gateway:
    """A gateway with three dead letters, the second of them dropped from the command line."""
    gateway = Gateway()
    for _ in range(3):
        await gateway.log.publish(LETTER, cause=None)
    await gateway.log.publish(DeadLetterSettled(letter=2, outcome="dropped"), cause=None)
    return gateway


async def asked(gateway: Gateway) -> int:
    """Return the sequence of the request for a replay, once there is one."""
    subject = DeadLetterReplayRequested.subject_of(letter=1)
    return await anext(raw.sequence async for raw in gateway.log.read(DEAD, 0) if raw.subject == subject)


async def test_open_letters_are_listed_page_by_page(gateway: Gateway, client: httpx.AsyncClient) -> None:
    first = (await client.get(PATH, params={"limit": 1})).json()["data"]
    assert [each["letter"] for each in first["letters"]] == [1]
    assert (first["letters"][0]["state"], first["letters"][0]["consumer"]) == ("open", "minter-mint")
    second = (await client.get(PATH, params={"limit": 1, "cursor": first["nextCursor"]})).json()["data"]
    assert [each["letter"] for each in second["letters"]] == [3]
    assert "nextCursor" not in second
    everything = (await client.get(PATH, params={"state": "all"})).json()["data"]["letters"]
    assert [(each["letter"], each["state"]) for each in everything] == [(1, "open"), (2, "dropped"), (3, "open")]


async def test_a_letter_is_shown_with_its_message(gateway: Gateway, client: httpx.AsyncClient) -> None:
    shown = (await client.get(f"{PATH}/1")).json()["data"]
    assert (shown["payload"], shown["headers"]) == (LETTER.payload, LETTER.headers)
    assert shown["letter"]["subject"] == LETTER.subject_name


async def test_a_letter_is_dropped_once_and_by_name(gateway: Gateway, client: httpx.AsyncClient) -> None:
    assert (await client.post(f"{PATH}/1/drop")).json()["data"] == {"letter": 1, "state": "dropped"}
    assert gateway.log.facts(DeadLetterSettled)[-1] == DeadLetterSettled(letter=1, outcome="dropped", caller="api-key")
    for verb in ("drop", "replay"):
        again = await client.post(f"{PATH}/1/{verb}")
        assert (again.status_code, again.json()["code"]) == (409, "dead_letter_decided")


async def test_a_replay_is_asked_for_and_its_outcome_told(gateway: Gateway, client: httpx.AsyncClient) -> None:
    answer = asyncio.create_task(client.post(f"{PATH}/1/replay"))
    await asked(gateway)
    assert gateway.log.facts(DeadLetterReplayRequested) == [DeadLetterReplayRequested(letter=1, caller="api-key")]
    await gateway.log.publish(DeadLetterSettled(letter=1, outcome="replayed", said_at=9), cause=None)
    await gateway.clock.advance(1)
    assert (await answer).json()["data"] == {"letter": 1, "state": "replayed", "sequence": 9}
    assert LETTER.subject_name not in [raw.subject for stream in gateway.log.streams.values() for raw in stream]


async def test_a_refusal_counts_for_its_own_request_only(gateway: Gateway, client: httpx.AsyncClient) -> None:
    await gateway.log.publish(DeadLetterReplayRefused(letter=1, request=3, reason="earlier"), cause=None)
    answer = asyncio.create_task(client.post(f"{PATH}/1/replay"))
    request = await asked(gateway)
    await gateway.clock.advance(1)
    assert not answer.done()
    await gateway.log.publish(DeadLetterReplayRefused(letter=1, request=request, reason="gone on"), cause=None)
    await gateway.clock.advance(1)
    refused = await answer
    assert (refused.status_code, refused.json()["code"]) == (409, "dead_letter_superseded")
    assert refused.json()["details"][0]["message"] == "gone on"


async def test_a_replay_that_somebody_else_drops_meanwhile(gateway: Gateway, client: httpx.AsyncClient) -> None:
    answer = asyncio.create_task(client.post(f"{PATH}/1/replay"))
    await asked(gateway)
    await gateway.log.publish(DeadLetterSettled(letter=1, outcome="dropped"), cause=None)
    await gateway.clock.advance(1)
    assert (await answer).json()["code"] == "dead_letter_decided"


async def test_a_replay_that_nobody_carries_out_is_told_as_pending(gateway: Gateway, client: httpx.AsyncClient) -> None:
    answer = asyncio.create_task(client.post(f"{PATH}/1/replay"))
    await asked(gateway)
    await gateway.clock.advance(REPLAY_SECONDS + 1)
    assert ((await answer).status_code, (await answer).json()["code"]) == (503, "replay_pending")


@pytest.mark.parametrize("number", ["0", "4", "99", "-1", "x", "1" * 30])
async def test_what_is_no_letter(gateway: Gateway, client: httpx.AsyncClient, number: str) -> None:
    """4 is on the stream, and is a decision."""
    for method, path in (("GET", number), ("POST", f"{number}/replay"), ("POST", f"{number}/drop")):
        answer = await client.request(method, f"{PATH}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "dead_letter_not_found")


async def test_a_silent_log_is_told_as_that(
    gateway: Gateway, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: Any, **__: Any) -> None:
        raise LogUnavailable("away")

    for verb in ("replay", "drop"):
        gateway.log.fail_publishes.append(LogUnavailable("away"))
        assert (await client.post(f"{PATH}/1/{verb}")).json()["code"] == "log_unavailable"
    monkeypatch.setattr(gateway.log, "at", silent)
    assert (await client.get(f"{PATH}/1")).json()["code"] == "log_unavailable"


async def test_others_than_admins_learn_nothing(gateway: Gateway) -> None:
    async with gateway.client(gateway.key("shop", Scope.MINT, Scope.READ)) as client:
        for method, path in (("GET", ""), ("GET", "/1"), ("POST", "/1/replay"), ("POST", "/1/drop")):
            assert (await client.request(method, PATH + path)).status_code == 403
