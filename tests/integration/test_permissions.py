# pyright: reportUnknownMemberType=false
"""Each service's NATS user on a real server: what it needs goes through, and everything else the server refuses.

The server has the accounts of `deploy/images/nats.conf`, which are those of production.
"""

import asyncio
import dataclasses
import hashlib
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from chassis.clock import SystemClock
from chassis.health import Health
from chassis.log import InvalidEvent, Message
from chassis.messaging import Connection, Log
from chassis.pulse import Pulse
from chassis.subjects import matches
from contracts import registry
from contracts.access import Scope
from contracts.fact import Producer
from contracts.mint import Confirmed, Requested
from contracts.permissions import ROLES, Role, consumers_of, permissions
from contracts.streams import (
    CONSUMERS,
    CONTENT,
    DELIVERY,
    HEALTH,
    INDEXER_DEAD,
    IPFS_MINT,
    IPFS_UPLOAD,
    MINT,
    MINTER_MINT,
    STREAMS,
    UPLOADS,
    Consumer,
)
from contracts.upload import UploadRequested
from contracts.webhook import ParkedTold
from deploy.generate import ROOT
from deploy.nats_accounts import CONTROLLER, OPERATOR, SYSTEM, variable
from localnet.child import ChildSpec, running
from localnet.nats_server import NatsOptions, nats_spec
from services.gateway.callers import Caller
from services.gateway.dead_letters import DeadLetters
from services.gateway.system import System
from services.indexer.dead_letters import DeadLetters as Replaying
from services.notifier.parking import tell_parked
from tests.support.ending import end
from tests.support.gateway import MemoryProjection
from tests.support.memory_log import MemoryLog
from tests.support.samples import CONFIRMED, PINNED, REQUESTED, SAMPLES, event

BY_NAME = {role.name: role for role in ROLES}
PASSWORD = "for-tests"
DATA = b"an image"
UPLOAD_REQUESTED = next(each for each in SAMPLES if isinstance(each, UploadRequested))
ADMIN = Caller(name="app:operator", scopes=frozenset({Scope.ADMIN}))
DIGEST = hashlib.sha256(DATA).hexdigest()


@dataclass
class Server:
    url: str

    def connection(self, name: str, *, declares: bool = False) -> Connection:
        producer = Producer(name=name, version="test")
        return Connection(
            servers=(self.url,), producer=producer, user=name, password=PASSWORD, declares=declares, timeout=1.0
        )

    @asynccontextmanager
    async def raw(self, name: str) -> AsyncGenerator["Raw", None]:
        """A client without our code around it, as somebody who holds a service's password would write one."""
        raw = Raw()
        client = await nats.connect(
            self.url, user=name, password=PASSWORD, inbox_prefix=f"_INBOX_{name}", error_cb=raw.note
        )
        raw.client = client
        try:
            yield raw
        finally:
            await client.close()


@dataclass
class Raw:
    refusals: list[str] = field(default_factory=list[str])

    client: Client = field(default_factory=Client)

    async def note(self, error: Exception) -> None:
        self.refusals.append(str(error).lower())

    async def refused(self, subject: str, payload: bytes = b"") -> bool:
        """Whether the server refuses that anything is published on `subject`."""
        before = len(self.refusals)
        await self.client.publish(subject, payload)
        await self.settle()
        return len(self.refusals) > before

    async def settle(self) -> None:
        """Wait until the server has judged what was sent: its errors come before the answer to what is asked now."""
        await self.client.request("$JS.API.INFO", timeout=30)


def deployed_server(directory: Path) -> ChildSpec:
    """A server with the deployed accounts; address, ports and directories are those of a test."""
    spec = nats_spec(NatsOptions(data_dir=directory))
    deployed = (ROOT / "deploy" / "images" / "nats.conf").read_text()
    accounts = "{" + deployed[deployed.index('  "accounts"') :]
    passwords = {variable(name): PASSWORD for name in (*BY_NAME, OPERATOR, CONTROLLER, SYSTEM)}

    async def prepare() -> None:
        assert spec.prepare is not None
        await spec.prepare()
        with (directory / "nats.conf").open("a") as file:
            file.write(accounts.strip().removeprefix("{").removesuffix("}"))

    return dataclasses.replace(spec, prepare=prepare, environ={**spec.environ, **passwords})


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[Server, None]:
    spec = deployed_server(tmp_path / "nats")
    async with running(spec) as child:
        server = Server(child.addresses["nats"])
        async with Log.session(server.connection("mintstream", declares=True)) as operator:
            await operator.declare()
        yield server


