"""What a single mint costs the gateway's processor, step by step: the floor of whoever checks, limits and logs.

Run by `bench_gateway` in a process of its own, which prints them as JSON. Each step is the gateway's own function on a
request of the bench, timed alone; the whole application is timed too, called as uvicorn calls it, on a log that answers
at once. What the process takes beyond that is HTTP, the publish and the look at the collection. The least of many
rounds counts: others who use the machine make a round longer, never shorter. Not done here: the process itself
(`bench_gateway`).
"""

import asyncio
import contextlib
import gc
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar, cast
from unittest import mock
from uuid import UUID

import msgspec
import uuid_utils.compat as uuid_utils
import uvloop
from starlette.requests import Request
from starlette.types import Message as AsgiMessage
from starlette.types import Scope

from chassis import metrics, telemetry
from chassis.clock import SystemClock
from chassis.key_book import KeyBook
from chassis.log import Message
from chassis.settings import Secret
from chassis.telemetry import get_logger
from contracts import registry
from contracts.access import Scope as Grant
from contracts.collection import CollectionCreated
from contracts.fact import Event, Fact, Producer
from contracts.mint import Requested
from services.gateway import domain, server
from services.gateway.api import app as app_module
from services.gateway.api.answers import JsonAnswer
from services.gateway.api.auth import Access, Authenticator
from services.gateway.api.body import received
from services.gateway.api.direct import Direct
from services.gateway.api.responses import MintSingleView, Success
from services.gateway.limiting import Limiter, Quota
from services.gateway.ports import Operation
from services.gateway.requests import MintSingleBody, read_body
from tests.support.gateway import API_KEY, COLLECTION, RECIPIENT, URI, Gateway, created
from tests.support.memory_log import MemoryLog

F = TypeVar("F", bound=Fact)

ROUNDS: Final = 40
CALLS: Final = 256
"""In one round."""
TOGETHER: Final = 64
"""Requests that the application is asked at a time, as under load."""
PRODUCER: Final = Producer(name="gateway", version="0")
BODY: Final = msgspec.json.encode(
    {
        "collectionId": str(COLLECTION),
        "recipient": RECIPIENT,
        "metadata": {"name": "Bench #1", "description": "A tent at the lake", "image": URI},
    }
)
HEADERS: Final = [
    (b"host", b"127.0.0.1:4000"),
    (b"content-type", b"application/json"),
    (b"content-length", str(len(BODY)).encode()),
    (b"x-api-key", API_KEY.encode()),
]

Call = Callable[[], object]


class Steps(msgspec.Struct, frozen=True, kw_only=True):
    """What a request costs, in microseconds of the processor."""

    steps: dict[str, float]
    """By name, in the order of a request."""
    ways: dict[str, tuple[float, float]]
    """All of a request, by name: answered directly, and by FastAPI."""


class AnswersAtOnce(MemoryLog):
    """A log on which every collection was created and nothing takes any time."""

    def __init__(self) -> None:
        super().__init__()
        found = created(COLLECTION)
        event = Event(id=UUID(int=1), type=found.type(), time=datetime.now(UTC), producer=PRODUCER, data=found)
        self._created = Message(event=event, subject=found.subject(), sequence=1, stored_at=event.time)

    async def publish_once(self, fact: Fact, *, cause: Event[Fact] | None) -> bool:
        return True

    async def last(self, fact: type[F], **tokens: object) -> Message[F] | None:
        return cast("Message[F]", self._created) if fact is CollectionCreated else None


@dataclass
class Asked:
    """One request as uvicorn would hand it on."""

    method: str
    path: str
    answer: list[AsgiMessage] = field(default_factory=list[AsgiMessage])

    def scope(self) -> Scope:
        """A scope of its own; applications write into it."""
        return {
            "type": "http",
            "http_version": "1.1",
            "method": self.method,
            "scheme": "http",
            "path": self.path,
            "raw_path": self.path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": list(HEADERS),
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 4000),
            "state": {},
        }

    async def receive(self) -> AsgiMessage:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(self, message: AsgiMessage) -> None:
        self.answer.append(message)

    def request(self) -> Request:
        return Request(self.scope(), self.receive, self.send)


OPERATION: Final = Operation(
    id=UUID(int=17), status="processing", total=10, completed=4, failed=0, start_time=datetime.now(UTC)
)
MINT_REQUEST: Final = Asked("POST", "/api/mint/single")
STATUS_REQUEST: Final = Asked("GET", f"/api/mint/status/{OPERATION.id}")


def at_once(work: Awaitable[object]) -> None:
    """Run what never has to wait to its end, without a loop's help."""
    try:
        work.__await__().send(None)  # pyright: ignore[reportAttributeAccessIssue]  (of a coroutine)
    except StopIteration:
        return
    raise AssertionError("it waits for something")


