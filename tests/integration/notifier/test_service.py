"""The notifier as a process between a real nats-server and real receivers."""

import asyncio
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
from cryptography.fernet import Fernet
from msgspec import structs
from starlette.responses import Response

from chassis.messaging import Connection, Log
from chassis.redaction import Secret
from chassis.sealing import Sealer
from contracts import registry
from contracts.fact import Event, Fact, Producer
from contracts.mint import Completed
from contracts.streams import DELIVERY, WEBHOOK, Stream
from contracts.webhook import (
    DeliveryAttempted,
    DeliveryQueued,
    DeliveryState,
    ReplayRequested,
    SealedSecret,
    WebhookConfigured,
    WebhookState,
)
from localnet.child import ChildSpec, minimal_environ, ports_file_ready, running
from tests.support.samples import CONFIRMED, REQUESTED
from tests.support.webhooks import OTHER_SECRET, SECRET, Received, receiver

F = TypeVar("F", bound=Fact)

PATIENCE = 120.0
"""Seconds until a hung test is given up."""
KEY = Fernet.generate_key().decode()


def spec(directory: Path, nats_url: str, **environ: str) -> ChildSpec:
    """How to run a notifier that calls this machine and tries again soon."""
    ports_file, nats = directory / "notifier.json", urlsplit(nats_url)
    return ChildSpec(
        name="notifier",
        command=(sys.executable, "-m", "services.notifier"),
        log_file=directory / "notifier.log",
        ready=ports_file_ready(ports_file),
        environ=minimal_environ(
            NATS_URL=f"nats://{nats.hostname}:{nats.port}",
            NATS_USER=nats.username or "",
            NATS_PASSWORD=nats.password or "",
            PORTS_FILE=str(ports_file),
            LOG_FORMAT="json",
            WEBHOOK_SEALING_KEYS=KEY,
            WEBHOOK_INSIDE_NETWORKS="127.0.0.0/8",
            WEBHOOK_FIRST_RETRY_SECONDS="0.2",
            WEBHOOK_LONGEST_RETRY_SECONDS="0.5",
        )
        | environ,
    )


@pytest.fixture
async def log(nats_url: str) -> AsyncGenerator[Log]:
    async with Log.session(Connection(servers=(nats_url,), producer=Producer(name="test", version="0"))) as opened:
        await opened.declare(buckets=())
        yield opened


async def configure(log: Log, number: int, url: str, **changes: Any) -> UUID:
    """Put a webhook that is told of everything on the log."""
    sealed = Sealer(Secret(KEY)).seal(Secret(SECRET))
    webhook = WebhookConfigured(
        webhook=UUID(int=number),
        caller="app:shop",
        url=url,
        events=("mint.*",),
        secrets=(SealedSecret(sealed=sealed),),
        all_callers=True,
        created_at=datetime.now(UTC),
    )
    await log.publish(structs.replace(webhook, **changes), cause=None)
    return webhook.webhook


def operation(number: int) -> UUID:
    return UUID(int=1000 + number)


async def mint(log: Log, number: int, transactions: int) -> None:
    """Say that an operation of so many transactions ran to its end."""
    await log.publish(structs.replace(REQUESTED, operation=operation(number)), cause=None)
    for tx in range(transactions):
        await log.publish(structs.replace(CONFIRMED, operation=operation(number), tx=tx, slot=tx), cause=None)
    await log.publish(Completed(operation=operation(number), total=3, minted=3, failed=0), cause=None)


async def facts_until(log: Log, stream: Stream, kind: type[F], count: int) -> list[F]:
    """The facts of a kind from the stream's start, once there are so many."""
    found: list[F] = []
    async with asyncio.timeout(PATIENCE):
        async for raw in log.read(stream, 0):
            if raw.subject.startswith(kind.type() + "."):
                event: Event[F] = registry.decode(raw.subject, raw.payload)
                found.append(event.data)
            if len(found) >= count:
                break
    return found


def in_order(requests: list[Received]) -> dict[str, list[Any]]:
    """What each operation's requests told, in the order in which they first came."""
    threads: defaultdict[str, list[Any]] = defaultdict(list)
    for received in requests:
        told = (received.event["type"], received.event["data"].get("slot"))
        if told not in threads[received.event["transactionId"]]:
            threads[received.event["transactionId"]].append(told)
    return threads


def whole(transactions: int) -> list[Any]:
    return [*(("mint.confirmed", tx) for tx in range(transactions)), ("mint.completed", None)]


async def test_killed_in_the_middle_of_a_delivery_nothing_is_lost_and_the_order_holds(
    tmp_path: Path, nats_url: str, log: Log
) -> None:
    holding, held = asyncio.Event(), True

    async def hold(received: Received) -> Response:
        if held and received.event["type"] == "mint.confirmed" and received.event["data"]["slot"] == 2:
            holding.set()
            await asyncio.sleep(PATIENCE)
        return Response(status_code=204)

    async with receiver(hold) as shop:
        await configure(log, 1, shop.url)
        async with running(spec(tmp_path, nats_url)) as first:
            await mint(log, 1, 5)
            await asyncio.wait_for(holding.wait(), PATIENCE)
            first.kill(signal.SIGKILL)
            await first.wait()
        held = False
        async with running(spec(tmp_path, nats_url)) as second:
            requests = await shop.until(lambda found: found[-1].event["type"] == "mint.completed")
            attempts = await facts_until(log, DELIVERY, DeliveryAttempted, 6)
            second.kill(signal.SIGTERM)
            assert await second.wait() == 0
    assert in_order(requests) == {str(operation(1)): whole(5)}
    again = [received_id for received_id, times in Counter(received.id for received in requests).items() if times > 1]
    assert again == [next(each.id for each in requests if each.event["data"].get("slot") == 2)]
    assert {received.verified(SECRET)["transactionId"] for received in requests} == {str(operation(1))}
    assert {each.state for each in attempts} == {DeliveryState.DELIVERED}
    assert "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" not in (tmp_path / "notifier.log").read_text()