async def test_every_fact_may_be_said_by_its_publishers_and_by_nobody_else(server: Server) -> None:
    for role in ROLES:
        mended = {stream.name for stream in role.mends}
        async with server.raw(role.name) as raw:
            for fact in SAMPLES:
                may = role.name in registry.PUBLISHERS[type(fact)] and getattr(fact, "service", role.name) == role.name
                may |= registry.stream_of(type(fact)).name in mended or type(fact) in role.repeats
                refused = await raw.refused(fact.subject(), registry.encode(event(fact)))
                assert refused is not may, f"{role.name} and {fact.subject()}"


async def test_the_gateway_cannot_say_that_an_nft_was_minted(server: Server) -> None:
    async with server.raw("gateway") as raw, Log.session(server.connection("mintstream")) as operator:
        assert not await raw.refused(REQUESTED.subject(), registry.encode(event(REQUESTED)))
        assert await raw.refused(CONFIRMED.subject(), registry.encode(event(CONFIRMED)))
        assert CONFIRMED.subject() in raw.refusals[-1]
        assert await operator.last(Requested, operation=REQUESTED.operation) is not None
        assert await operator.last_matching(MINT, Confirmed.pattern()) is None


@pytest.mark.parametrize("name", ["gateway", "ipfs", "minter"])
async def test_nobody_destroys_streams_or_touches_the_consumers_of_others(server: Server, name: str) -> None:
    async with server.raw(name) as raw:
        for stream in STREAMS:
            for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.DELETE", "RESTORE", "SNAPSHOT"):
                assert await raw.refused(f"$JS.API.STREAM.{verb}.{stream.name}"), (verb, stream.name)
        for consumer in CONSUMERS:
            where = f"{consumer.stream}.{consumer.name}"
            assert await raw.refused(f"$JS.API.CONSUMER.DELETE.{where}")
            assert await raw.refused(f"$JS.API.CONSUMER.DURABLE.CREATE.{where}")
            assert await raw.refused(f"$JS.API.CONSUMER.CREATE.{where}")
            if consumer not in consumers_of(BY_NAME[name]):
                assert await raw.refused(f"$JS.API.CONSUMER.MSG.NEXT.{where}")
                assert await raw.refused(f"$JS.ACK.{where}.1.1.1.1.0")


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_only_the_operator_takes_messages_from_a_stream(role: Role) -> None:
    for stream, verb in product(STREAMS, ("DELETE", "PURGE", "MSG.DELETE")):
        subject = f"$JS.API.STREAM.{verb}.{stream.name}"
        assert not [pattern for pattern in permissions(role).publish if matches(pattern, subject)], subject


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
async def test_nobody_listens_to_the_log_or_to_the_answers_of_others(server: Server, role: Role) -> None:
    async with server.raw(role.name) as raw:
        for subject in (">", "mint.>", "_INBOX.>", "_INBOX_mintstream.>", "$JS.API.>", "$O.>", "$SYS.>"):
            before = len(raw.refusals)
            await raw.client.subscribe(subject)
            await raw.settle()
            assert len(raw.refusals) > before, subject


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
async def test_nobody_changes_a_durable_consumer_while_making_one_to_read_with(server: Server, role: Role) -> None:
    """A request names a consumer in its body too, and the server changes one that is there already."""
    async with server.raw(role.name) as raw, server.raw("mintstream") as operator:
        for stream in role.follows:
            assert await raw.refused(f"$JS.API.CONSUMER.CREATE.{stream.name}")
            for consumer in (each for each in CONSUMERS if each.stream == stream.name):
                where = f"{stream.name}.{consumer.name}"
                before = await asked(operator, f"CONSUMER.INFO.{where}")
                for names in ({"name": consumer.name}, {"durable_name": consumer.name}):
                    body = {"stream_name": stream.name, "config": {"ack_policy": "explicit", **names}}
                    assert await raw.refused(f"$JS.API.CONSUMER.CREATE.{where}", json.dumps(body).encode())
                    made = await asked(raw, f"CONSUMER.CREATE.{stream.name}.mine", body)
                    assert "error" in made or made["name"] == "mine"  # by the subject, whatever the body says
                assert (await asked(operator, f"CONSUMER.INFO.{where}"))["config"] == before["config"]


async def asked(raw: Raw, what: str, body: object = None) -> dict[str, Any]:
    """What the JetStream API answers."""
    answer = await raw.client.request(f"$JS.API.{what}", b"" if body is None else json.dumps(body).encode(), timeout=30)
    return json.loads(answer.data)


