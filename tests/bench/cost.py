"""What an NFT costs, measured, and what a million and a billion would: `make bench-cost`.

Mints V2 NFTs on an embedded stack with its settings as they come, waits until everything is final and in the tables,
and counts: lamports that the log's confirmations tell, messages and bytes of MINT, rows and bytes of Postgres (tables
with their indexes, raw messages among them), seconds of processor by process. Writes the tables of docs/scale.md; what
follows from them for larger numbers is `extrapolated`, plain arithmetic. Not done here: rates (`bench_mint`).
"""

import argparse
import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bubblegum.rents import MINT_FEES
from chassis.database import Connection, connect
from contracts.collection import MAX_TREES, Standard
from contracts.streams import MINT
from services.minter.costs import LAMPORTS_PER_SOL, NoSuchTree, shape_for, tree_cost
from tests.bench.report import DOCUMENT, Section, Table
from tests.bench.stage import Stage, Story, staged
from tests.bench.usage import spent, usages

SCALE: Final = DOCUMENT.with_name("scale.md")
COMMAND: Final = "make bench-cost"
RECIPIENT: Final = "CktRuQ2mttgRGkXJtyksdKHjUdc2C4TgDzyB98oEzy8"
WARM_UP: Final = 50
"""NFTs that are minted before anything is measured: the first rows of a table take whole pages."""
NUMBERS: Final = (1_000_000, 1_000_000_000)
SERVICES: Final = ("gateway", "ipfs", "minter", "indexer", "notifier")
PARTS: Final = (*SERVICES, "nats", "postgres")
TREE_LEAVES: Final = 1_048_576
"""Leaves of one tree of depth 20, the size that a large collection is given here."""
PARTITION_MESSAGES: Final = 1_000_000
"""`event_log`'s partitions (services/indexer/sql/migrations/0006_event_log_partitions.sql)."""
SEGMENT_MESSAGES: Final = 10_000
"""The archive's segments (archive/segments.py)."""
MONTH_SECONDS: Final = 30 * 86_400
GIB: Final = 2**30

_SIZES: Final = """
SELECT parent.relname, sum(pg_total_relation_size(leaf.relid))::bigint AS bytes
FROM pg_class AS parent, LATERAL pg_partition_tree(parent.oid) AS leaf
WHERE parent.relnamespace = 'public'::regnamespace AND parent.relkind IN ('r', 'p') AND NOT parent.relispartition
GROUP BY 1
UNION ALL
SELECT relname, pg_total_relation_size(oid)
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND NOT relispartition
"""


