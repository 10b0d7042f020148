"""The whole stack under load: a steady one, a spike, a drop in a minute and in an hour, and more workers of a service.

    python -m tests.bench.load [--cluster null|local] [--nfts 10000] [--full] [--only load,scaling]

Every service, NATS, Postgres, the cluster and the pinning endpoint are processes of this machine, as is the bench. The
hour is a slice of it by default: its rate, for `--slice` of its 3,600 seconds; `--full` takes the hour. Writes sections
of docs/benchmarks.md. Not done here: driving (`driving`), and what more workers bring (`scaling`).
"""

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.driving import Driven, Due, Holdings, Sample, deepest, driven, evenly, holdings, later, merged
from tests.bench.http_load import percentile
from tests.bench.report import DOCUMENT, Section, Table
from tests.bench.scaling import scaling
from tests.bench.stage import NULL_COLLECTION, Stage, staged, staged_on_nothing

COMMAND: Final = "make bench-load"
HOUR: Final = 3600.0
REQUEST_NFTS: Final = 10
STEADY_RATE: Final = 20.0
"""NFTs a second."""
STEADY_SECONDS: Final = 30.0
SPIKE_NFTS: Final = 1000
SPIKE_AT: Final = 5.0
SPIKE_SECONDS: Final = 20.0
LARGEST_REQUEST: Final = 1000
LONE_NFTS: Final = 10
LONE_SECONDS: Final = 10.0
"""In which so many single mints are asked for, from a second after a drop on."""
WARM_UP: Final = 50
"""NFTs before anything is measured."""
TREES: Final = 4
ROWS: Final = 6
"""Looks at the queues that are told of each load."""
PROCESSES: Final = ("gateway", "ipfs", "minter", "indexer", "notifier", "nats", "postgres", "pinning")
MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Scenario:
    """A load and its name."""

    name: str
    load: Sequence[Due]


def scenarios(nfts: int, *, slice_of: float, full: bool) -> list[Scenario]:
    """Return the loads; `nfts` is the size of a drop, `slice_of` the part of the hour that is taken."""
    steady = evenly(round(STEADY_RATE * STEADY_SECONDS), size=REQUEST_NFTS, seconds=STEADY_SECONDS)
    ground = evenly(round(STEADY_RATE * SPIKE_SECONDS), size=REQUEST_NFTS, seconds=SPIKE_SECONDS)
    spike = later(evenly(SPIKE_NFTS, size=REQUEST_NFTS, seconds=0.0), SPIKE_AT)
    drop = evenly(nfts, size=LARGEST_REQUEST, seconds=0.0)
    behind = merged(drop, later(evenly(LONE_NFTS, size=1, seconds=LONE_SECONDS), 1.0))
    part = 1.0 if full else slice_of
    hour = evenly(max(1, round(nfts * part)), size=1, seconds=HOUR * part)
    name = "a drop in an hour" if full else f"{HOUR * part:.0f} s of a drop in an hour"
    return [
        Scenario("steady", steady),
        Scenario(f"spike of {SPIKE_NFTS:,} onto it", merged(ground, spike)),
        Scenario("a drop in a minute", evenly(nfts, size=REQUEST_NFTS, seconds=60.0)),
        Scenario("single mints behind a drop at once", behind),
        Scenario(name, hour),
    ]


def staged_as(cluster: str) -> AbstractAsyncContextManager[Stage]:
    """Return the stack on the cluster that was asked for."""
    return staged() if cluster == "local" else staged_on_nothing(TREES)


async def collection_on(stage: Stage, cluster: str) -> str:
    """Return a collection to mint into."""
    return str((await stage.collection("v2", TREES))["id"]) if cluster == "local" else str(NULL_COLLECTION)


async def loads(options: argparse.Namespace) -> Section:
    """Drive every scenario on one stack, one after another; return what is to be told."""
    wanted = scenarios(options.nfts, slice_of=options.slice, full=options.full)
    section = Section("Load", COMMAND)
    table = Table(
        ("load", "NFTs", "requests", "over", "all confirmed after", "NFTs/s", "post p50, p99", "confirmed p50, p99")
    )
    found: list[tuple[Scenario, Driven]] = []
    async with staged_as(options.cluster) as stage:
        collection = await collection_on(stage, options.cluster)
        await driven(stage, collection, evenly(WARM_UP, size=REQUEST_NFTS, seconds=1.0))
        before = holdings(stage.pids())
        for scenario in wanted:
            run = await driven(stage, collection, scenario.load)
            found.append((scenario, run))
            table.add(*_row(scenario, run))
        after = holdings(stage.pids())
    section.say(_said(options))
    section.show(table)
    _tell_lone(section, found)
    _tell_queues(section, found)
    _tell_processor(section, found)
    _tell_holdings(section, before, after)
    return section