async def test_the_notifier_makes_and_removes_the_queues_of_its_webhooks_and_no_other_consumer(server: Server) -> None:
    queue = Consumer(name="hook", stream="DELIVERY", filters=("delivery.queued.v1.>",), description="")
    async with Log.session(server.connection("notifier")) as notifier, server.raw("notifier") as raw:
        await notifier.keep(queue)
        assert "hook" in [each.name for each in await notifier.consumers(DELIVERY)]
        for taken in consumers_of(BY_NAME["notifier"])[:2]:  # how far it is with the events that it queues
            stream = next(each for each in STREAMS if each.name == taken.stream)
            assert taken.name in [each.name for each in await notifier.consumers(stream)]
        await tell_parked(notifier, SystemClock())
        assert await notifier.last_matching(DELIVERY, ParkedTold.pattern()) is not None
        assert await raw.refused("$JS.API.CONSUMER.DURABLE.CREATE.MINT.hook")
        assert await raw.refused("$JS.API.CONSUMER.DELETE.MINT.minter-mint")
        await notifier.remove(queue)
    async with server.raw("ipfs") as raw:
        assert await raw.refused("$JS.API.CONSUMER.DURABLE.CREATE.DELIVERY.hook")


async def test_the_gateway_sees_every_process_and_consumer(server: Server) -> None:
    clock = SystemClock()
    async with (
        Log.session(server.connection("gateway")) as gateway,
        Log.session(server.connection("ipfs")) as ipfs,
        Log.session(server.connection("mintstream")) as operator,
    ):
        pulse = asyncio.create_task(Pulse(ipfs, Health(clock), clock, "ipfs").run())
        try:
            async with asyncio.timeout(60):
                await anext(operator.read(HEALTH, 0))
        finally:
            await end([pulse])
        report = await System(gateway, MemoryProjection(MemoryLog()), clock).report()
    assert [process.report.service for process in report.processes] == ["ipfs"]
    assert [seen.name for seen in report.consumers if seen.standing is None] == []
    assert report.behind == {"MINT": 0, "COLLECTION": 0}


async def test_a_dead_letter_is_replayed_for_the_gateway_by_the_indexer(server: Server) -> None:
    """Of a stream that the indexer mends, and of one of which it may repeat requests alone."""
    async with (
        Log.session(server.connection("gateway")) as gateway,
        Log.session(server.connection("indexer")) as indexer,
    ):
        for stream, consumer, said in ((MINT, IPFS_MINT, REQUESTED), (CONTENT, IPFS_UPLOAD, UPLOAD_REQUESTED)):
            await gateway.publish(said, cause=None)
            await bury(server, consumer)
            letters = DeadLetters(gateway, SystemClock())
            (letter,) = (await letters.page(settled=False, after=0, limit=10)).letters
            replaying = Replaying(indexer)
            working = asyncio.create_task(indexer.consume(INDEXER_DEAD, replaying.on_replay_requested, concurrency=1))
            try:
                settled = await letters.replay(letter.number, ADMIN)
            finally:
                await end([working])
            assert (settled.outcome, settled.caller) == ("replayed", ADMIN.name)
            assert settled.said_at == await gateway.last_sequence(stream) > letter.fact.stream_sequence
            assert [each.pending for each in await gateway.consumers(stream) if each.name == consumer.name] == [1]
            await bury(server, consumer)
            (again,) = (await letters.page(settled=False, after=0, limit=10)).letters
            assert (await letters.drop(again.number, ADMIN)).outcome == "dropped"


async def bury(server: Server, consumer: Consumer) -> None:
    """Have the ipfs service give up on the next message of a consumer of its own."""
    async with Log.session(server.connection("ipfs")) as own:

        async def give_up(message: Message[Any]) -> None:
            own.drain()
            raise InvalidEvent("not yet")

        async with asyncio.timeout(60):
            await own.consume(consumer, give_up, concurrency=1)


async def test_the_services_do_with_the_log_what_they_have_to(server: Server) -> None:
    async with (
        Log.session(server.connection("gateway")) as gateway,
        Log.session(server.connection("ipfs")) as ipfs,
        Log.session(server.connection("minter")) as minter,
        Log.session(server.connection("indexer")) as indexer,
    ):
        for log in (gateway, ipfs, minter, indexer):
            await log.declare()  # looks only
            await log.ping()
        await (await gateway.uploads(UPLOADS)).put(DIGEST, DATA)
        await gateway.publish(REQUESTED, cause=None)
        stored = await ipfs.uploads(UPLOADS)
        assert await stored.get(DIGEST) == DATA
        await stored.delete(DIGEST)
        await stored.put(DIGEST, DATA)  # as it does for what is about to be removed
        await stored.delete(DIGEST)
        await ipfs.publish(PINNED, cause=None)
        taken: list[Message[Any]] = []

        async def take(message: Message[Any]) -> None:
            taken.append(message)
            minter.drain()

        async with asyncio.timeout(60):
            await minter.consume(MINTER_MINT, take, concurrency=1)
            read = [await anext(indexer.read(MINT, after)) for after in (0, 1)]
        assert [message.data for message in taken] == [PINNED]
        await indexer.repair().append(MINT, read[1], exactly=False)
        await indexer.repair().renew([MINTER_MINT])
        assert await gateway.last_sequence(MINT) == await indexer.last_sequence(MINT) == 2
