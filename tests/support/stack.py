"""The whole embedded stack for the end-to-end and chaos tests, with the ways in that they share.

`live_stack` starts one; a `LiveStack` asks it for things as a caller does, and reads its log, its tables and its chain
as a sceptic does. Waiting is always for a state, never for a time; `PATIENCE` only ends a test that hangs.
"""

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

import httpx
from solders.keypair import Keypair

from audit.chain import ChainVerifier
from chassis.database import Connection as DatabaseConnection
from chassis.database import connect
from chassis.log import Message, RawMessage
from chassis.messaging import Connection, Log
from contracts import registry
from contracts.fact import Fact, Producer
from contracts.mint import Confirmed, Finalized
from contracts.streams import DEAD, MINT, Stream
from localnet.addresses import StackPorts
from localnet.child import ChildSpec
from localnet.linux import port_is_free
from localnet.stack import Stack, StackSettings
from localnet.stack_specs import stack_stages
from mintstream.api import SETTLED, GatewayClient
from mintstream.errors import ApiError
from tests.support.tables import Dump, dump

IMAGES = sorted((Path(__file__).resolve().parents[2] / "examples" / "drop").glob("*.png"))
URI = "ipfs://bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"
PATIENCE = 120.0
"""Seconds after which a test gives up hope; far more than anything takes."""
PAUSE = 0.05

T = TypeVar("T")
F = TypeVar("F", bound=Fact)
Json = dict[str, Any]


def stack_ports() -> StackPorts:
    """Free ports below those that the system gives to outgoing connections, so that nobody takes one in between."""
    numbers = random.SystemRandom()
    while True:
        base = numbers.randrange(10_000, 32_000, 8)
        if all(port_is_free(base + offset) for offset in range(7)):
            return StackPorts(
                api=base,
                rpc=base + 1,  # its WebSocket is base + 2
                nats=base + 3,
                nats_monitor=base + 4,
                postgres=base + 5,
                ipfs=base + 6,
            )


def another(stack: Stack, name: str, directory: Path, **changed: Any) -> ChildSpec:
    """One more process of a service beside the stack's own, with a log and a ports file of its own."""
    stages = stack_stages(replace(stack.plan, data_dir=directory, **changed))
    return next(spec for stage in stages for spec in stage if spec.name == name)


def stack_settings(
    directory: Path, *, slot_ms: int = 100, service_environ: Mapping[str, str] | None = None
) -> StackSettings:
    """A quiet stack that need not survive a loss of power."""
    return StackSettings(
        data_dir=directory,
        ports=stack_ports(),
        slot_ms=slot_ms,
        fast_postgres=True,
        quiet=True,
        service_environ=service_environ or {},
    )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A mint that was asked for."""

    operation: UUID
    collection: Json
    recipient: str
    names: tuple[str, ...]
    """Of every item, copies expanded."""
    after: int
    """MINT's last sequence before."""

    @property
    def count(self) -> int:
        """How many assets there should be."""
        return len(self.names)

    @property
    def tree(self) -> str:
        """The collection's tree."""
        return self.collection["treeAddress"]


