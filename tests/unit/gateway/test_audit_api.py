"""`GET /api/audit/operations/{id}`: for admins, bounded, and 503 rather than a verdict without the chain."""

import asyncio
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from audit.evidence import Evidence
from audit.gathering import logged_event
from chassis.chain import ChainUnavailable
from chassis.log import LogUnavailable
from contracts.access import Scope
from services.gateway.auditing import MOST, Auditing
from services.gateway.errors import ChainSilent
from services.gateway.ports import ProjectionUnavailable
from tests.support.gateway import Gateway
from tests.support.indexing import History, requested, uid

OPERATION = uid("operation")
PATH = f"/api/audit/operations/{OPERATION}"


@dataclass
class Told:
    """A witness that knows one operation, or fails."""

    error: Exception | None = None
    free: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0
    busy: asyncio.Event = field(default_factory=asyncio.Event)

    async def evidence(self, operation: UUID) -> Evidence:
        self.asked += 1
        if self.asked == MOST:
            self.busy.set()
        await self.free.wait()
        if self.error is not None:
            raise self.error
        if operation != OPERATION:
            return Evidence(operation, [])
        history = History()
        raw = history.say(requested(OPERATION, 1))
        return Evidence(operation, [logged_event(raw)], copies={raw.sequence: b"{}"})


@pytest.fixture
async def told() -> Told:
    told = Told()
    told.free.set()
    return told


async def test_an_admin_gets_the_story_and_the_verdict(told: Told) -> None:
    async with Gateway(witness=told).client() as client:
        answer = await client.get(PATH)
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        assert (data["transactionId"], data["verdict"]) == (str(OPERATION), "broken")
        assert [step["type"] for step in data["steps"]] == ["mint.requested.v1"]
        assert "second copy" in {each["question"] for each in data["findings"] if each["verdict"] == "broken"}
        for unknown in (uid("another"), "no-id"):
            assert (await client.get(f"/api/audit/operations/{unknown}")).status_code == 404


async def test_nobody_else_is_told(told: Told) -> None:
    gateway = Gateway(witness=told)
    key = gateway.key("app:shop", Scope.READ, Scope.MINT)
    async with gateway.client(key) as client:
        assert (await client.get(PATH)).status_code == 403
    async with gateway.client(None) as client:
        assert (await client.get(PATH)).status_code == 401
    assert told.asked == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ChainUnavailable("ConnectError"), "chain_unavailable"),
        (LogUnavailable("away"), "log_unavailable"),
        (ProjectionUnavailable("away"), "database_unavailable"),
    ],
)
async def test_what_cannot_be_read_is_no_verdict(told: Told, error: Exception, code: str) -> None:
    told.error = error
    async with Gateway(witness=told).client() as client:
        answer = await client.get(PATH)
    assert (answer.status_code, answer.json()["code"]) == (503, code)
    assert "Retry-After" in answer.headers


async def test_without_a_node_there_is_no_audit() -> None:
    async with Gateway().client() as client:
        answer = await client.get(PATH)
    assert (answer.status_code, answer.json()["code"]) == (503, "chain_unavailable")


async def test_no_more_than_a_few_at_once(told: Told) -> None:
    told.free.clear()
    async with Gateway(witness=told).client() as client:
        first = [asyncio.create_task(client.get(PATH)) for _ in range(MOST)]
        await told.busy.wait()
        answer = await client.get(PATH)
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        told.free.set()
        assert [(await each).status_code for each in first] == [200] * MOST


async def test_an_audit_that_takes_too_long_is_given_up(told: Told) -> None:
    told.free.clear()
    with pytest.raises(ChainSilent):
        await Auditing(told, seconds=0).report(OPERATION)