def least(call: Call) -> float:
    """Return the microseconds of one call."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            call()
        rounds.append(time.process_time() - began)
    return min(rounds) / CALLS * 1e6


def steps() -> dict[str, float]:
    """Return the microseconds of the steps of which the gateway's own code is made."""
    clock = SystemClock()
    limiter = Limiter({"mint": Quota(most=10**9, window=900)}, None, clock)
    access = Access(Authenticator(Secret(API_KEY), KeyBook(), None, clock), limiter)
    fields: dict[str, object] = msgspec.json.decode(BODY)
    body = read_body(MintSingleBody, fields)
    operation = uuid_utils.uuid7()
    requested = domain.single_requested(body, (None,), (), operation, 10, "api-key")
    line = get_logger("services.gateway.api.scope").bind()
    asked = MINT_REQUEST
    told: dict[str, object] = {"method": "POST", "path": "/api/mint/single", "status": 200, "duration_ms": 1.5}
    told |= {"user_agent": None, "ip": "127.0.0.1", "operation": str(operation), "collection": str(COLLECTION)}
    told |= {"items": 1, "request_id": str(operation)}

    async def take_body() -> None:
        async with received(asked.request(), file_field="image", json_fields=("metadata",)):
            pass

    def event() -> bytes:
        return registry.encode(
            Event(id=uuid_utils.uuid7(), type=Requested.type(), time=clock.now(), producer=PRODUCER, data=requested)
        )

    calls: dict[str, Call] = {
        "who calls, and how often: key, scope, quota": lambda: at_once(
            access.admit(asked.request(), Grant.MINT, "mint")
        ),
        "the body: read within its limit, decoded": lambda: at_once(take_body()),
        "validation of every field": lambda: read_body(MintSingleBody, fields),
        "the message: id, size, digest of its meaning": lambda: domain.single_requested(
            body, (None,), (), uuid_utils.uuid7(), 10, "api-key"
        ),
        "the event's bytes": event,
        "the answer's bytes": lambda: JsonAnswer(Success(data=MintSingleView.of(requested), message="Mint queued"), {}),
        "the log line": lambda: line.info(
            "http request",
            method="POST",
            path="/api/mint/single",
            status=200,
            duration_ms=1.5,
            operation=str(operation),
        ),
        "the measurement": lambda: metrics.HTTP_DURATION.record(
            0.001, method="POST", route="/api/mint/single", status="200"
        ),
    }
    return {name: least(call) for name, call in calls.items()}


class Nothing(Direct):
    """Stands in for `Direct`: every request goes to FastAPI."""

    def takes(self, scope: Scope) -> bool:
        return False


def application(asked_for: Asked, *, framework: bool = False) -> float:
    """Return the microseconds of one such request to the whole application on a log that answers at once."""
    gateway = Gateway(log=AnswersAtOnce(), quotas={"mint": Quota(most=10**9, window=900)})
    gateway.projection.operations_by_id[OPERATION.id] = OPERATION
    with mock.patch.object(app_module, "Direct", Nothing if framework else Direct):
        app = gateway.app()
    gc.collect()
    gc.freeze()  # as the gateway's server does
    gc.set_threshold(server.YOUNG_OBJECTS, *gc.get_threshold()[1:])

    async def ask() -> None:
        asked = Asked(asked_for.method, asked_for.path)
        await app(asked.scope(), asked.receive, asked.send)
        assert asked.answer[0]["status"] == 200, asked.answer

    async def best() -> float:
        rounds: list[float] = []
        for _ in range(ROUNDS):
            began = time.process_time()
            for _ in range(CALLS // TOGETHER):
                await asyncio.gather(*(ask() for _ in range(TOGETHER)))
            rounds.append(time.process_time() - began)
        return min(rounds) / (CALLS // TOGETHER * TOGETHER) * 1e6

    return uvloop.run(best())


def ways() -> dict[str, tuple[float, float]]:
    """Return what each route that is answered directly costs, and what FastAPI makes of it."""
    requests = {"a single mint": MINT_REQUEST, "how an operation stands": STATUS_REQUEST}
    return {name: (application(asked), application(asked, framework=True)) for name, asked in requests.items()}


async def measured() -> Steps:
    """Have another process measure; return what it found."""
    module = (sys.executable, "-m", "tests.bench.gateway_steps")
    process = await asyncio.create_subprocess_exec(*module, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    return msgspec.json.decode(printed, type=Steps)


def main() -> None:
    """Measure, with log lines written to nowhere, and print."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        telemetry.configure("gateway", "0", "info", "json", environ={})
        found = Steps(steps=steps(), ways=ways())
    sys.stdout.write(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
