"""However the log is cut into batches, and however often it is begun anew, the tables come out the same."""

from collections import Counter, defaultdict
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from chassis.log import RawMessage
from contracts.collection import CollectionCounted, CollectionCreated, CollectionFailed
from contracts.fact import Fact
from contracts.mint import Confirmed, FailureCode, Finalized
from contracts.registry import UndecodableMessage, decode
from services.indexer.committing import commit
from services.indexer.entries import park, plan
from services.indexer.minute_rows import LATENCIES, Minute
from services.indexer.ports import Refused
from tests.support.indexing import History, collection_history, mint_history, pinned, requested, uid
from tests.support.memory_tables import MemoryTables

CUTS = st.lists(st.integers(0, 400), max_size=30)


async def replay(stream: str, messages: list[RawMessage], cuts: list[int]) -> MemoryTables:
    """The tables after the messages, in batches that end at the cuts."""
    tables = MemoryTables()
    ends = sorted({0, len(messages), *(cut for cut in cuts if cut < len(messages))})
    for start, end in pairwise(ends):
        await _apply(tables, stream, messages[start:end])
    return tables


async def _apply(tables: MemoryTables, stream: str, batch: list[RawMessage]) -> None:
    try:
        await tables.apply(stream, tables.watermarks[stream], [plan(raw) for raw in batch])
    except Refused as refused:
        if len(batch) == 1:
            await tables.apply(stream, tables.watermarks[stream], [park(batch[0], str(refused))])
            return
        for raw in batch:
            await _apply(tables, stream, [raw])


@given(seed=st.integers(0, 10_000), cuts=CUTS)
async def test_any_cut_of_the_mint_stream_gives_the_same_tables(seed: int, cuts: list[int]) -> None:
    messages = mint_history(seed).messages
    assert await replay("MINT", messages, cuts) == await replay("MINT", messages, list(range(len(messages))))


@given(seed=st.integers(0, 10_000), cuts=CUTS)
async def test_any_cut_of_the_collection_stream_gives_the_same_tables(seed: int, cuts: list[int]) -> None:
    messages = collection_history(seed).messages
    assert await replay("COLLECTION", messages, cuts) == await replay("COLLECTION", messages, [])


@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), cuts=CUTS)
async def test_numbers_that_no_table_holds_are_parked_whatever_is_said_after_them(seed: int, cuts: list[int]) -> None:
    for stream, told in (("MINT", mint_history(seed)), ("COLLECTION", collection_history(seed))):
        messages = with_unstorable_numbers(Random(seed), told)
        assert await replay(stream, messages, cuts) == await replay(stream, messages, list(range(len(messages))))


def with_unstorable_numbers(random: Random, told: History) -> list[RawMessage]:
    """The messages, and before some of them the same with what no column can hold."""
    history = History()
    for raw in told.messages:
        with suppress(UndecodableMessage):
            fact = decode(raw.subject, raw.payload).data
            if (forged := _forged(random, fact)) is not fact:
                history.say(forged)
        history.put(raw.subject, raw.payload)
    return history.messages


def _forged(random: Random, fact: Fact) -> Fact:
    match fact:
        case Confirmed(leaves=leaves):
            wrong = {random.choice(("leaf_index", "nonce")): random.choice((2**31, 2**63))}
            first = replace(leaves[0], **wrong)
            return random.choice((fact, replace(fact, slot=2**63), replace(fact, leaves=(first, *leaves[1:]))))
        case Finalized():
            return random.choice((fact, replace(fact, slot=2**63)))
        case CollectionCounted(trees=trees):
            wider = tuple(replace(each, minted=2**63) for each in trees)
            others = [replace(fact, **{name: 2**63}) for name in ("minted", "capacity", "slot")]
            return random.choice((fact, *others, replace(fact, trees=wider)))
        case CollectionCreated():
            failed = CollectionFailed(collection=fact.collection, code="c" * 65, reason="it was not to be")
            others = replace(fact, seller_fee_basis_points=10_001), replace(fact, minted_before=2**63)
            return random.choice((failed, *others))
        case _:
            return fact


@given(seed=st.integers(0, 10_000))
async def test_the_sums_are_those_of_the_items(seed: int) -> None:
    tables = await replay("MINT", mint_history(seed).messages, [])
    for row in tables.operations.values():
        statuses = [item.status for item in tables.items.values() if item.operation_id == row.id]
        assert len(statuses) == row.total_nfts
        assert statuses.count("success") == row.completed_nfts
        assert statuses.count("failed") == row.failed_nfts
        assert (row.settled_sequence is not None) == ("pending" not in statuses)
        assert (row.end_time is not None) == (row.status in {"completed", "failed", "cancelled"})


@given(seed=st.integers(0, 10_000), cuts=CUTS)
async def test_the_counts_of_minutes_are_those_of_the_rows(seed: int, cuts: list[int]) -> None:
    tables = await replay("MINT", mint_history(seed).messages, cuts)
    counted: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
    latencies: Counter[tuple[datetime, int]] = Counter()
    for row in tables.operations.values():
        counted[row.start_time.replace(second=0)].update(operations=1, asked=row.total_nfts)
    for item in tables.items.values():
        if item.settled_at is not None and item.error_code != FailureCode.CANCELLED:
            counted[item.settled_at.replace(second=0)][item.status] += 1
        if item.settled_at is not None and item.status == "success":
            took = (item.settled_at - item.created_at) / timedelta(milliseconds=1)
            latencies[item.settled_at.replace(second=0), min(each for each in LATENCIES if each >= took)] += 1
    assert tables.minutes == {
        at: Minute(counts["operations"], counts["success"], counts["failed"], counts["asked"])
        for at, counts in counted.items()
    }
    assert tables.latencies == latencies


async def test_one_transaction_opens_no_more_items_than_it_has_time_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.indexer.committing.MAX_OPENED", 5)
    history = History()
    for number, total in enumerate((2, 3, 1, 9, 4)):
        history.say(requested(uid("operation", number), total))
        history.say(pinned(uid("operation", number), 0, [0]))
    tables, sizes = MemoryTables(), list[int]()
    entries = [plan(raw) for raw in history.messages]
    await commit(tables, "MINT", 0, entries, lambda _, part: sizes.append(len(part)))
    assert sizes == [4, 2, 2, 2]
    assert len(tables.operations) == 5
    assert tables.watermarks["MINT"] == len(history.messages)
