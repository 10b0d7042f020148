"""NFTs a second through the whole pipeline, beside the source document's own way, in one run on one cluster.

    python -m tests.bench.bench_mint [--count N] [--trees 1,2,4] [--slot-ms 400] [--sync-interval 2m]

Mintstream: from the first HTTP request to the last `completed`, every service a process of its own. The peer: the
official JavaScript client, one mintToCollectionV1 a transaction, sendAndConfirm, sequential and ten at a time
(`tests/js/official_mints.mjs`, left out without Node.js). Both mint into the same V1 collection. Not a test: prints
figures as Markdown rows; absolute times depend on the machine, the ratios much less.
"""

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from chassis.messaging import Connection, Log
from contracts.fact import Producer
from contracts.mint import Confirmed
from contracts.streams import MINT
from localnet.secret_files import read_secret
from localnet.stack import Stack, StackSettings
from mintstream.api import GatewayClient
from tests.support.stack import URI, stack_ports

JS = Path(__file__).resolve().parents[1] / "js"
OPERATION_ITEMS = 1000
RECIPIENT = "CktRuQ2mttgRGkXJtyksdKHjUdc2C4TgDzyB98oEzy8"


@dataclass(frozen=True, slots=True)
class Figure:
    """One way of minting: how many, in how many seconds, with how many transactions and lamports of fees."""

    name: str
    mints: int
    seconds: float
    transactions: int
    lamports: int

    @property
    def rate(self) -> float:
        """NFTs a second."""
        return self.mints / self.seconds

    def row(self, base: float) -> str:
        """A Markdown row; `base` is the rate that the ratio is to."""
        each = f"{self.mints / self.transactions:.1f}" if self.transactions else "-"
        fee = f"{self.lamports / self.mints:.0f}" if self.lamports else "-"
        ratio = f"{self.rate / base:.1f}" if base else "-"
        return f"| {self.name} | {self.mints} | {self.seconds:.1f} | {self.rate:.1f} | {each} | {fee} | {ratio} |"


async def peer(stack: Stack, collection: Mapping[str, Any], count: int, parallel: int) -> Figure:
    """Mint with the official client."""
    command = ["official_mints.mjs", stack.rpc_url, collection["treeAddress"], collection["collectionAddress"]]
    process = await asyncio.create_subprocess_exec(
        "node",
        *command,
        str(count),
        str(parallel),
        cwd=JS,
        env={**os.environ, "WALLET": read_secret(stack.plan.secrets.wallet_key)},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    told = json.loads(output)
    if told["failed"]:
        raise SystemExit(f"{told['failed']} mints of the official client failed")
    return Figure(f"official client, {parallel} at a time", count, told["seconds"], count, 5000 * count)


async def pipeline(stack: Stack, api: GatewayClient, collection: Mapping[str, Any], count: int, name: str) -> Figure:
    """Mint through the whole of Mintstream; images are published already, metadata is pinned for every NFT."""
    producer = Producer(name="bench", version="0")
    async with Log.session(Connection(servers=(stack.nats_url,), producer=producer)) as log:
        before = await log.last_sequence(MINT)
        began = time.perf_counter()
        operations = [await _ask(api, collection["id"], start, count) for start in range(0, count, OPERATION_ITEMS)]
        for operation in operations:
            await _settled(api, operation)
        seconds = time.perf_counter() - began
        confirmed = await _confirmed(log, before)
    minted = sum(len(each.leaves) for each in confirmed)
    if minted != count:
        raise SystemExit(f"{minted} NFTs were minted, not {count}")
    return Figure(name, count, seconds, len(confirmed), sum(each.fee for each in confirmed))


async def _ask(api: GatewayClient, collection: str, start: int, count: int) -> str:
    numbers = range(start, min(start + OPERATION_ITEMS, count))
    nfts = [{"name": f"Bench #{number}", "image": URI} for number in numbers]
    return str((await api.mint_batch(collection, RECIPIENT, nfts, batch_size=100))["transactionId"])


async def _settled(api: GatewayClient, operation: str) -> None:
    told = [status async for status in api.follow(operation, within=3600)][-1]
    if told["status"] != "completed" or told["progress"]["failed"]:
        raise SystemExit(f"operation {operation} is {told['status']}: {told.get('error')}")


async def _confirmed(log: Log, after: int) -> Sequence[Confirmed]:
    last = await log.last_sequence(MINT)
    found: dict[str, Confirmed] = {}
    async for raw in log.read(MINT, after):
        if raw.subject.startswith(Confirmed.type()):
            message = await log.last_matching(MINT, raw.subject)
            assert message is not None
            found[raw.subject] = message.data
        if raw.sequence >= last:
            break
    return list(found.values())


def _memory(stack: Stack) -> str:
    sizes = {name: psutil.Process(pid).memory_info().rss for name in stack.names if (pid := stack.pid(name))}
    return ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in sizes.items())


async def run(arguments: argparse.Namespace) -> None:
    """Run every way of minting and print the figures."""
    print("| way | NFTs | seconds | NFTs/s | NFTs a transaction | lamports an NFT | ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as directory:
        settings = StackSettings(
            data_dir=Path(directory),
            ports=stack_ports(),
            slot_ms=arguments.slot_ms,
            sync_interval=arguments.sync_interval,
            quiet=True,
        )
        async with Stack(settings) as stack, GatewayClient(stack.api_url, stack.api_key, timeout=120) as api:
            await _measure(stack, api, arguments)
            print(f"\nMemory afterwards: {_memory(stack)}")


async def _measure(stack: Stack, api: GatewayClient, arguments: argparse.Namespace) -> None:
    base = 0.0
    if shutil.which("node") and (JS / "node_modules").exists():
        made = await api.create_collection(name="Peer", symbol="PEER", standard="v1", tree={"maxDepth": 14})
        collection = await api.wait_for_collection(made, within=60)
        sequential = await peer(stack, collection, 15, 1)
        base = sequential.rate
        for figure in (sequential, await peer(stack, collection, 60, 10)):
            print(figure.row(base), flush=True)
    else:
        print("Node.js or tests/js/node_modules is missing: no peer", file=sys.stderr)
    for standard in ("v1", "v2"):
        for trees in arguments.trees:
            depth = 14 if arguments.count <= 10_000 else 17
            fields: dict[str, Any] = {"trees": trees} if trees > 1 else {}
            made = await api.create_collection(
                name="Bench", symbol="BENCH", standard=standard, tree={"maxDepth": depth}, **fields
            )
            collection = await api.wait_for_collection(made, within=60)
            name = f"Mintstream {standard.upper()}, {trees} tree{'s' if trees > 1 else ''}"
            print((await pipeline(stack, api, collection, arguments.count, name)).row(base), flush=True)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="NFTs a run")
    parser.add_argument("--trees", type=lambda text: [int(each) for each in text.split(",")], default=[1, 2, 4])
    parser.add_argument("--slot-ms", type=int, default=400, help="slots of the local cluster in milliseconds")
    parser.add_argument("--sync-interval", default="2m", help="NATS: when the disk has a message; `always`: at once")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
