"""A tree of a million leaves: how long its backfill takes, in how much memory, and what the API's lists then cost.

    python -m tests.bench.bench_index [--leaves 1000000] [--backfill 1000000] [--document docs/queries.md]

The follower reads synthetic transactions of five mints each (as executed instructions), decodes them and says them on a
real nats-server; the projection writes them into a real Postgres; the root is recomputed from the rows. Making executed
instructions of a node's JSON is timed beside it; what a node takes to send it is in no figure. With a smaller
`--backfill` the rest of the leaves are made up in the tables. Then operations with as many items are filled in, and
every query of the gateway and of the comparisons is timed. With `--document` the plans are written there. Not a test:
prints figures.
"""

import argparse
import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles
from typing import Final
from uuid import UUID

import msgspec
import uvloop
from solders.signature import Signature

from bubblegum import base58, hashing, instructions, pda
from bubblegum.leaf import ChangeLogEvent, LeafSchemaEvent, LeafSchemaV1, PathNode, application_data
from bubblegum.merkle import RootBuilder, empty_node
from bubblegum.programs import BUBBLEGUM, SPL_ACCOUNT_COMPRESSION, SPL_NOOP
from bubblegum.transaction import ExecutedInstruction, ExecutedTransaction, from_rpc
from chassis import postgres
from chassis.clock import SystemClock
from chassis.database import Pool
from chassis.messaging import Connection, Log
from chassis.queries import load_queries
from chassis.redaction import Secret
from contracts.collection import TreeShape
from contracts.fact import Producer
from contracts.streams import COLLECTION
from localnet.child import running
from localnet.nats_server import NatsOptions, nats_spec
from localnet.postgres import PostgresOptions, PostgresRole, dsn, postgres_spec
from services.gateway.adapters.projection import PLANS, whole_minute
from services.indexer.chain.asset_store import PostgresComparisons
from services.indexer.chain.following import TreeFollower
from services.indexer.chain.listing import Landed
from services.indexer.projector import Projector
from services.indexer.store import MIGRATIONS, PostgresStore
from tests.bench.bench_ipfs import Memory
from tests.support.indexing import collection_created, uid
from tests.support.leaves import key, metadata_v1

DEPTH: Final = 20
MINTS: Final = 5
"""Mints a transaction."""
TREE, OWNERS, PAYER = key(2), [key(1000 + number) for number in range(1000)], key(1)
CATS = uid("cats")
OWNER = PostgresRole("mintstream_owner", "owner")
ROUNDS: Final = 60
ANSWERS: Final = 500
"""Different answers of a node that are read again and again."""
QUARTERS: Final = 4
"""Samples of memory from which on there are quarters."""
EXPLAIN: Final = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)"
LIMIT_MS: Final = 50
"""What the API's lists may take at the 95th percentile."""
DATABASE: Final = "bench"
FILL_SECONDS: Final = 3600.0
PATIENT: Final = {"statement_timeout": "0", **PLANS}
"""The gateway's plans; and filling in a million rows takes longer than any statement of the services may."""


