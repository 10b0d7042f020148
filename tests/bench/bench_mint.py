"""NFTs a second from the gateway to `confirmed`, beside the source document's way and beside what the parts can do.

    python -m tests.bench.bench_mint [--counts 1000,10000] [--trees 1,2,4] [--only local,observed,single,null,log]

Five sections of docs/benchmarks.md, every service a process of its own:

- local: the local cluster, V1 and V2, by trees and NFTs. In the same run the official JavaScript client, one
  mintToCollectionV1 a transaction, sendAndConfirm, sequential and ten at a time (left out without Node.js), and the
  cluster alone, fed with transactions that were signed before.
- observed: what the indexer takes for an NFT while it is minted, and when it is read from the chain (`observed.py`).
- single: one mint after another, and how much longer it takes than the cluster's own confirmation.
- null: a simulator in the place of the cluster (`null_cluster.py`), which shows our own ceiling, with a profile.
- log: messages, bytes and fsyncs an NFT, with `sync_interval` by default and `always`, with atomic batches and without.

Not a test: prints figures as Markdown and writes them to docs/benchmarks.md.
"""

import argparse
import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from solders.keypair import Keypair

from contracts.streams import MINT
from localnet.secret_files import read_secret
from tests.bench.observed import observed
from tests.bench.presigned import one_by_one, presigned
from tests.bench.report import Section, Table
from tests.bench.stage import NULL_COLLECTION, RECIPIENT, ROOT, Run, Stage, staged, staged_on_nothing
from tests.bench.usage import FsyncCount, ceiling, processor_table, profiled, show_processor, usages
from tests.support.stack import URI

JS: Final = ROOT / "tests" / "js"
COMMAND: Final = "make bench-mint"
SERVICES: Final = ("gateway", "ipfs", "minter", "indexer")
MEASURED: Final = (*SERVICES, "notifier", "nats", "postgres", "pinning")
WARM_UP: Final = 200
"""NFTs that are minted before anything is measured."""


# The local cluster ----------------------------------------------------------------------------------------------


async def local(options: argparse.Namespace) -> None:
    """Throughput on the local cluster, with its peers."""
    section = Section("Minting on the local cluster", COMMAND)
    table = Table(
        (
            *("way", "NFTs", "seconds", "NFTs/s", "transactions an NFT", "lamports an NFT"),
            *("x sequential client", "of the cluster alone"),
        )
    )
    processor = processor_table("run", (*MEASURED, "cluster", "bench"))
    ceilings: list[str] = []
    ideals: dict[str, float] = {}
    memory = Table(("after", *(f"{name}, MiB" for name in SERVICES)))

    async def ours(stage: Stage, standard: str, trees: int, count: int, how: str = "") -> None:
        run = await _ours(stage, table, standard, trees, count, how, Beside(base, ideals[standard]))
        name = f"{standard.upper()}{how}, {count} NFTs, {trees} trees"
        show_processor(processor, name, run.taken, run.mints)
        ceilings.append(f"- {name}: {ceiling(run.taken, run.seconds, os.cpu_count() or 1)}")

    async with staged() as stage:
        base = await _peers(stage, table)
        for standard in ("v1", "v2"):
            ideals[standard] = await _cluster_alone(stage, table, standard, base)
            await ours(stage, standard, options.trees[-1], options.counts[0], ", a file for each NFT")
    async with staged(METADATA_LAYOUT="chunk") as stage:
        for standard in ("v1", "v2"):
            for trees in options.trees:
                await ours(stage, standard, trees, options.counts[0])
        for count in options.counts[1:]:  # minutes each
            for trees in options.trees if options.whole else options.trees[-1:]:
                await ours(stage, "v2", trees, count)
        peaks = usages({name: pid for name, pid in stage.pids().items() if name in SERVICES})
        memory.add(f"{max(options.counts)} NFTs a run", *(f"{peaks[name].peak / 2**20:.0f}" for name in SERVICES))
    section.say(
        "Slots of 400 ms, images published already, metadata pinned as one directory for 100 NFTs "
        "(`METADATA_LAYOUT=chunk`) where nothing else is said. Time counts from the first HTTP request to the last "
        "`confirmed` on the log. Lamports are fees; a leaf has no rent of its own. The indexer reads an NFT from the "
        "chain when it is final, 13 s later: its column has of that what fell into the run, its own or the last one's "
        "(`--only observed` tells it apart)."
    )
    section.show(table)
    section.say("Milliseconds of processor an NFT, by process, in these runs, and what bounded each:")
    section.show(processor)
    section.say("\n".join(ceilings))
    section.say("Peak resident memory of the services:")
    section.show(memory)
    section.write()


