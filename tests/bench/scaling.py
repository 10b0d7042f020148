"""More workers of one service while all others stay at one: what that brings, what it costs, and what is next.

Used by `load`. On a machine whose cores are busy more workers cannot bring more NFTs a second, so what tells is the
processor that an NFT takes, how long processes waited for a core, what was delivered twice, and which publishes lost
their fence to another worker. Runs on the null cluster, which takes every transaction at once.
"""

import asyncio
import json
import os
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Final

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from contracts.streams import IPFS_MINT, MINT, MINTER_FIRST
from localnet.child import running
from localnet.linux import free_port
from mintstream.api import GatewayClient
from tests.bench.driving import Driven, driven, evenly
from tests.bench.report import Section, Table
from tests.bench.stage import NULL_COLLECTION, Stage, staged_on_nothing
from tests.support.stack import another

SCALED: Final = ("ipfs", "minter", "indexer", "gateway")
QUEUES: Final = {"ipfs": IPFS_MINT.name, "minter": MINTER_FIRST.name}
"""What workers of these services take turns at."""
REQUEST_NFTS: Final = 10
WARM_UP: Final = 50
"""NFTs for each worker before anything is counted."""
MORE: Final = {
    "indexer": "one leads, the others stand by: a second writer needs a stream of its own",
    "nats": "one leader of MINT: a second one needs a stream of its own",
    "postgres": "one primary",
}
"""What more of a kind cannot speed up as it is built; everything else of SHOWN works side by side."""
SHOWN: Final = ("gateway", "ipfs", "minter", "indexer", "nats", "postgres")


@dataclass(frozen=True, slots=True)
class Workers:
    """Every process of a service: the stack's own, and those beside it."""

    pids: Mapping[str, int]
    probes: Sequence[str]
    apis: Sequence[GatewayClient]


@asynccontextmanager
async def more_workers(stage: Stage, service: str, count: int) -> AsyncGenerator[Workers]:
    """Run `count` processes of a service, the stack's own among them."""
    plan = stage.stack.plan
    own = stage.stack.pid(service)
    assert own is not None, "the stack keeps it running"
    pids, apis = {f"{service} 1": own}, [stage.api]
    probes = [address] if (address := _probe(plan.ports_file(service))) else []
    async with AsyncExitStack() as resources:
        folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
        for number in range(2, count + 1):
            port = free_port() if service == "gateway" else plan.api_port
            spec = another(stage.stack, service, folder / str(number), api_port=port)
            child = await resources.enter_async_context(running(spec))
            assert child.pid is not None, "it is ready"
            pids[f"{service} {number}"] = child.pid
            if service == "gateway":
                api = GatewayClient(child.addresses["api"], stage.stack.api_key, timeout=120)
                apis.append(await resources.enter_async_context(api))
            else:
                probes.append(child.addresses["probe"])
        yield Workers(pids, probes, apis)


def _probe(ports_file: Path) -> str | None:
    return json.loads(ports_file.read_bytes()).get("probe")


@dataclass(frozen=True, slots=True)
class Scaled:
    """What a load came to with so many workers of a service."""

    service: str
    workers: int
    run: Driven
    machine: float
    """Cores that anything on the machine kept busy meanwhile: the stack, the bench, the null cluster, others."""
    waited: float
    """Milliseconds an NFT for which the service's processes were ready to run and had no core."""
    again: int
    """Deliveries of the service's queue beyond one for each message."""
    fenced: int
    """Publishes of the service that lost their compare-and-set."""

    @property
    def own(self) -> float:
        """Milliseconds of processor an NFT that the service took, all its workers together."""
        return sum(taken for name, taken in self.run.processor.items() if name.split(" ")[0] == self.service)

    @property
    def cores(self) -> float:
        """Cores that were busy with all processes."""
        return sum(self.run.processor.values()) / 1000 * self.run.rate


async def scaled(
    stage: Stage, collection: str, service: str, count: int, nfts: int, *, warm_up: int = WARM_UP
) -> Scaled:
    """Ask for everything at once with so many workers of the service, and return what came of it."""
    async with more_workers(stage, service, count) as workers:
        pids = {name: pid for name, pid in stage.pids().items() if name != service} | dict(workers.pids)
        # A worker's first work takes longer, as whatever starts does.
        first = evenly(count * warm_up, size=REQUEST_NFTS, seconds=0.0)
        await driven(stage, collection, first, apis=workers.apis)
        counted, waited = await counted_by(stage, workers), waits(workers.pids.values())
        load = evenly(nfts, size=REQUEST_NFTS, seconds=0.0)
        began, taken = time.monotonic(), machine_seconds()
        run = await driven(stage, collection, load, apis=workers.apis, pids=pids)
        machine = (machine_seconds() - taken) / (time.monotonic() - began)
        waited = waits(workers.pids.values()) - waited
        now = await counted_by(stage, workers) - counted
        # A request is one message for ipfs and one chunk, so one message, for the minter.
        again = now["deliveries"] - run.requests if service in QUEUES else 0
        return Scaled(service, count, run, machine, waited / nfts * 1000, again, now["fenced"])


