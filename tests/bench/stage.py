"""What the minting benches run on: a whole stack of processes, its log as a spectator sees it, requests to its gateway.

Not done here: deciding what to measure, and telling it (`report.py`).
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID

import msgspec
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from chassis.log import RawMessage
from chassis.messaging import Connection, Log
from contracts import registry
from contracts.collection import CollectionCreated, CollectionTableCreated, CollectionTreeAdded, Standard, TreeShape
from contracts.fact import Fact, Producer
from contracts.mint import Completed, Confirmed, Failed, Finalized, PinFailed
from contracts.streams import MINT
from localnet.child import Child, ChildSpec, minimal_environ, ports_file_ready, running
from localnet.secret_files import SecretFiles, read_secret
from localnet.stack import Stack, StackSettings
from mintstream.api import GatewayClient
from services.minter.plan import table_addresses
from tests.bench.null_cluster import NullPlan
from tests.bench.usage import Usage, spent, usages
from tests.support.samples import SIGNATURE
from tests.support.stack import URI, stack_ports

OPERATION_ITEMS: Final = 1000
"""Most NFTs of one request."""
BATCH_SIZE: Final = 100
DEPTH: Final = 14
RECIPIENT: Final = "CktRuQ2mttgRGkXJtyksdKHjUdc2C4TgDzyB98oEzy8"
ROOT: Final = Path(__file__).resolve().parents[2]
NULL_COLLECTION: Final = UUID("0199b0a0-0000-7000-8000-00000000000f")
PRODUCER: Final = Producer(name="bench", version="0")


@dataclass(slots=True)
class Story:
    """What the log said while something was minted."""

    leaves: int = 0
    transactions: int = 0
    fees: int = 0
    """Lamports."""
    confirmed_at: float = 0.0
    """When the newest confirmation was stored; seconds since the epoch."""
    messages: Counter[str] = field(default_factory=Counter[str])
    """By type."""
    size: int = 0
    """Bytes of all messages' payloads and subjects."""

    def take(self, raw: RawMessage) -> Fact | None:
        """Take one message in; return its fact when it is one of those that end something."""
        kind = ".".join(raw.subject.split(".")[:3])
        self.messages[kind] += 1
        self.size += len(raw.payload) + len(raw.subject)
        if kind == Confirmed.type():
            confirmed = registry.decode(raw.subject, raw.payload).data
            assert isinstance(confirmed, Confirmed)
            self.leaves += len(confirmed.leaves)
            self.transactions += 1
            self.fees += confirmed.fee
            self.confirmed_at = max(self.confirmed_at, raw.stored_at.timestamp())
        elif kind in (Failed.type(), PinFailed.type()):
            raise SystemExit(f"an item failed: {raw.payload.decode()}")
        return None


@dataclass(frozen=True, slots=True)
class Run:
    """One mint of many NFTs: how long until the last was confirmed, what the log said, what processes took."""

    mints: int
    seconds: float
    """From the first request to the last `confirmed`."""
    story: Story
    before: Mapping[str, Usage]
    after: Mapping[str, Usage]

    @property
    def taken(self) -> Mapping[str, float]:
        """Seconds of processor by process."""
        return spent(self.before, self.after)

    @property
    def rate(self) -> float:
        """NFTs a second."""
        return self.mints / self.seconds


@dataclass(frozen=True, slots=True)
class Stage:
    """A running stack and the connections to it."""

    stack: Stack
    api: GatewayClient
    log: Log
    simulator: Child | None = None
    """What stands in the place of the cluster."""

    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        found = {name: self.stack.pid(name) for name in self.stack.names}
        if self.simulator is not None:
            found["simulator"] = self.simulator.pid
        return {name: pid for name, pid in found.items() if pid is not None}

    def usages(self) -> dict[str, Usage]:
        """What each process has taken until now, the bench's own among them."""
        return {**usages(self.pids()), "bench": Usage(time.process_time(), 0)}

    async def collection(self, standard: str, trees: int = 1) -> dict[str, Any]:
        """Make a collection through the API."""
        fields: dict[str, Any] = {"trees": trees} if trees > 1 else {}
        made = await self.api.create_collection(
            name="Bench", symbol="BENCH", standard=standard, tree={"maxDepth": DEPTH}, **fields
        )
        return await self.api.wait_for_collection(made, within=120)

    async def mint(self, collection: str, recipient: str, count: int) -> Run:
        """Mint NFTs, images published already, and wait until everything is confirmed and each operation completed."""
        after = await self.log.last_sequence(MINT)
        before = self.usages()
        began = time.time()
        operations = [
            await self._ask(collection, recipient, range(start, min(start + OPERATION_ITEMS, count)), after)
            for start in range(0, count, OPERATION_ITEMS)
        ]
        story = await self.until(after, leaves=count, completed=len(operations))
        return Run(count, story.confirmed_at - began, story, before, self.usages())

    async def _ask(self, collection: str, recipient: str, numbers: range, run: int) -> str:
        nfts = [{"name": f"Bench {run} #{number}", "image": URI} for number in numbers]
        asked = await self.api.mint_batch(collection, recipient, nfts, batch_size=BATCH_SIZE)
        return str(asked["transactionId"])

    async def until(self, after: int, *, leaves: int = 0, completed: int = 0, final: int = 0) -> Story:
        """Read the log from a sequence on until so much has happened; return what it said."""
        story = Story()
        async with aclosing(cast("AsyncGenerator[RawMessage]", self.log.read(MINT, after))) as messages:
            async for raw in messages:
                story.take(raw)
                if (
                    story.leaves >= leaves
                    and story.messages[Completed.type()] >= completed
                    and story.messages[Finalized.type()] >= final
                ):
                    return story
        raise AssertionError("the log ended")