class SyntheticHistory:
    """The past of a tree into which only was minted, made up as it is read."""

    def __init__(self, leaves: int) -> None:
        self._transactions = leaves // MINTS
        metadata = metadata_v1()
        self._hashes = hashing.data_hash(metadata), hashing.creator_hash(())
        built = instructions.mint_v1(
            tree=TREE, payer=PAYER, leaf_owner=PAYER, metadata=metadata, tree_creator_or_delegate=PAYER
        )
        self._accounts = tuple(account.pubkey for account in built.accounts)
        self._data = bytes(built.data)
        self._roots = RootBuilder(DEPTH)

    async def signatures(
        self, address: str, before: str | None, until: str | None, limit: int, min_slot: int
    ) -> Sequence[Landed]:
        """See `History.signatures`."""
        newest = self._transactions if before is None else _number(before)
        oldest = 0 if until is None else _number(until) + 1
        numbers = range(newest - 1, max(oldest, newest - limit) - 1, -1)
        return [Landed(_signature(number), 1000 + number, False) for number in numbers]

    async def transaction(self, signature: str) -> ExecutedTransaction:
        """See `History.transaction`; they are asked for in order."""
        number = _number(signature)
        mints = tuple(self._mint(index) for index in range(number * MINTS, (number + 1) * MINTS))
        return ExecutedTransaction(signature, 1000 + number, None, mints)

    def _mint(self, index: int) -> ExecutedInstruction:
        owner = OWNERS[index % len(OWNERS)]
        schema = LeafSchemaV1(pda.asset_id(TREE, index), owner, owner, index, *self._hashes)
        leaf = schema.hash()
        self._roots.extend([leaf])
        # Only the root of the path is true, and only where a message ends is it looked at.
        root = self._roots.root() if (index + 1) % MINTS == 0 else leaf
        path = [PathNode(leaf, 1 << DEPTH), *(PathNode(empty_node(1), 1) for _ in range(DEPTH - 1)), PathNode(root, 1)]
        change = ChangeLogEvent(TREE, tuple(path), index + 1, index)
        event = application_data(LeafSchemaEvent(schema, leaf).to_bytes())
        inner = (
            ExecutedInstruction(SPL_NOOP, (), event),
            ExecutedInstruction(
                SPL_ACCOUNT_COMPRESSION, (TREE,), b"", (ExecutedInstruction(SPL_NOOP, (), change.to_noop_data()),)
            ),
        )
        return ExecutedInstruction(BUBBLEGUM, self._accounts, self._data, inner)


def answer_of(tx: ExecutedTransaction) -> bytes:
    """The transaction as the `result` of `getTransaction`, in JSON."""
    keys: dict[str, int] = {}

    def told(instruction: ExecutedInstruction, height: int | None) -> dict[str, object]:
        program, *accounts = (
            keys.setdefault(str(key), len(keys)) for key in (instruction.program_id, *instruction.accounts)
        )
        data = base58.encode(instruction.data)
        return {"programIdIndex": program, "accounts": accounts, "data": data, "stackHeight": height}

    def below(instruction: ExecutedInstruction, height: int) -> Iterator[dict[str, object]]:
        for child in instruction.inner:
            yield told(child, height)
            yield from below(child, height + 1)

    top = [told(each, None) for each in tx.instructions]
    inner = [{"index": number, "instructions": list(below(each, 2))} for number, each in enumerate(tx.instructions)]
    message = {"accountKeys": list(keys), "instructions": top}
    return msgspec.json.encode(
        {
            "slot": tx.slot,
            "transaction": {"signatures": [tx.signature], "message": message},
            "meta": {"err": None, "innerInstructions": inner},
        }
    )


