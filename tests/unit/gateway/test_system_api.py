"""`GET /api/system`: processes by their own word, consumers by nats-server's, the tables by their watermarks."""

import asyncio
from datetime import datetime
from uuid import UUID

import pytest

from chassis.clock import ManualClock
from chassis.health import Health
from chassis.log import ConsumerStanding, LogUnavailable
from chassis.pulse import Pulse
from contracts.access import Scope
from contracts.health import REPORT_SECONDS, SILENT_SECONDS, UNREADY_SECONDS, NodeReported, ServiceReported
from contracts.permissions import ROLES
from contracts.streams import HEALTH
from tests.support.ending import end
from tests.support.gateway import Gateway
from tests.support.memory_log import MemoryLog
from tests.support.samples import REQUESTED, WEBHOOK

NODE = NodeReported(name="1 node.example", slot=7, lag_slots=0, circuit="closed")


def reported(service: str, number: int = 1, *, ready: bool = True) -> ServiceReported:
    return ServiceReported(service=service, instance=UUID(int=number), host=f"{service}-{number}", ready=ready)


@pytest.fixture
def gateway() -> Gateway:
    clock = ManualClock()
    return Gateway(clock=clock, log=MemoryLog(now=clock.now))


async def test_every_process_is_told_and_a_service_without_one_is_missed(gateway: Gateway) -> None:
    await gateway.log.publish(reported("minter"), cause=None)
    await gateway.clock.advance(SILENT_SECONDS + 1)
    await gateway.log.publish(reported("ipfs", ready=False), cause=None)
    await gateway.log.publish(reported("ipfs", 2, ready=False), cause=None)
    await gateway.log.publish(reported("ipfs", 2), cause=None)
    async with gateway.client() as client:
        told = (await client.get("/api/system")).json()["data"]
    assert [(each["host"], each["state"]) for each in told["processes"]] == [
        ("ipfs-1", "unready"),
        ("ipfs-2", "ready"),
        ("minter-1", "silent"),
    ]
    # One that answers badly is there; one that is silent is not.
    assert set(told["missing"]) == {role.name for role in ROLES} - {"ipfs"}


async def test_a_consumer_that_the_log_does_not_have_is_told_as_missing(gateway: Gateway) -> None:
    gateway.log.standings["MINT"] = [
        ConsumerStanding(name="minter-mint", pending=3, in_hand=2, redelivered=1),
        ConsumerStanding(name="of-somebody-else", pending=9, in_hand=0, redelivered=0),
    ]
    gateway.log.standings["DELIVERY"] = [
        ConsumerStanding(name=f"notifier-{WEBHOOK}", pending=4, in_hand=5, redelivered=0)
    ]
    async with gateway.client() as client:
        told = (await client.get("/api/system")).json()["data"]
    consumers = {each["name"]: each for each in told["consumers"]}
    assert "of-somebody-else" not in consumers
    minting = consumers["minter-mint"]
    assert (minting["state"], minting["pending"], minting["inHand"], minting["redelivered"]) == ("there", 3, 2, 1)
    assert consumers["minter-finality"]["state"] == "missing"
    assert told["webhooks"] == [{"webhookId": str(WEBHOOK), "pending": 4, "inHand": 5}]


async def test_the_tables_are_behind_by_what_they_have_not_read(gateway: Gateway) -> None:
    for _ in range(3):
        await gateway.log.publish(REQUESTED, cause=None)
    gateway.projection.read_to = {"MINT": 1, "COLLECTION": 0}
    async with gateway.client() as client:
        told = (await client.get("/api/system")).json()["data"]
        assert told["projection"] == [{"stream": "MINT", "messages": 2}, {"stream": "COLLECTION", "messages": 0}]
        gateway.projection.down = True
        told = (await client.get("/api/system")).json()["data"]
        assert told["projection"] == []


async def test_what_nobody_can_read_is_left_out(gateway: Gateway) -> None:
    gateway.log.put_raw(HEALTH, reported("minter").subject(), b"{")
    await gateway.log.publish(reported("ipfs"), cause=None)
    async with gateway.client() as client:
        told = (await client.get("/api/system")).json()["data"]
    assert [each["service"] for each in told["processes"]] == ["ipfs"]


async def test_a_silent_log_and_a_caller_who_is_no_admin(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway.client(gateway.key("shop", Scope.READ, Scope.MINT)) as client:
        assert (await client.get("/api/system")).status_code == 403

    async def silent(_: object) -> list[ConsumerStanding]:
        raise LogUnavailable("away")

    monkeypatch.setattr(gateway.log, "consumers", silent)
    async with gateway.client() as client:
        assert (await client.get("/api/system")).json()["code"] == "log_unavailable"


async def test_a_process_reports_again_and_again_also_when_a_report_was_lost(gateway: Gateway) -> None:
    log, clock = gateway.log, gateway.clock
    health = Health(clock, cache_seconds=0)

    mended = asyncio.Event()

    async def node() -> None:
        if not mended.is_set():
            raise ValueError("no answer from https://user:secret@node.example/?api-key=abc")

    health.add("solana", node)
    log.fail_publishes.append(LogUnavailable("away"))
    pulse = asyncio.create_task(Pulse(log, health, clock, "minter", lambda: [NODE]).run())
    try:
        reports = log.read(HEALTH, 0)
        for _ in range(2):
            await clock.advance(UNREADY_SECONDS)
            await anext(reports)
        mended.set()
        await clock.advance(UNREADY_SECONDS)
        assert b'"ready":true' in (await anext(reports)).payload
        await clock.advance(REPORT_SECONDS - 0.1)
        assert len(log.facts(ServiceReported)) == 3
        await clock.advance(0.1)
        await anext(reports)
    finally:
        await end([pulse])
    first, *_ = messages = log.messages(ServiceReported)
    assert len({message.subject for message in messages}) == 1
    assert (first.data.ready, first.data.nodes) == (False, (NODE,))
    assert [check.name for check in first.data.checks] == ["solana"]
    assert "secret" not in str(first.data.checks)
    assert isinstance(first.stored_at, datetime)