def _said(options: argparse.Namespace) -> str:
    cluster = "the local cluster, slots of 400 ms" if options.cluster == "local" else "the null cluster"
    return (
        f"On {cluster}, {TREES} V2 trees, images published already, metadata pinned as a file for each NFT; requests "
        f"of {REQUEST_NFTS} NFTs, those of the hour of 1, of a drop at once of {LARGEST_REQUEST:,}. Load is open: "
        "what is due is posted, and an NFT's time counts from when its request was due to the storing of its "
        "`confirmed`. Everything, the bench too, shares these cores."
    )


def _row(scenario: Scenario, run: Driven) -> tuple[str, ...]:
    p50, p99 = (percentile(run.posts, each) * 1000 for each in (50, 99))
    confirmed = tuple(percentile(run.waits, each) for each in (50, 99))
    return (
        scenario.name,
        f"{run.nfts:,}",
        f"{run.requests:,}",
        f"{scenario.load[-1].at:.0f} s",
        f"{run.seconds:.1f} s",
        f"{run.rate:.1f}",
        f"{p50:.0f}, {p99:.0f} ms",
        f"{confirmed[0]:.2f}, {confirmed[1]:.2f} s",
    )


def _tell_lone(section: Section, found: Sequence[tuple[Scenario, Driven]]) -> None:
    section.say(
        "How long single mints take, those that are asked for after a drop of which the most is still to come too:"
    )
    table = Table(("load", "single mints", "confirmed p50, longest"))
    for scenario, run in found:
        if run.lone:
            waits = f"{percentile(run.lone, 50):.2f}, {max(run.lone):.2f} s"
            table.add(scenario.name, str(len(run.lone)), waits)
    section.show(table)


def _tell_queues(section: Section, found: Sequence[tuple[Scenario, Driven]]) -> None:
    section.say(
        "What waited: requests that ipfs has not ended, chunks that the minter has not ended, messages that are not in "
        "the tables; the last row of each load is the deepest that any look (one a second) saw."
    )
    table = Table(("load", "after", "NFTs due", "confirmed", "for ipfs", "for the minter", "for the indexer"))
    for scenario, run in found:
        for each in spread(run.samples, ROWS):
            due = sum(request.nfts for request in scenario.load if request.at <= each.at)
            waiting = (str(each.ipfs), str(each.minter), str(each.indexer))
            table.add(scenario.name, f"{each.at:.0f} s", f"{due:,}", f"{each.confirmed:,}", *waiting)
        most = deepest(run.samples)
        table.add(scenario.name, "deepest", "", "", *(str(most[name]) for name in ("ipfs", "minter", "indexer")))
    section.show(table)


def _tell_processor(section: Section, found: Sequence[tuple[Scenario, Driven]]) -> None:
    section.say("Milliseconds of processor an NFT; at low rates most of it is what processes take while they wait:")
    table = Table(("load", *PROCESSES, "all"))
    for scenario, run in found:
        taken = run.processor
        cells = (f"{taken.get(name, 0.0):.2f}" for name in PROCESSES)
        table.add(scenario.name, *cells, f"{sum(taken.values()):.2f}")
    section.show(table)


def _tell_holdings(section: Section, before: Mapping[str, Holdings], after: Mapping[str, Holdings]) -> None:
    section.say(
        "Resident memory and open files after the warm-up and after all of the above, of Postgres its first process's:"
    )
    table = Table(("process", "MiB before", "MiB after", "files before", "files after"))
    for name in PROCESSES:
        then, now = before[name], after[name]
        table.add(name, f"{then.memory / MIB:.0f}", f"{now.memory / MIB:.0f}", str(then.files), str(now.files))
    section.show(table)


def spread(samples: Sequence[Sample], most: int) -> list[Sample]:
    """Return so many of the samples at the most, spread evenly, the first and the last among them."""
    if len(samples) <= most:
        return list(samples)
    step = (len(samples) - 1) / (most - 1)
    return [samples[round(number * step)] for number in range(most)]


PARTS: Final = ("load", "scaling")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", choices=("null", "local"), default="null", help="for the loads")
    parser.add_argument("--nfts", type=int, default=10_000, help="NFTs of a drop")
    parser.add_argument("--slice", type=float, default=1 / 120, help="part of the hour that is taken")
    parser.add_argument("--full", action="store_true", help="take the whole hour")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="of the service that is scaled")
    parser.add_argument("--scaled", type=int, default=600, help="NFTs of each run with more workers")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--document", type=Path, default=DOCUMENT, help="where the sections go")
    options = parser.parse_args(arguments)
    if "load" in options.only:
        asyncio.run(loads(options)).write(options.document)
    if "scaling" in options.only:
        asyncio.run(scaling(COMMAND, options.workers, options.scaled)).write(options.document)


if __name__ == "__main__":
    main()
