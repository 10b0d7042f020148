"""Accepted single mints a second, beside the least that it can cost and beside the source document's route.

    python -m tests.bench.bench_gateway [--seconds 10] [--connections 64] [--rounds 3]

In one run on one nats-server: the gateway, with a key, a collection and durable acknowledgement; a bare application
that only publishes to JetStream and waits for its acknowledgement (`bare_app.py`); the source document's Express route,
which acknowledges what lies in memory (`tests/js/express_route.mjs`, left out without Node.js). Then the first two with
`sync_interval: always`, on this machine's disk and with syncs held up as on a network disk, and the gateway at three
times what it took. Not a test: prints figures, and writes them to docs/benchmarks.md.
"""

import argparse
import asyncio
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from chassis.messaging import Connection, Log
from contracts.mint import Requested
from contracts.streams import MINT
from localnet.child import Child, ChildSpec, minimal_environ, ports_file_ready, running
from localnet.nats_server import NatsOptions, nats_spec
from tests.bench.gateway_steps import measured
from tests.bench.http_load import Outcome, closed_load, open_load, percentile, post
from tests.bench.report import Section, Table
from tests.bench.stage import PRODUCER, ROOT, bench_process
from tests.bench.usage import profiled, usage
from tests.integration.gateway.conftest import NO_DATABASE
from tests.integration.gateway.conftest import spec as gateway_spec
from tests.support.gateway import API_KEY, COLLECTION, RECIPIENT, URI, created
from tests.support.slow_disk import SYNCS, allowed, slow_disk

JS: Final = ROOT / "tests" / "js"
WARM_UP: Final = 1.0
"""Seconds of load that are not counted."""
OVERLOAD: Final = 3
NETWORK_DISK: Final = 0.002
"""Seconds that a sync takes longer: about what it takes on a cloud's network disk. strace holds it up."""
COMMAND: Final = "make bench-gateway"
HEADER: Final = ("server", "accepted/s", "p50 ms", "p99 ms", "ms of its processor a request", "of the bare app")