@dataclass(frozen=True)
class LiveStack:
    """A running stack and the connections to it."""

    stack: Stack
    api: GatewayClient
    http: httpx.AsyncClient
    """The gateway, with the key; for requests that no thin client would send."""
    chain: ChainVerifier
    log: Log

    # Asking ----------------------------------------------------------------------------------------------------

    async def collection(self, standard: str = "v2", **fields: Any) -> Json:
        """A new collection that is on chain."""
        created = await self.api.create_collection(
            None, name=f"Tents {standard}", symbol="TENT", standard=standard, **fields
        )
        return await self.api.wait_for_collection(created, within=PATIENCE)

    async def ask(
        self, collection: Json, count: int, *, files: bool = False, batch_size: int = 5, **fields: Any
    ) -> Asked:
        """Ask for a batch for a new recipient: images as files, or one that is published already."""
        recipient = str(Keypair().pubkey())
        names = tuple(f"Tent #{number}" for number in range(1, count + 1))
        after = await self.log.last_sequence(MINT)
        nfts = [{"name": name} if files else {"name": name, "image": URI} for name in names]
        images = [IMAGES[position % len(IMAGES)] for position in range(count)] if files else []
        accepted = await self.api.mint_batch(collection["id"], recipient, nfts, images, batch_size=batch_size, **fields)
        return Asked(
            operation=UUID(accepted["transactionId"]),
            collection=collection,
            recipient=recipient,
            names=names,
            after=after,
        )

    async def settled(self, operation: UUID) -> Json:
        """The operation's status once it has ended, whatever dies meanwhile; the gateway may be away for a while."""

        async def look() -> Json | None:
            try:
                status = await self.api.status(str(operation))
            except ApiError as error:
                if error.status not in (0, 503):
                    raise
                return None
            return status if status["status"] in SETTLED else None

        return await eventually(look, f"operation {operation} ends")

    async def rpc(self, method: str, *params: object) -> Any:
        """The cluster's answer, at any commitment that `params` name."""
        async with httpx.AsyncClient(timeout=30.0) as client:
            body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            answer = (await client.post(self.stack.rpc_url, json=body)).json()
        assert "error" not in answer, answer
        return answer["result"]

    # The log ---------------------------------------------------------------------------------------------------

    async def events(self, stream: Stream = MINT, after: int = 0) -> list[Message[Any]]:
        """Every event of `stream` beyond `after`, as of now."""
        return [message_of(raw) for raw in await self.raw_events(stream, after)]

    async def raw_events(self, stream: Stream = MINT, after: int = 0, up_to: int | None = None) -> list[RawMessage]:
        """The same as bytes; up to sequence `up_to`, by default all there are now."""
        last = await self.log.last_sequence(stream) if up_to is None else up_to
        found: list[RawMessage] = []
        if last > after:
            async with aclosing(cast("AsyncGenerator[RawMessage]", self.log.read(stream, after))) as messages:
                async for raw in messages:
                    found.append(raw)
                    if raw.sequence >= last:
                        break
        return found

    async def first(self, kind: type[F], asked: Asked) -> Message[F]:
        """The operation's first fact of a kind, as soon as it is on the log."""
        return (await self.first_of(kind, asked, 1))[0]

    async def first_of(self, kind: type[F], asked: Asked, count: int) -> list[Message[F]]:
        """The operation's first `count` facts of a kind, as soon as they are on the log."""
        prefix = f"{kind.type()}.{asked.operation}"
        found: list[Message[F]] = []
        async with (
            asyncio.timeout(PATIENCE),
            aclosing(cast("AsyncGenerator[RawMessage]", self.log.read(MINT, asked.after))) as messages,
        ):
            async for raw in messages:
                if raw.subject.startswith(prefix):
                    found.append(message_of(raw))
                    if len(found) == count:
                        break
        return found

    async def confirmed(self, asked: Asked) -> list[Message[Confirmed]]:
        """The newest confirmation of every transaction, once they hold all of the operation's items."""

        async def look() -> list[Message[Confirmed]] | None:
            newest: dict[str, Message[Confirmed]] = {}
            for message in await self.events(MINT, asked.after):
                if isinstance(message.data, Confirmed) and message.data.operation == asked.operation:
                    newest[message.subject] = message
            found = list(newest.values())
            return found if sum(len(message.data.leaves) for message in found) == asked.count else None

        return await eventually(look, "every item is confirmed")

    async def finalized(self, asked: Asked) -> list[Message[Finalized]]:
        """The operation's `finalized` facts, once every transaction that holds an item has one."""
        wanted = len(await self.confirmed(asked))
        return await self.first_of(Finalized, asked, wanted)

    async def leaves_on_log(self, tree: str) -> int:
        """How many leaves of `tree` the log holds: those of every transaction's newest confirmation."""
        newest = {
            message.subject: message.data
            for message in await self.events(MINT)
            if isinstance(message.data, Confirmed) and message.data.tree == tree
        }
        return sum(len(confirmed.leaves) for confirmed in newest.values())

    async def dead_letters(self) -> list[Message[Any]]:
        """What any consumer gave up on."""
        return await self.events(DEAD)

    # The tables ------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def database(self) -> AsyncGenerator[DatabaseConnection]:
        """The projection's database, as the owner of the tables."""
        connection = await connect(self.stack.database_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def tables(self) -> Dump:
        """Every row, as of one moment."""
        async with self.database() as connection, connection.transaction(isolation="repeatable_read"):
            return await dump(connection)

    # Faults ----------------------------------------------------------------------------------------------------

    async def faults(self, **faults: object) -> None:
        """Put the cluster's faults in force, in the names of `localnet_setFaults`; none ends them."""
        await self.rpc("localnet_setFaults", faults)


@asynccontextmanager
async def live_stack(settings: StackSettings) -> AsyncGenerator[LiveStack]:
    """A running stack, everything connected; stopped at the end."""
    async with AsyncExitStack() as resources:
        stack = await resources.enter_async_context(Stack(settings))
        connection = Connection((stack.nats_url,), Producer(name="test", version="test"))
        yield LiveStack(
            stack=stack,
            api=await resources.enter_async_context(GatewayClient(stack.api_url, stack.api_key)),
            http=await resources.enter_async_context(
                httpx.AsyncClient(base_url=stack.api_url, headers={"X-API-Key": stack.api_key}, timeout=30.0)
            ),
            chain=await resources.enter_async_context(ChainVerifier(stack.rpc_url)),
            log=await resources.enter_async_context(Log.session(connection)),
        )


async def eventually(look: Callable[[], Awaitable[T | None]], what: str) -> T:
    """What `look` returns once it is not None (or False). Raises AssertionError when hope is lost."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while asyncio.get_running_loop().time() < deadline:
        found = await look()
        if found is not None and found is not False:
            return found
        await asyncio.sleep(PAUSE)
    raise AssertionError(f"it never came that {what}")


def message_of(raw: RawMessage) -> Message[Any]:
    """The event in a raw message."""
    return Message(registry.decode(raw.subject, raw.payload), raw.subject, raw.sequence, raw.stored_at, raw.headers)


def facts(messages: Sequence[Message[Any]], kind: type[F]) -> list[F]:
    """The facts of one kind, in order."""
    return [message.data for message in messages if isinstance(message.data, kind)]


def descendants(pid: int) -> set[int]:
    """Every living process below `pid`."""
    import psutil

    return {child.pid for child in psutil.Process(pid).children(recursive=True)} - {os.getpid()}