async def counted_by(stage: Stage, workers: Workers) -> Counter[str]:
    """Return what the workers have counted, once nothing is in hand any more."""
    while any(  # noqa: ASYNC110  (a consumer has no event)
        each.pending + each.in_hand for each in await stage.log.consumers(MINT) if each.name in QUEUES.values()
    ):
        await asyncio.sleep(0.05)
    found: Counter[str] = Counter()
    async with httpx.AsyncClient() as client:
        for probe in workers.probes:
            found += counted((await client.get(f"{probe}/metrics")).text)
    return found


def counted(metrics: str) -> Counter[str]:
    """Read from Prometheus' text: `deliveries` of QUEUES however they ended, and `fenced` publishes."""
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == "mintstream_log_fenced_total":
                found["fenced"] += int(sample.value)
            elif sample.name == "mintstream_consumer_handled_total" and sample.labels["consumer"] in QUEUES.values():
                found["deliveries"] += int(sample.value)
    return found


def machine_seconds() -> float:
    """Return the seconds of processor that anything on this machine has taken since it began."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice  # guests are in user and nice too


def waits(pids: Iterable[int]) -> float:
    """Return the seconds for which threads of the processes were ready to run and waited for a core.

    Source: the second number of `/proc/<pid>/task/<tid>/schedstat`, in nanoseconds (the kernel's sched-stats.rst).
    """
    total = 0
    for pid in pids:
        for thread in psutil.Process(pid).threads():
            try:
                total += int(Path(f"/proc/{pid}/task/{thread.id}/schedstat").read_text().split()[1])
            except OSError:  # go on: the thread has ended, or the kernel keeps no such figures
                continue
    return total / 1e9


async def scaling(command: str, workers: Sequence[int], nfts: int) -> Section:
    """Measure every service with so many workers; return what is to be told."""
    section = Section("Scaling with replicas", command)
    table = Table(
        (
            *("service", "workers", "NFTs/s", "posts/s", "confirmed p50", "its ms an NFT", "all ms an NFT"),
            *("cores busy", "its wait for a core, ms an NFT", "delivered again", "fenced"),
        )
    )
    found: list[Scaled] = []
    async with staged_on_nothing() as stage:
        for service in SCALED:
            for count in sorted({1, *workers}):
                each = await scaled(stage, str(NULL_COLLECTION), service, count, nfts)
                found.append(each)
                table.add(*_row(each))
    section.say(
        f"{nfts} NFTs in requests of {REQUEST_NFTS}, all posted at once, on the null cluster; the workers of one "
        "service grow, everything else stays at one process. `its` figures are those of all workers of the service "
        "together. `delivered again` counts deliveries beyond one a message, `fenced` publishes of the service that "
        "found that somebody else had spoken first (those of gateways are not counted)."
    )
    section.show(table)
    alone = [each for each in found if each.workers == 1]
    shown = Table(("process", "ms an NFT", "NFTs/s a core", "more of it"))
    for row in ceilings(_typical(alone)):
        shown.add(*row)
    section.say(f"Where the next ceiling is, from the runs with one worker each. {_verdict(alone)}")
    section.show(shown)
    return section


def _row(each: Scaled) -> tuple[str, ...]:
    run = each.run
    ordered = sorted(run.waits)
    return (
        each.service,
        str(each.workers),
        f"{run.rate:.0f}",
        f"{run.requests / run.posted:.0f}",
        f"{ordered[len(ordered) // 2]:.2f} s",
        f"{each.own:.2f}",
        f"{sum(run.processor.values()):.2f}",
        f"{each.cores:.2f}",
        f"{each.waited:.2f}",
        str(each.again) if each.service in QUEUES else "-",
        str(each.fenced),
    )


def _typical(found: Sequence[Scaled]) -> Mapping[str, float]:
    """Return the mean milliseconds of processor an NFT by kind of process."""
    total: defaultdict[str, float] = defaultdict(float)
    for each in found:
        for name, taken in each.run.processor.items():
            total[name.split(" ")[0]] += taken / len(found)
    return total


def ceilings(processor: Mapping[str, float]) -> list[tuple[str, ...]]:
    """Return for each kind of process what one of them can carry at most, the lowest first.

    `processor` has milliseconds an NFT. A process of ours has one thread that works, so a core is its ceiling; NATS and
    Postgres spread over several.
    """
    rows: list[tuple[str, ...]] = []
    for name, taken in sorted(processor.items(), key=lambda each: -each[1]):
        if name in SHOWN and taken > 0:
            more = MORE.get(name, "any number, side by side")
            rows.append((name, f"{taken:.2f}", f"{1000 / taken:,.0f}", more))
    return rows


def _verdict(alone: Sequence[Scaled]) -> str:
    """Say what bounded the runs with one worker each, from their figures."""
    cores = os.cpu_count() or 1
    stack, machine = fmean(each.cores for each in alone), fmean(each.machine for each in alone)
    said = f"All processes of the stack kept {stack:.2f} of {cores} cores busy, all of the machine {machine:.2f}"
    if machine > 0.85 * cores:
        said += ": here the processor is the ceiling of everything, and more workers only share it"
    else:
        said += ": what bounds here is not the processor, but steps that wait for each other"
    lowest = next(iter(ceilings(_typical(alone))))
    return f"{said}. With cores enough, {lowest[0]} is the first to fill one, at {lowest[2]} NFTs a second."