@asynccontextmanager
async def staged(*, slot_ms: int = 400, sync_interval: str = "2m", **environ: str) -> AsyncGenerator[Stage]:
    """Run the embedded stack with its local cluster, every service a process; `environ` goes to the services."""
    with tempfile.TemporaryDirectory() as directory:
        settings = StackSettings(
            data_dir=Path(directory),
            ports=stack_ports(),
            slot_ms=slot_ms,
            sync_interval=sync_interval,
            service_environ=environ,
            log_level="warning",
            quiet=True,
        )
        async with _connected(settings) as stage:
            yield stage


@asynccontextmanager
async def staged_on_nothing(trees: int = 4, *, sync_interval: str = "2m", **environ: str) -> AsyncGenerator[Stage]:
    """Run the stack on the null cluster, with NULL_COLLECTION on the log as if it had been made there."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        wallet = Keypair.from_base58_string(read_secret(SecretFiles.ensure(directory / "secrets").wallet_key))
        facts, plan = _null_collection(wallet.pubkey(), trees)
        async with running(_null_spec(directory, plan)) as null:
            settings = StackSettings(
                data_dir=directory,
                ports=stack_ports(),
                external_rpc_url=null.addresses["rpc"],
                sync_interval=sync_interval,
                service_environ=environ,
                log_level="warning",
                quiet=True,
            )
            async with _connected(settings, null) as stage:
                for fact in facts:
                    await stage.log.publish(fact, cause=None)
                yield stage


@asynccontextmanager
async def _connected(settings: StackSettings, simulator: Child | None = None) -> AsyncGenerator[Stage]:
    async with (
        Stack(settings) as stack,
        GatewayClient(stack.api_url, stack.api_key, timeout=120) as api,
        Log.session(Connection(servers=(stack.nats_url,), producer=PRODUCER)) as log,
    ):
        yield Stage(stack, api, log, simulator)


def _null_collection(wallet: Pubkey, count: int) -> tuple[Sequence[Fact], NullPlan]:
    address = Keypair().pubkey()
    trees = [Keypair().pubkey() for _ in range(count)]
    tables = {Keypair().pubkey(): table_addresses(Standard.V2, address, tree, wallet) for tree in trees}
    shape = TreeShape(max_depth=DEPTH)
    created = CollectionCreated(
        collection=NULL_COLLECTION,
        name="Null",
        symbol="NULL",
        standard=Standard.V2,
        uri=URI,
        collection_address=str(address),
        tree_address=str(trees[0]),
        creator_address=str(wallet),
        tree=shape,
        signatures=(SIGNATURE,),
        slot=1,
        fee=0,
    )
    added = [
        CollectionTreeAdded(
            collection=NULL_COLLECTION, number=number, tree_address=str(tree), tree=shape, signature=SIGNATURE, slot=1
        )
        for number, tree in enumerate(trees)
        if number
    ]
    made = [
        CollectionTableCreated(
            collection=NULL_COLLECTION,
            number=number,
            tree_address=str(tree),
            table_address=str(table),
            addresses=tuple(map(str, held)),
            signature=SIGNATURE,
            slot=1,
        )
        for number, (tree, (table, held)) in enumerate(zip(trees, tables.items(), strict=True))
    ]
    plan = NullPlan(
        trees=tuple(map(str, trees)),
        depth=DEPTH,
        tables={str(table): tuple(map(str, held)) for table, held in tables.items()},
    )
    return [created, *added, *made], plan


def _null_spec(directory: Path, plan: NullPlan) -> ChildSpec:
    told = directory / "null.json"
    told.write_bytes(msgspec.json.encode(plan))
    return bench_process(directory, "null", "tests.bench.null_cluster", str(told))


def bench_process(directory: Path, name: str, module: str, *arguments: str) -> ChildSpec:
    """How to run one of the benches' own servers; it writes its address into the file that its last argument names."""
    ports_file = directory / f"{name}-ports.json"
    return ChildSpec(
        name=name,
        command=(sys.executable, "-m", module, *arguments, str(ports_file)),
        log_file=directory / f"{name}.log",
        ready=ports_file_ready(ports_file),
        environ=minimal_environ(PYTHONPATH=str(ROOT)),
    )