_APPLIED: Final = "SELECT max(sequence) FROM event_log WHERE stream = 'MINT'"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows and bytes of one table, its indexes included."""

    rows: int
    size: int


@dataclass(frozen=True, slots=True)
class Cost:
    """What one NFT costs. `processor` is seconds by process, `tables` rows and bytes by table."""

    fees: float
    messages: float
    log_bytes: float
    tables: Mapping[str, tuple[float, float]]
    processor: Mapping[str, float]

    @property
    def rows(self) -> float:
        """Rows of all tables."""
        return sum(rows for rows, _ in self.tables.values())

    @property
    def stored(self) -> float:
        """Bytes of all tables and their indexes."""
        return sum(size for _, size in self.tables.values())


async def measured(count: int) -> Cost:
    """Mint `count` NFTs and return what one of them cost."""
    async with staged() as stage:
        collection = await stage.collection("v2")
        await _minted(stage, collection["id"], WARM_UP)
        database = await connect(stage.stack.database_url)
        try:
            before, used = await _tables(database), usages(stage.pids())
            story = await _minted(stage, collection["id"], count)
            taken = spent(used, usages(stage.pids()))
            grown = await _tables(database)
        finally:
            await database.close()
    return Cost(
        fees=story.fees / count,
        messages=story.messages.total() / count,
        log_bytes=story.size / count,
        tables={
            name: ((now.rows - then.rows) / count, (now.size - then.size) / count)
            for name, now in sorted(grown.items())
            if (then := before.get(name, Rows(0, 0))) != now
        },
        processor={name: taken.get(name, 0.0) / count for name in PARTS},
    )


async def _minted(stage: Stage, collection: str, count: int) -> Story:
    """Mint and wait until all is final and in the tables; return what the log said."""
    after = await stage.log.last_sequence(MINT)
    run = await stage.mint(collection, RECIPIENT, count)
    story = await stage.until(after, leaves=count, completed=1, final=run.story.transactions)
    last = await stage.log.last_sequence(MINT)
    database = await connect(stage.stack.database_url)
    try:
        while (await database.fetchval(_APPLIED) or 0) < last:  # noqa: ASYNC110  (another process's tables have no event)
            await asyncio.sleep(0.2)
    finally:
        await database.close()
    return story


async def _tables(database: Connection) -> dict[str, Rows]:
    await database.execute("VACUUM ANALYZE")  # dead rows and free pages are no part of what an NFT needs
    sizes: dict[str, int] = {}
    for name, size in await database.fetch(_SIZES):
        sizes[name] = max(int(size), sizes.get(name, 0))
    counts = {name: int(await database.fetchval(f'SELECT count(*) FROM "{name}"') or 0) for name in sizes}
    return {name: Rows(counts[name], size) for name, size in sizes.items()}


def tell(section: Section, cost: Cost, count: int) -> None:
    """Put what was measured into the section."""
    section.say(
        f"{count} V2 NFTs in one request, metadata pinned as a file for each, after {WARM_UP} that were not counted; "
        "everything final and in the tables. The local programs charge the base fee alone: Bubblegum's published fee "
        f"of a V2 mint, {MINT_FEES[2]:,} lamports, is added below."
    )
    table = Table(("of one NFT", "measured"))
    table.add("base fees, lamports", f"{cost.fees:.0f}")
    table.add("messages on MINT", f"{cost.messages:.2f}")
    table.add("bytes on MINT, one replica", f"{cost.log_bytes:.0f}")
    table.add("rows in Postgres", f"{cost.rows:.2f}")
    table.add("bytes in Postgres, indexes included", f"{cost.stored:.0f}")
    section.show(table)
    stored = Table(("table", "rows an NFT", "bytes an NFT"))
    for name, (rows, size) in cost.tables.items():
        stored.add(f"`{name}`", f"{rows:.2f}", f"{size:.0f}")
    section.show(stored)
    processor = Table(("process", "CPU seconds per 1,000 NFTs"))
    for name, seconds in cost.processor.items():
        processor.add(name, f"{seconds * 1000:.1f}")
    processor.add("all", f"{sum(cost.processor.values()) * 1000:.1f}")
    section.show(processor)


def extrapolated(cost: Cost, number: int) -> list[tuple[str, str, str]]:
    """Return (what, arithmetic, result) for so many NFTs: the measured costs times the number, and what is shared."""
    collection = min(number, MAX_TREES * TREE_LEAVES)
    collections = -(-number // collection)
    trees = -(-number // TREE_LEAVES)
    try:
        tree = tree_cost(TREE_LEAVES, shape_for(TREE_LEAVES, Standard.V2), Standard.V2)
    except NoSuchTree as error:
        raise SystemExit(str(error)) from error  # stop: the constant above is wrong
    fee = cost.fees + MINT_FEES[2]
    messages, stored = number * cost.messages, number * cost.stored
    log_bytes, busiest = number * cost.log_bytes, max(SERVICES, key=lambda name: cost.processor[name])
    seconds = number * sum(cost.processor.values())
    return [
        ("trees", f"{number:,} / {TREE_LEAVES:,} leaves of depth 20, rounded up", f"{trees:,}"),
        ("collections", f"at most {MAX_TREES} trees each", f"{collections:,}"),
        ("rent, SOL", f"{trees:,} x {tree.rent:,} lamports", f"{trees * tree.rent / LAMPORTS_PER_SOL:,.2f}"),
        ("fees, SOL", f"{number:,} x {fee:,.0f} lamports", f"{number * fee / LAMPORTS_PER_SOL:,.0f}"),
        ("messages", f"{number:,} x {cost.messages:.2f}", f"{messages:,.0f}"),
        ("log, GiB a replica", f"{number:,} x {cost.log_bytes:.0f} bytes", f"{log_bytes / GIB:,.1f}"),
        ("archive segments", f"{messages:,.0f} / {SEGMENT_MESSAGES:,}", f"{messages / SEGMENT_MESSAGES:,.0f}"),
        (
            "partitions of `event_log`",
            f"{messages:,.0f} / {PARTITION_MESSAGES:,}",
            f"{messages / PARTITION_MESSAGES:,.0f}",
        ),
        ("Postgres, rows", f"{number:,} x {cost.rows:.2f}", f"{number * cost.rows:,.0f}"),
        ("Postgres, GiB", f"{number:,} x {cost.stored:.0f} bytes", f"{stored / GIB:,.1f}"),
        (
            "CPU, core-days",
            f"{number:,} x {sum(cost.processor.values()) * 1000:.1f} ms / 86,400 s",
            f"{seconds / 86_400:,.1f}",
        ),
        (
            "cores, spread over 30 days",
            f"the above / 30; most of it {busiest}",
            f"{seconds / MONTH_SECONDS:,.2f}",
        ),
        ("mints a second, spread over 30 days", f"{number:,} / {MONTH_SECONDS:,} s", f"{number / MONTH_SECONDS:,.1f}"),
    ]


def main() -> None:
    """Measure, and write both sections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400, help="NFTs, at most 1000")
    count = parser.parse_args().count
    cost = asyncio.run(measured(count))
    one = Section("What one NFT costs", COMMAND)
    tell(one, cost, count)
    one.write(SCALE)
    for number, title in zip(NUMBERS, ("A million NFTs", "A billion NFTs"), strict=True):
        section = Section(title, COMMAND)
        table = Table(("of all", "arithmetic", "result"))
        for row in extrapolated(cost, number):
            table.add(*row)
        section.show(table)
        section.write(SCALE)


if __name__ == "__main__":
    main()
