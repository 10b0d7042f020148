"""An audit reads the log as the projection does, whatever is said in whatever order: no false alarm about a row."""

from collections.abc import Callable, Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from audit.evidence import Evidence, LoggedEvent, OperationRow, Row
from audit.gathering import logged_event
from audit.records import check_rows
from audit.report import Verdict
from audit.standing import Numbers, numbers
from contracts.fact import Fact
from contracts.mint import Cancelled, FailureCode
from services.indexer.entries import plan
from tests.support.indexing import (
    History,
    completed,
    confirmed,
    failed,
    finalized,
    pin_failed,
    pinned,
    requested,
    signature,
    signed,
    uid,
)
from tests.support.memory_tables import MemoryTables

OPERATION = uid("operation")
ITEMS = {0: (0, 1), 1: (2, 3)}
"""By transaction."""


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    tx, attempt, item = draw(st.integers(0, 1)), draw(st.integers(1, 2)), draw(st.integers(0, 3))
    said: Sequence[Callable[[], Fact]] = (
        lambda: pinned(OPERATION, 0, range(4)),
        lambda: pin_failed(OPERATION, 0, [item], draw(st.sampled_from(FailureCode))),
        lambda: signed(OPERATION, 0, tx, ITEMS[tx], attempt),
        lambda: confirmed(OPERATION, 0, tx, ITEMS[tx], attempt),
        lambda: finalized(OPERATION, 0, tx, attempt),
        lambda: failed(OPERATION, 0, tx, ITEMS[tx]),
        lambda: failed(OPERATION, 0, tx, ITEMS[tx], signature(OPERATION, 0, tx, attempt)),
        lambda: completed(OPERATION, 4, 1, 3),
        lambda: Cancelled(operation=OPERATION),
    )
    return draw(st.sampled_from(said))()


@settings(max_examples=100)
@example([confirmed(OPERATION, 0, 0, ITEMS[0], 2), failed(OPERATION, 0, 0, ITEMS[0], signature(OPERATION, 0, 0, 1))])
@example(
    [
        pin_failed(OPERATION, 0, [0, 1], FailureCode.CANCELLED),
        confirmed(OPERATION, 0, 0, ITEMS[0]),
        failed(OPERATION, 0, 0, ITEMS[0], signature(OPERATION, 0, 0, 1)),
    ]
)
@given(st.lists(facts(), min_size=4, max_size=15))
async def test_rows_that_were_projected_are_those_that_an_audit_expects(story: list[Fact]) -> None:
    script, tables, events = History(), MemoryTables(), list[LoggedEvent]()
    for fact in (requested(OPERATION, 4, batch_size=4), *story):
        raw = script.say(fact)
        await tables.apply("MINT", raw.sequence - 1, [plan(raw)])
        events.append(logged_event(raw))
    kept = tables.operations[OPERATION]
    evidence = Evidence(
        OPERATION,
        events,
        projected=len(events),
        row=OperationRow(
            kept.collection_id,
            kept.recipient,
            total=kept.total_nfts,
            completed=kept.completed_nfts,
            failed=kept.failed_nfts + kept.cancelled_nfts,
            ended=kept.end_time is not None,
        ),
        rows={
            each.item_index: Row(each.status, each.signature, each.asset_id, each.leaf_index, each.ipfs_uri)
            for each in tables.items.values()
        },
    )
    assert [each.reason for each in check_rows(evidence) if each.verdict is not Verdict.PROVEN] == []
    *_, last = numbers(evidence)
    assert last == Numbers(kept.completed_nfts, kept.failed_nfts, kept.cancelled_nfts)