async def test_of_two_beside_each_other_one_may_die_at_any_time(tmp_path: Path, nats_url: str, log: Log) -> None:
    operations, transactions = 6, 5
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    async with (
        receiver() as shop,
        running(spec(tmp_path / "one", nats_url)) as one,
        running(spec(tmp_path / "other", nats_url)),
    ):
        await configure(log, 1, shop.url)
        await asyncio.gather(*(mint(log, number, transactions) for number in range(operations)))
        await shop.until(lambda found: len(found) > operations)
        one.kill(signal.SIGKILL)
        requests = await shop.until(lambda found: len({each.id for each in found}) == operations * (transactions + 1))
    # Each operation's events in their own order; what both sent at one moment came again with the same id.
    assert in_order(requests) == {str(operation(number)): whole(transactions) for number in range(operations)}


async def test_a_receiver_that_fails_keeps_the_order_and_holds_up_nobody_else(
    tmp_path: Path, nats_url: str, log: Log
) -> None:
    refusals: Counter[str] = Counter()

    async def refuse(received: Received) -> Response:
        refusals[received.id] += 1
        if received.event["transactionId"] == str(operation(1)) and refusals[received.id] <= 2:
            return Response(status_code=503)
        return Response(status_code=200)

    async def hang(_: Received) -> Response:
        await asyncio.sleep(PATIENCE)
        return Response(status_code=200)

    async with receiver(refuse) as failing, receiver(hang) as dead, receiver() as healthy:
        for number, each in enumerate((dead, failing, healthy), start=1):
            await configure(log, number, each.url)
        async with running(spec(tmp_path, nats_url, WEBHOOK_TIMEOUT_SECONDS="60", SHUTDOWN_GRACE_SECONDS="1")):
            for number in (1, 2):
                await mint(log, number, 2)
            # The dead one has not answered anything yet: it holds up nobody.
            await healthy.until(lambda found: len(found) == 6)
            requests = await failing.until(lambda found: len(found) == 3 * 3 + 3)
            assert dead.requests
    assert in_order(requests) == {str(operation(1)): whole(2), str(operation(2)): whole(2)}
    assert requests[-1].event["transactionId"] == str(operation(1)), "the other operation did not wait"


async def test_gone_disables_and_what_was_parked_can_be_replayed(tmp_path: Path, nats_url: str, log: Log) -> None:
    gone, queued = True, asyncio.Event()

    async def answer(_: Received) -> Response:
        await asyncio.wait_for(queued.wait(), PATIENCE)
        return Response(status_code=410 if gone else 204)

    async with receiver(answer) as shop, running(spec(tmp_path, nats_url)) as service:
        webhook = await configure(log, 1, shop.url)
        await mint(log, 1, 2)
        await facts_until(log, DELIVERY, DeliveryQueued, 3)
        queued.set()
        (_, disabled) = await facts_until(log, WEBHOOK, WebhookConfigured, 2)
        assert (disabled.state, len(shop.requests)) == (WebhookState.DISABLED, 1)
        parked = await facts_until(log, DELIVERY, DeliveryAttempted, 3)
        assert [(each.state, each.attempts) for each in parked] == [
            (DeliveryState.PARKED, 1),
            (DeliveryState.PARKED, 0),
            (DeliveryState.PARKED, 0),
        ]
        gone = False
        await log.publish(structs.replace(disabled, state=WebhookState.ACTIVE), cause=None)
        await log.publish(ReplayRequested(webhook=webhook, replay=UUID(int=5), operation=operation(1)), cause=None)
        requests = await shop.until(lambda found: len(found) >= 4)
        assert in_order(requests[1:]) == {str(operation(1)): whole(2)}
        async with httpx.AsyncClient() as http:
            ready = await http.get(f"{service.addresses['probe']}/health/ready")
        assert ready.status_code == 200


async def test_the_operators_webhook_and_one_that_is_deleted(tmp_path: Path, nats_url: str, log: Log) -> None:
    async with receiver() as operators, receiver() as deleted:
        environ = {"WEBHOOK_URL": operators.url, "WEBHOOK_SECRET": f"{OTHER_SECRET},{SECRET}"}
        async with running(spec(tmp_path, nats_url, **environ)):
            await configure(log, 1, deleted.url)
            await mint(log, 1, 1)
            await deleted.until(lambda found: len(found) == 2)
            await configure(log, 1, deleted.url, state=WebhookState.DELETED, secrets=())
            await mint(log, 2, 1)
            requests = await operators.until(lambda found: len(found) == 4)
        assert len(deleted.requests) == 2
        for received in requests:
            assert received.verified(SECRET) == received.verified(OTHER_SECRET)
