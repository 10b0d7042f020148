"""What the indexer takes for an NFT: while it is minted, and after it is final, when its tree is read from the chain.

A part of `bench_mint` (`--only observed`). An NFT is read from the chain about 13 s after its confirmation, so that a
run of a few seconds shows nothing of it, and one that follows another shows the other's.
"""

import argparse
import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final, cast

from chassis.log import RawMessage
from contracts import registry
from contracts.observation import CollectionObserved
from contracts.streams import COLLECTION
from tests.bench.report import Section, Table
from tests.bench.stage import RECIPIENT, Stage, staged
from tests.bench.usage import profiled, usage

COMMAND: Final = 'make bench-mint ARGS="--only observed"'
WINDOW: Final = 3.0
"""Seconds of a look at what the process takes."""
QUIET: Final = 0.02
"""Seconds of processor in a window, at most, of an indexer that has nothing to do."""
MOST_WINDOWS: Final = 40


async def observed(options: argparse.Namespace) -> None:
    """The indexer's processor time by what it is taken for."""
    section = Section("What the indexer takes for an NFT", COMMAND)
    table = Table(("collection", "NFTs", "minting, ms an NFT", "read from the chain and compared, ms an NFT"))
    count = options.counts[0]
    async with staged(METADATA_LAYOUT="chunk") as stage:
        for standard in ("v1", "v2"):
            for trees in (options.trees[0], options.trees[-1]):
                minting, after = await _mint(stage, await stage.collection(standard, trees), count)
                table.add(f"{standard.upper()}, trees: {trees}", str(count), f"{minting:.2f}", f"{after:.2f}")
        profile = await _profile(stage, count)
    section.say(
        "Slots of 400 ms, finality after 32 of them. Minting: from the request until `completed`. Then the finalized "
        "transactions are read from the node, decoded, said on the log, projected, their roots recomputed and "
        "everything compared, until the process is quiet."
    )
    section.show(table)
    section.say(f"Where it goes (py-spy, callees included): {profile}.")
    section.write()


async def _mint(stage: Stage, collection: dict[str, Any], count: int) -> tuple[float, float]:
    """Mint, and wait until all is observed; milliseconds of processor an NFT until `completed`, and from then on."""
    pid = stage.pids()["indexer"]
    await _quiet(pid)
    place, before = await stage.log.last_sequence(COLLECTION), usage(pid).cpu
    await stage.mint(collection["id"], RECIPIENT, count)
    minted = usage(pid).cpu
    async with aclosing(cast("AsyncGenerator[RawMessage]", stage.log.read(COLLECTION, place))) as messages:
        left = count
        async for raw in messages:
            if raw.subject.startswith(f"{CollectionObserved.type()}.{collection['id']}."):
                left -= len(cast("CollectionObserved", registry.decode(raw.subject, raw.payload).data).leaves)
            if left <= 0:
                break
    await _quiet(pid)
    return (minted - before) / count * 1000, (usage(pid).cpu - minted) / count * 1000


async def _quiet(pid: int) -> None:
    """Wait until the process takes next to nothing."""
    last = usage(pid).cpu
    for _ in range(MOST_WINDOWS):
        await asyncio.sleep(WINDOW)
        now = usage(pid).cpu
        if now - last <= QUIET:
            return
        last = now


async def _profile(stage: Stage, count: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        collection = await stage.collection("v2")
        async with profiled({"indexer": stage.pids()["indexer"]}, Path(folder)) as found:
            await _mint(stage, collection, count)
    return found["indexer"].text(12) if found else "no profile was taken, py-spy is not installed"