async def _peers(stage: Stage, table: Table) -> float:
    """Mint with the official client; return its sequential rate, 0 without Node.js."""
    if shutil.which("node") is None or not (JS / "node_modules").exists():
        table.add("official client: Node.js or tests/js/node_modules is missing", *("-" for _ in range(7)))
        return 0.0
    collection = await stage.collection("v1")
    base = 0.0
    for count, parallel in ((15, 1), (60, 10)):
        seconds = await _official(stage, collection, count, parallel)
        base = base or count / seconds
        ratio = f"{count / seconds / base:.1f}"
        name = f"official client, {parallel} at a time"
        table.add(name, str(count), f"{seconds:.1f}", f"{count / seconds:.1f}", "1.00", "5000", ratio, "-")
    return base


async def _official(stage: Stage, collection: Mapping[str, Any], count: int, parallel: int) -> float:
    where = [stage.stack.rpc_url, collection["treeAddress"], collection["collectionAddress"]]
    process = await asyncio.create_subprocess_exec(
        "node",
        "official_mints.mjs",
        *where,
        str(count),
        str(parallel),
        cwd=JS,
        env={**os.environ, "WALLET": read_secret(stage.stack.plan.secrets.wallet_key)},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    told = json.loads(output)
    if told["failed"]:
        raise SystemExit(f"{told['failed']} mints of the official client failed")
    return told["seconds"]


async def _cluster_alone(stage: Stage, table: Table, standard: str, base: float) -> float:
    ideal = await presigned(stage, _wallet(stage), await stage.collection(standard), 1000)
    table.add(
        f"the cluster alone, signed before, {standard.upper()}, 1 tree",
        str(ideal.mints),
        f"{ideal.seconds:.1f}",
        f"{ideal.rate:.1f}",
        f"{ideal.transactions / ideal.mints:.2f}",
        f"{5000 * ideal.transactions / ideal.mints:.0f}",
        _ratio(ideal.rate, base),
        "100%",
    )
    return ideal.rate


def _wallet(stage: Stage) -> Keypair:
    return Keypair.from_base58_string(read_secret(stage.stack.plan.secrets.wallet_key))


@dataclass(frozen=True, slots=True)
class Beside:
    """NFTs a second of those that ours are compared with, in the same run."""

    sequential: float
    cluster: float


async def _ours(stage: Stage, table: Table, standard: str, trees: int, count: int, how: str, beside: Beside) -> Run:
    collection = await stage.collection(standard, trees)
    run = await stage.mint(collection["id"], RECIPIENT, count)
    story = run.story
    if story.leaves != run.mints:
        raise SystemExit(f"{story.leaves} NFTs were minted, not {run.mints}")
    table.add(
        f"Mintstream {standard.upper()}{how}, {trees} tree{'s' * (trees > 1)}",
        str(run.mints),
        f"{run.seconds:.1f}",
        f"{run.rate:.1f}",
        f"{story.transactions / run.mints:.2f}",
        f"{story.fees / run.mints:.0f}",
        _ratio(run.rate, beside.sequential),
        f"{run.rate / beside.cluster:.0%}",
    )
    return run


def _ratio(rate: float, base: float) -> str:
    return f"{rate / base:.1f}" if base else "-"


# One mint -------------------------------------------------------------------------------------------------------


async def single(options: argparse.Namespace) -> None:
    """The latency of single mints, beside the cluster's own."""
    section = Section("One mint", COMMAND)
    table = Table(("way", "mints", "median ms", "slowest ms"))
    async with staged() as stage:
        collection = await stage.collection("v2")
        ours = [await _single(stage, collection["id"], number) for number in range(options.singles + 1)][1:]
        theirs = await one_by_one(stage, _wallet(stage), collection, options.singles)
    for name, seconds in (("POST to `confirmed` on the log", ours), ("the cluster alone, sent to confirmed", theirs)):
        table.add(name, str(len(seconds)), f"{median(seconds) * 1000:.0f}", f"{max(seconds) * 1000:.0f}")
    section.say("One after another on the local cluster with slots of 400 ms; metadata is pinned.")
    section.show(table)
    beyond = (median(ours) - median(theirs)) * 1000
    section.say(f"Beyond what the cluster takes to confirm, the pipeline takes {beyond:.0f} ms (of the medians).")
    section.write()


async def _single(stage: Stage, collection: str, number: int) -> float:
    after = await stage.log.last_sequence(MINT)
    began = time.time()
    await stage.api.mint_batch(collection, RECIPIENT, [{"name": f"Single #{number}", "image": URI}])
    story = await stage.until(after, leaves=1, completed=1)
    return story.confirmed_at - began


# Our own ceiling ------------------------------------------------------------------------------------------------


async def null(options: argparse.Namespace) -> None:
    """Throughput with a cluster that confirms at once."""
    section = Section("Minting on a null cluster", COMMAND)
    section.say(
        "A simulator of ours takes every transaction for landed at once and executes nothing "
        "(`tests/bench/null_cluster.py`); its leaves are valid. Everything runs on these cores: the services, NATS, "
        "Postgres, the pinning endpoint, the simulator, the bench. 4 V2 trees. `METADATA_LAYOUT=file` pins each NFT's "
        "metadata by itself, `chunk` one directory for a hundred."
    )
    table = Table(("METADATA_LAYOUT", "NFTs", "seconds", "NFTs/s"))
    processor = processor_table("METADATA_LAYOUT", (*MEASURED, "simulator", "bench"))
    told: list[str] = []
    for layout in ("file", "chunk"):
        for count in options.counts:
            async with staged_on_nothing(4, METADATA_LAYOUT=layout) as stage:
                await stage.mint(str(NULL_COLLECTION), RECIPIENT, WARM_UP)
                run = await stage.mint(str(NULL_COLLECTION), RECIPIENT, count)
                table.add(layout, str(count), f"{run.seconds:.1f}", f"{run.rate:.0f}")
                show_processor(processor, f"{layout}, {count} NFTs", run.taken, count)
                if count == options.counts[-1]:
                    told.append(f"- `{layout}`: {ceiling(run.taken, run.seconds, os.cpu_count() or 1)}")
                    told += await _profile(stage, layout)
    section.show(table)
    section.say("Milliseconds of processor an NFT, by process, in the same runs:")
    section.show(processor)
    section.say("What bounded the longest runs, and where the two services spend their time:")
    section.say("\n".join(told))
    section.write()


async def _profile(stage: Stage, layout: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        chosen = {name: pid for name, pid in stage.pids().items() if name in ("minter", "ipfs")}
        async with profiled(chosen, Path(folder)) as found:
            await stage.mint(str(NULL_COLLECTION), RECIPIENT, 1000)
    if not found:
        return [f"- `{layout}`: no profile was taken, py-spy is not installed."]
    return [f"- `{layout}`, {name} (py-spy, callees included): {each.text(10)}" for name, each in found.items()]


# The log --------------------------------------------------------------------------------------------------------


async def log(options: argparse.Namespace) -> None:
    """What an NFT costs on the log."""
    section = Section("What an NFT costs on the log", COMMAND)
    table = Table(("sync_interval", "atomic batches", "NFTs/s", "messages an NFT", "bytes an NFT", "fsyncs an NFT"))
    told = ""
    for sync_interval in ("2m", "always"):
        for batches, most in (("where faster", "128"), ("never", "1")):
            environ = {"METADATA_LAYOUT": "chunk", "NATS_MAX_BATCH": most}
            async with staged_on_nothing(4, sync_interval=sync_interval, **environ) as stage:
                await stage.mint(str(NULL_COLLECTION), RECIPIENT, WARM_UP)
                run, fsyncs = await _counted(stage, options.counts[0])
            story, count = run.story, run.mints
            each = "-" if fsyncs is None else f"{fsyncs / count:.3f}"
            messages = story.messages.total() / count
            table.add(sync_interval, batches, f"{run.rate:.0f}", f"{messages:.2f}", f"{story.size / count:.0f}", each)
            told = ", ".join(f"{number} `{kind}`" for kind, number in sorted(story.messages.items()))
    section.say(
        f"{options.counts[0]} NFTs on the null cluster, in chunks of 100 as directories. Messages and bytes are those "
        "of MINT up to `completed` (finality adds one `finalized` a transaction); fsyncs are all of nats-server's, "
        "counted with strace, those of its consumers' state among them. `NATS_MAX_BATCH=1` never makes a batch; "
        "otherwise the publishers measure whether one is faster."
    )
    section.show(table)
    section.say(f"The messages of the last run: {told}.")
    section.write()


async def _counted(stage: Stage, count: int) -> tuple[Run, int | None]:
    fsyncs = FsyncCount()
    with tempfile.TemporaryDirectory() as folder:
        async with fsyncs.watching(stage.pids()["nats"], Path(folder)):
            run = await stage.mint(str(NULL_COLLECTION), RECIPIENT, count)
    return run, fsyncs.total


PARTS: Final = {"local": local, "observed": observed, "single": single, "null": null, "log": log}


def _numbers(text: str) -> Sequence[int]:
    return [int(each) for each in text.split(",")]


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=_numbers, default=[1000, 10_000], help="NFTs of the runs")
    parser.add_argument("--trees", type=_numbers, default=[1, 2, 4])
    parser.add_argument("--whole", action="store_true", help="the larger runs at every number of trees")
    parser.add_argument("--singles", type=int, default=15, help="single mints, one after another")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS))
    options = parser.parse_args()
    for name in options.only:
        asyncio.run(PARTS[name](options))


if __name__ == "__main__":
    main()
