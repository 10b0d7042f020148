"""A wallet without SOL: told beside what waits for it and in the health report, and only while it lasts."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from chassis.clock import ManualClock
from chassis.log import LogUnavailable
from contracts.wallet import PAUSE_RENEWAL, Paused, Resumed
from services.gateway.wallets import MAX_AGE
from tests.support.gateway import RECIPIENT, Gateway
from tests.unit.gateway.test_reading_api import OPERATION, operation

WALLET, OTHER = RECIPIENT, "So11111111111111111111111111111111111111112"
PAUSED = Paused(wallet=WALLET, balance=12_500_000, needed=50_000_000)
SENTENCE = (
    f"Wallet {WALLET} holds 0.0125 SOL and needs 0.05 SOL. What it pays for waits, nothing has failed, and it goes on "
    "by itself once the wallet is topped up"
)


@pytest.fixture
def gateway() -> Gateway:
    running = Gateway(clock=ManualClock(datetime.now(UTC)))
    running.projection.operations_by_id[OPERATION] = operation()
    return running


async def status(client: httpx.AsyncClient) -> Mapping[str, Any]:
    answer = await client.get(f"/api/mint/status/{OPERATION}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def health(client: httpx.AsyncClient) -> tuple[int, str, bool]:
    answer = await client.get("/health")
    return answer.status_code, answer.json()["status"], answer.json()["checks"]["wallet"]["ok"]


async def test_what_waits_says_so_and_is_not_failed(gateway: Gateway, client: httpx.AsyncClient) -> None:
    await gateway.log.publish(PAUSED, cause=None)
    told = await status(client)
    assert told["message"] == SENTENCE
    assert told["data"]["status"] == "processing"
    assert "error" not in told["data"]


async def test_what_has_ended_waits_for_nothing(gateway: Gateway, client: httpx.AsyncClient) -> None:
    await gateway.log.publish(PAUSED, cause=None)
    gateway.projection.operations_by_id[OPERATION] = operation(status="completed")
    assert "message" not in await status(client)


async def test_requests_are_taken_while_health_is_degraded(gateway: Gateway, client: httpx.AsyncClient) -> None:
    assert await health(client) == (200, "ok", True)
    await gateway.log.publish(PAUSED, cause=None)
    await gateway.clock.advance(MAX_AGE)
    assert await health(client) == (200, "degraded", False)
    ready = await client.get("/health/ready")
    assert ready.status_code == 200
    assert "wallet" not in ready.json()["checks"]


async def test_it_is_over_when_the_log_says_so(gateway: Gateway, client: httpx.AsyncClient) -> None:
    await gateway.log.publish(PAUSED, cause=None)
    await gateway.log.publish(Resumed(wallet=OTHER, balance=1), cause=None)
    assert "message" in await status(client), "another wallet's money"
    await gateway.log.publish(Resumed(wallet=WALLET, balance=60_000_000), cause=None)
    await gateway.clock.advance(MAX_AGE)
    assert "message" not in await status(client)
    assert await health(client) == (200, "ok", True)


async def test_every_wallet_that_waits_is_told_of(gateway: Gateway, client: httpx.AsyncClient) -> None:
    for fact in (PAUSED, Paused(wallet=OTHER, balance=0, needed=50_000_000), Resumed(wallet=OTHER, balance=60_000_000)):
        await gateway.log.publish(fact, cause=None)
    assert (await status(client))["message"] == SENTENCE, "the one that was paused last has gone on, the other has not"
    await gateway.log.publish(Paused(wallet=OTHER, balance=0, needed=50_000_000), cause=None)
    await gateway.clock.advance(MAX_AGE)
    assert (await status(client))["message"] == f"{SENTENCE}. {SENTENCE}".replace(
        f". Wallet {WALLET} holds 0.0125", f". Wallet {OTHER} holds 0"
    )


async def test_a_pause_that_nobody_says_again_is_nobodys(gateway: Gateway, client: httpx.AsyncClient) -> None:
    await gateway.log.publish(PAUSED, cause=None)
    await gateway.clock.advance(2 * PAUSE_RENEWAL - 60)
    assert "message" in await status(client)
    await gateway.clock.advance(120)
    assert "message" not in await status(client)


async def test_a_silent_log_takes_nothing_from_the_status(
    gateway: Gateway, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object) -> None:
        raise LogUnavailable("silent")

    monkeypatch.setattr(gateway.log, "last_matching", silent)
    told = await status(client)
    assert told["data"]["status"] == "processing"
    assert "message" not in told