Requests = Callable[[str], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Contender:
    """A server that takes mints, and the requests that it is asked with."""

    name: str
    child: Child
    requests: Requests

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.child.addresses["api"]

    @property
    def pid(self) -> int:
        """Its process."""
        assert self.child.pid is not None, "it runs as long as its context is open"
        return self.child.pid


def mints(url: str) -> Iterator[bytes]:
    """Single mints, each another one, as the gateway and the source document's route take them."""
    for number in itertools.count():
        metadata = {"name": f"Bench #{number}", "description": "A tent at the lake", "image": URI}
        body = {"collectionId": str(COLLECTION), "recipient": RECIPIENT, "metadata": metadata}
        yield post(url, "/api/mint/single", body, **{"x-api-key": API_KEY})


@dataclass(frozen=True, slots=True)
class Arena:
    """A nats-server and the log on it."""

    nats: Child
    log: Log
    directory: Path

    @property
    def nats_url(self) -> str:
        """The server."""
        return self.nats.addresses["nats"]

    @property
    def nats_pid(self) -> int:
        """Its process."""
        assert self.nats.pid is not None, "it runs as long as the arena is open"
        return self.nats.pid

    @asynccontextmanager
    async def gateway(self) -> AsyncGenerator[Contender]:
        """The gateway as a process; the database is away, which minting does not need."""
        spec = gateway_spec(self.directory, self.nats_url, NO_DATABASE, RATE_LIMITS="false")
        async with running(spec) as child:
            yield Contender("gateway", child, mints)

    @asynccontextmanager
    async def bare(self) -> AsyncGenerator[Contender]:
        """The bare application."""
        async with running(bench_process(self.directory, "bare", "tests.bench.bare_app", self.nats_url)) as child:
            yield Contender("bare publish with acknowledgement", child, mints)

    @asynccontextmanager
    async def express(self) -> AsyncGenerator[Contender]:
        """The source document's route."""
        ports_file = self.directory / "express-ports.json"
        spec = ChildSpec(
            name="express",
            command=("node", str(JS / "express_route.mjs"), str(ports_file)),
            log_file=self.directory / "express.log",
            ready=ports_file_ready(ports_file),
            environ=minimal_environ(API_KEY=API_KEY),
        )
        async with running(spec) as child:
            yield Contender("source document's Express route, in memory", child, mints)


@asynccontextmanager
async def arena(sync_interval: str) -> AsyncGenerator[Arena]:
    """Run a nats-server with one collection on its log."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        options = NatsOptions(data_dir=directory / "nats", sync_interval=sync_interval)
        async with running(nats_spec(options)) as nats:
            connection = Connection(servers=(nats.addresses["nats"],), producer=PRODUCER, timeout=60)
            async with Log.session(connection) as log:
                await log.declare()
                await log.publish(created(COLLECTION), cause=None)
                yield Arena(nats, log, directory)


@dataclass(slots=True)
class Tally:
    """The rounds of one contender."""

    rates: list[float]
    latencies: list[float]
    processor: float = 0.0
    answers: int = 0

    @property
    def rate(self) -> float:
        """Accepted requests a second: the median of the rounds."""
        return percentile(self.rates, 50)

    def cells(self, base: float) -> tuple[str, ...]:
        """Figures for a table row; `base` is the rate to compare with."""
        return (
            f"{self.rate:.0f}",
            f"{percentile(self.latencies, 50) * 1000:.1f}",
            f"{percentile(self.latencies, 99) * 1000:.1f}",
            f"{self.processor / self.answers * 1000:.2f}",
            f"{self.rate / base:.0%}",
        )


async def compare(contenders: list[Contender], options: argparse.Namespace) -> list[Tally]:
    """Load each in turn, round after round, so that what else the machine does meets all of them."""
    tallies = [Tally([], []) for _ in contenders]
    for each in contenders:
        await load(each, options, WARM_UP)
    for _ in range(options.rounds):
        for each, tally in zip(contenders, tallies, strict=True):
            before = usage(each.pid).cpu
            outcome = await load(each, options, options.seconds / options.rounds)
            tally.processor += usage(each.pid).cpu - before
            tally.answers += outcome.statuses.total()
            tally.rates.append(outcome.rate)
            tally.latencies += outcome.latencies
    return tallies


async def load(contender: Contender, options: argparse.Namespace, seconds: float) -> Outcome:
    """Keep the contender busy; everything has to be accepted."""
    requests = contender.requests(contender.url)
    outcome = await closed_load(contender.url, requests, connections=options.connections, seconds=seconds)
    if set(outcome.statuses) != {200}:
        raise SystemExit(f"{contender.name} answered {dict(outcome.statuses)}")
    return outcome


async def throughput(options: argparse.Namespace) -> None:
    """Compare all of them: by default, with an fsync before each acknowledgement, and with one as of a network disk."""
    section = Section("The gateway", COMMAND)
    section.say(
        f"Single mints with a URI for an image, {options.connections} at a time, {options.seconds} s each in "
        f"{options.rounds} rounds by turns. The last column is the ratio to the bare application of the same setting."
    )
    costs: list[float] = []
    settings = [("2m", 0.0), ("always", 0.0), *([("always", NETWORK_DISK)] if allowed() else [])]
    for sync_interval, held_up in settings:
        async with arena(sync_interval) as stage, AsyncExitStack() as started:
            if held_up:
                await started.enter_async_context(slow_disk([stage.nats_pid], held_up, SYNCS))
            contenders = [
                await started.enter_async_context(stage.bare()),
                await started.enter_async_context(stage.gateway()),
            ]
            if sync_interval == "2m" and shutil.which("node") and (JS / "node_modules" / "express").exists():
                contenders.append(await started.enter_async_context(stage.express()))
            tallies = await compare(contenders, options)
            table = Table(HEADER)
            for each, tally in zip(contenders, tallies, strict=True):
                table.add(each.name, *tally.cells(tallies[0].rate))
            disk = f", a sync takes {held_up * 1000:.0f} ms longer" if held_up else ""
            section.say(f"### `sync_interval: {sync_interval}`{disk}")
            section.show(table)
            if sync_interval == "2m":
                section.say(await where_it_goes(contenders[1], options, stage.directory))
                costs = [tally.processor / tally.answers * 1e6 for tally in tallies[:2]]
        if sync_interval == "2m":  # with nobody else running
            await floor(section, *costs)
    section.write()


async def floor(section: Section, bare: float, gateway: float) -> None:
    """Show what the gateway's processor time is made of; `bare` and `gateway` are microseconds a request, measured."""
    found = await measured()
    application, _ = found.ways["a single mint"]
    around = application - sum(found.steps.values())
    table = Table(("part of a single mint", "us of the processor"))
    table.add("HTTP and one publish with its acknowledgement: all of the bare application", f"{bare:.0f}")
    for name, microseconds in found.steps.items():
        table.add(name, f"{microseconds:.1f}")
    table.add("what is around these: ids, trace, headers, patience, places, CORS", f"{around:.0f}")
    left = gateway - bare - application
    table.add("compare-and-set, the look at the collection, nine headers more, other programs", f"{left:.0f}")
    table.add("the gateway", f"{gateway:.0f}")
    section.say(
        "What that is made of. The first and the last row are the processes above; the rows between are the gateway's "
        "own code, timed alone in one process (the least of many rounds), and what is left."
    )
    section.show(table)
    section.say("The routes that are asked most, answered directly and by FastAPI, without HTTP, log and database:")
    table = Table(("request", "us of the processor", "by FastAPI", "times"))
    for name, (directly, by_framework) in found.ways.items():
        table.add(name, f"{directly:.0f}", f"{by_framework:.0f}", f"{by_framework / directly:.1f}")
    section.show(table)


async def where_it_goes(gateway: Contender, options: argparse.Namespace, directory: Path) -> str:
    """Return what the gateway was doing under load."""
    async with profiled({"gateway": gateway.pid}, directory) as profiles:
        await load(gateway, options, options.seconds / 2)
    if "gateway" not in profiles:
        return "No profile was taken: py-spy is not installed."
    return (
        f"Where the gateway's time goes (py-spy, share of samples, callees included): {profiles['gateway'].text(14)}."
    )


async def overload(options: argparse.Namespace) -> None:
    """Ask three times what the gateway takes; nothing that it accepted may be missing from the log."""
    section = Section("The gateway under overload", COMMAND)
    table = Table(("load", "asked/s", "accepted/s", "refused/s", "p50 ms", "p99 ms", "p99 ms of refusals"))
    async with arena("2m") as stage, stage.gateway() as gateway:
        await load(gateway, options, WARM_UP)
        capacity = (await load(gateway, options, options.seconds / 2)).rate
        for times in (0.5, OVERLOAD):
            after = await stage.log.last_sequence(MINT)
            outcome = await open_load(
                gateway.url,
                gateway.requests(gateway.url),
                rate=capacity * times,
                connections=options.crowd,
                seconds=options.seconds,
            )
            table.add(*overload_cells(f"{times} x capacity", capacity * times, outcome))
            lost = await missing(stage.log, after, outcome)
            if times == OVERLOAD:
                section.say(
                    f"Capacity {capacity:.0f}/s as measured just before with {options.connections} requests at a time; "
                    f"an open load over {options.crowd} connections "
                    f"for {options.seconds} s. Of {len(outcome.accepted)} accepted mints {lost} are missing from the "
                    f"log; {outcome.without_retry_after} of {len(outcome.shed)} refusals came without `Retry-After`; "
                    f"statuses: {dict(sorted(outcome.statuses.items()))}. Latency counts from when a request was due: "
                    f"what the {options.crowd} connections could not take at once waited for one of them."
                )
    section.show(table)
    section.write()


def overload_cells(name: str, asked: float, outcome: Outcome) -> tuple[str, ...]:
    """Return a row of figures."""
    return (
        name,
        f"{asked:.0f}",
        f"{outcome.rate:.0f}",
        f"{len(outcome.shed) / outcome.seconds:.0f}",
        f"{percentile(outcome.latencies, 50) * 1000:.0f}",
        f"{percentile(outcome.latencies, 99) * 1000:.0f}",
        f"{percentile(outcome.shed, 99) * 1000:.0f}" if outcome.shed else "-",
    )


async def missing(log: Log, after: int, outcome: Outcome) -> int:
    """Return how many accepted operations are not on the log."""
    accepted = {UUID(json.loads(body)["data"]["transactionId"]) for body in outcome.accepted}
    last = await log.last_sequence(MINT)
    async for raw in log.read(MINT, after):
        if raw.subject.startswith(Requested.type()):
            accepted.discard(UUID(raw.subject.split(".")[3]))
        if raw.sequence >= last:
            break
    return len(accepted)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=12, help="of load for each server")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--crowd", type=int, default=512, help="connections of the overload")
    parser.add_argument("--only", choices=("throughput", "overload"))
    options = parser.parse_args()
    for part in (throughput, overload):
        if options.only in (None, part.__name__):
            asyncio.run(part(options))


if __name__ == "__main__":
    main()