async def read_answers(leaves: int) -> None:
    """Make executed transactions of a node's answers."""
    history = SyntheticHistory(ANSWERS * MINTS)
    made = [await history.transaction(_signature(number)) for number in range(ANSWERS)]
    answers = [answer_of(tx) for tx in made]
    assert from_rpc(msgspec.json.decode(answers[0])) == made[0]
    rounds = max(1, leaves // (10 * ANSWERS * MINTS))
    with measured("a node's JSON read", rounds * ANSWERS * MINTS):
        for _ in range(rounds):
            for answer in answers:
                from_rpc(msgspec.json.decode(answer))


def _signature(number: int) -> str:
    return str(Signature(number.to_bytes(64, "big")))


def _number(signature: str) -> int:
    return int.from_bytes(bytes(Signature.from_string(signature)), "big")


@contextmanager
def measured(name: str, count: int) -> Generator[None]:
    """Print how long the body took, for how many, in how much memory."""
    memory = Memory(os.getpid())
    watching = asyncio.ensure_future(memory.watch())
    start = time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    watching.cancel()
    print(f"{name:32} {seconds:8.1f} s {count / seconds:10,.0f}/s", end="")
    if len(memory.samples) >= QUARTERS:
        early, late = memory.quarters()
        print(f"   resident {early:.0f} MiB in the second quarter, {late:.0f} MiB in the last", end="")
    print(flush=True)


async def backfill(pool: Pool, log: Log, leaves: int) -> None:
    """Follow, project and verify the tree."""
    store, clock = PostgresStore(pool), SystemClock()
    shape = TreeShape(max_depth=DEPTH, max_buffer_size=64, canopy_depth=0)
    await log.publish(collection_created(CATS, tree_address=str(TREE), tree=shape, slot=1), cause=None)
    history = SyntheticHistory(leaves)
    follower = TreeFollower(log, [history], store, clock)
    with measured("read, decoded, on the log", leaves):
        followed = await follower.catch_up(CATS, str(TREE))
    assert (followed.seq, followed.missing) == (leaves, ()), followed
    projector = Projector(COLLECTION, log=log, store=store, clock=clock, on_commit=lambda _: None)
    with measured("projected into Postgres", leaves):
        running_projector = asyncio.create_task(projector.run())
        await projector.caught_up.wait()
        projector.stop()
        await running_projector
    comparisons, builder, after = PostgresComparisons(pool), RootBuilder(DEPTH), -1
    with measured("root recomputed from the rows", leaves):
        while page := await comparisons.leaf_hashes(str(TREE), after, 10_000):
            after = page[-1][0]
            await asyncio.to_thread(builder.extend, [leaf for _, leaf in page])
    tree = await comparisons.observed_tree(str(TREE))
    assert tree is not None
    assert (tree.seq, tree.root) == (leaves, builder.root())


_FILL: Final = """
    INSERT INTO assets (asset_id, tree_address, leaf_index, collection_id, owner, delegate, fate, leaf_hash,
                        minted_slot, minted_signature, seq, slot, signature)
    SELECT md5('a' || n), $4, n, $3, md5('w' || n % 1000), md5('w' || n % 1000), 'living', sha256(n::text::bytea),
           n / 5, md5('s' || n / 5), n + 1, n / 5, md5('s' || n / 5)
    FROM generate_series((SELECT count(*) FROM assets), $1::bigint - 1) AS n;
    INSERT INTO nft_collections (id, name, symbol, standard, capacity, minted, status, stage, is_public, allow_minting,
                                 has_valid_tree, tree_address, collection_address, created_at, updated_at)
    SELECT md5('c' || n)::uuid, 'Collection ' || n, 'C', 'v1', 16384, 1000, 'active', 'created', TRUE, TRUE, TRUE,
           'tree' || n, 'collection' || n, $2::timestamptz + n * interval '1 minute', $2
    FROM generate_series(1, 1000) AS n;
    INSERT INTO mint_operations (id, transaction_id, collection_id, recipient, caller, operation_type, total_nfts,
                                 batch_size, metadata, start_time, created_at, updated_at, status, completed_nfts,
                                 end_time)
    SELECT md5('o' || n)::uuid, md5('o' || n)::uuid::text,
           CASE WHEN n % 2 = 0 THEN $3::uuid ELSE md5('c' || n % 1000 + 1)::uuid END,
           'recipient' || n % 5000, 'app:' || n % 100, 'batch_mint', 10, 10, '{}',
           $2::timestamptz + n * interval '2 seconds', $2, $2,
           CASE WHEN n % 1000 = 0 THEN 'processing' ELSE 'completed' END, 10,
           CASE WHEN n % 1000 = 0 THEN NULL ELSE $2::timestamptz + n * interval '3 seconds' END
    FROM generate_series(1, $1::bigint / 10) AS n;
    INSERT INTO mint_results (id, operation_id, item_index, nft_name, status, signature, asset_id, leaf_index, nonce,
                              tree_address, slot, created_at, updated_at, settled_at)
    SELECT md5('r' || n)::uuid, md5('o' || n / 10 + 1)::uuid, n % 10, 'Nft ' || n, 'success', a.minted_signature,
           a.asset_id, a.leaf_index, a.leaf_index, a.tree_address, a.slot, $2, $2,
           $2::timestamptz + n * interval '0.2 seconds'
    FROM generate_series(0, $1::bigint - 1) AS n JOIN assets AS a ON a.tree_address = $4 AND a.leaf_index = n;
    INSERT INTO mint_minutes (minute, operations, minted, failed, asked)
    SELECT minute, sum(operations), sum(minted), 0, sum(operations) * 10
    FROM (
        SELECT date_trunc('minute', start_time) AS minute, 1 AS operations, 0 AS minted FROM mint_operations
        UNION ALL
        SELECT date_trunc('minute', settled_at), 0, 1 FROM mint_results
    ) AS counted
    GROUP BY minute;
    INSERT INTO mint_latencies (minute, up_to_ms, items)
    SELECT date_trunc('minute', settled_at), 1000 * (item_index + 1), count(*) FROM mint_results GROUP BY 1, 2;
    SELECT reach_event_log('MINT', 1, $1::bigint);
    INSERT INTO event_log (stream, sequence, subject, payload, headers, stored_at)
    SELECT 'MINT', n + 1, 'mint.signed.v1.' || md5('o' || n / 10 + 1)::uuid || '.0.' || n % 10,
           convert_to(repeat('.', 200), 'UTF8'), '{}', $2::timestamptz + n * interval '0.2 seconds'
    FROM generate_series(0, $1::bigint - 1) AS n;
    INSERT INTO collection_drifts (collection_id, sequence, told_at, slot, log, projection, chain, observed, living,
                                   differences)
    SELECT $3::uuid, n, $2, n, n, n, n, n, n, '[]' FROM generate_series(1, 1000) AS n;
"""


async def fill(pool: Pool, leaves: int, start: datetime) -> None:
    """Operations of ten items, half of them of the bench's collection, as if they had minted the leaves."""
    given: list[object] = [leaves, start, CATS, str(TREE)]
    async with pool.acquire() as connection:
        for statement in _FILL.strip().split(";")[:-1]:
            used = [value for number, value in enumerate(given, 1) if f"${number}" in statement]
            for new, old in enumerate([n for n in range(1, 5) if f"${n}" in statement], 1):
                statement = statement.replace(f"${old}", f"${new}")
            await connection.execute(statement, *used, timeout=FILL_SECONDS)
        await connection.execute("VACUUM ANALYZE", timeout=FILL_SECONDS)


def cases(leaves: int, start: datetime) -> dict[str, tuple[str, list[object]]]:
    """Every query with the arguments of its costliest use: name to statement and arguments."""
    api = load_queries("services.gateway.adapters")
    middle = start + timedelta(seconds=leaves / 10)
    day = start + timedelta(seconds=leaves / 5) - timedelta(hours=24) + timedelta(milliseconds=100)
    operation = UUID(hexdigest("o77"))
    some = "00000000-0000-0000-0000-000000000000"
    first: list[object] = [None, None, None, None, None, None, 100, None, None]
    asked: list[tuple[str, str, list[object]]] = [
        ("collections, first page", "collections", [None, None, 100, 0]),
        ("collections, a late page", "collections", ["active", True, 100, 900]),
        ("collections, how many", "collections_total", ["active", True]),
        ("operations, first page", "operations", first),
        ("operations, by cursor", "operations", [None, None, None, None, middle, some, *first[6:]]),
        ("operations of a status", "operations", ["processing", *first[1:]]),
        ("operations of a status that none has", "operations", ["failed", *first[1:]]),
        ("operations of a collection", "operations", [None, CATS, *first[2:]]),
        ("operations of a small collection", "operations", [None, uid("none"), *first[2:]]),
        ("operations of a recipient", "operations", [None, None, "recipient77", *first[3:]]),
        ("operations of a recipient nobody knows", "operations", [None, None, "nobody", *first[3:]]),
        ("operations of a caller", "operations", [None, None, None, "app:7", *first[4:]]),
        ("operation of an asset", "operations", [*first[:7], hexdigest("a777"), None]),
        ("operation of a transaction", "operations", [*first[:8], hexdigest("s777")]),
        ("one operation with its results", "operation", [operation]),
        ("events of an operation", "history", [str(operation), 0, 1000]),
        ("failed items of an operation", "failed_items", [operation]),
        ("one collection with its trees", "collection", [CATS]),
        ("comparisons of a collection", "drifts", [CATS, 20]),
        ("collection at an address", "collection_at", ["collection777"]),
        ("how far the tables are", "watermarks", []),
        ("statistics of a day", "overview", [day, whole_minute(day)]),
        ("chart of an hour", "series", [day + timedelta(hours=23), timedelta(minutes=1)]),
        ("chart of a day", "series", [day, timedelta(hours=1)]),
    ]
    assert {query for _, query, _ in asked} == set(api), "every query of the gateway is timed"
    found = {name: (api[query].sql, given) for name, query, given in asked}
    found["assets of an owner"] = (OWNED, [str(OWNERS[7]), "", 100])
    return found


def hexdigest(text: str) -> str:
    """What Postgres's md5 makes of the text."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


OWNED: Final = (
    "SELECT asset_id, tree_address, leaf_index FROM assets "
    "WHERE owner = $1 AND fate = 'living' AND asset_id > $2 ORDER BY asset_id LIMIT $3"
)


async def query_times(pool: Pool, leaves: int, start: datetime) -> list[tuple[str, str, float, float, str]]:
    """Name, statement, median and 95th percentile in milliseconds, and plan of every query."""
    told: list[tuple[str, str, float, float, str]] = []
    async with pool.acquire() as connection:
        for name, (statement, arguments) in cases(leaves, start).items():
            taken: list[float] = []
            for _ in range(ROUNDS):
                begin = time.perf_counter()
                await connection.fetch(statement, *arguments)
                taken.append((time.perf_counter() - begin) * 1000)
            plan = await connection.fetch(
                f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {statement}", *arguments
            )
            cuts = quantiles(taken, n=20)
            print(f"{name:42} median {cuts[9]:7.1f} ms   p95 {cuts[18]:7.1f} ms", flush=True)
            told.append((name, statement, cuts[9], cuts[18], "\n".join(str(row["QUERY PLAN"]) for row in plan)))
    return told


async def comparison_times(pool: Pool, leaves: int) -> None:
    """The comparison of the whole collection, which runs in the background."""
    with measured("compared: all counts", leaves):
        told = await PostgresComparisons(pool).told(CATS, 10**9, {})
    print(f"{'':32} observed {told.observed:,}, minted elsewhere {told.minted_elsewhere.count:,}")


def document(told: Sequence[tuple[str, str, float, float, str]], leaves: int) -> str:
    """The Markdown page of all plans."""
    parts = [
        "# What the API's queries cost",
        f"Written by `make bench-index`: {leaves:,} leaves, as many items in {leaves // 10:,} operations, 1,001 "
        f"collections, {ROUNDS} rounds a query on one connection, results fetched. "
        f"The limit is {LIMIT_MS} ms at the 95th percentile.",
        "| query | median ms | p95 ms |\n| --- | --- | --- |\n"
        + "\n".join(f"| {name} | {middle:.1f} | {late:.1f} |" for name, _, middle, late, _ in told),
    ]
    for name, statement, _, _, plan in told:
        parts.append(f"## {name[0].upper()}{name[1:]}\n\n```sql\n{statement}\n```\n\n```\n{plan}\n```")
    return "\n\n".join(parts) + "\n"


async def run(leaves: int, backfilled: int) -> str:
    """Run everything, print, and return the page of plans."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        os.chmod(folder, 0o711)  # Postgres may have to run as another user
        options = PostgresOptions(data_dir=directory / "postgres", tcp=False, owner=OWNER, database=DATABASE)
        async with (
            running(postgres_spec(options)) as server,
            running(nats_spec(NatsOptions(data_dir=directory / "nats"))) as nats,
            Log.session(Connection((nats.addresses["nats"],), Producer(name="bench", version="0"))) as log,
        ):
            url = Secret(dsn(server.addresses, DATABASE, OWNER))
            await log.declare(consumers=(), buckets=())
            await postgres.migrate(url, MIGRATIONS)
            async with postgres.pool(url, application_name="bench", max_size=4, server_settings=PATIENT) as pool:
                await read_answers(backfilled)
                await backfill(pool, log, backfilled)
                start = datetime(2026, 1, 1, tzinfo=UTC)
                with measured("operations filled in", leaves):
                    await fill(pool, leaves, start)
                told = await query_times(pool, leaves, start)
                await comparison_times(pool, leaves)
    slow = [name for name, _, _, late, _ in told if late > LIMIT_MS]
    print(f"over {LIMIT_MS} ms: {', '.join(slow) or 'none'}")
    return document(told, leaves)


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description="backfill and queries at a million leaves")
    parser.add_argument("--leaves", type=int, default=1_000_000, help="leaves of the tree; at most 2**20")
    parser.add_argument("--backfill", type=int, default=1_000_000, help="how many of them are read as from a node")
    parser.add_argument("--document", type=Path, help="where the plans are written, as Markdown")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        page = runner.run(run(options.leaves, min(options.leaves, options.backfill)))
    if options.document is not None:
        options.document.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
