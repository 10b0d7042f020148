"""An audit of our own records: what is gone is wrong, and what is only late, or may be gone, is not."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from audit.checks import check_causes
from audit.content import Contents
from audit.evidence import Evidence, LoggedEvent, OperationRow, Row
from audit.gathering import Gatherer, logged_event
from audit.history import WholeLog
from audit.nodes import Nodes
from audit.records import check_copies, check_rows
from audit.report import Verdict
from contracts.registry import decode
from tests.support.indexing import START, History, pinned, requested, uid
from tests.support.memory_log import MemoryLog

OPERATION = uid("operation")


@pytest.fixture
def evidence() -> Evidence:
    """A request for two NFTs, which the tables have."""
    script = History()
    raw = script.say(requested(OPERATION, 2))
    logged = logged_event(raw)
    asked: Any = logged.fact
    return Evidence(
        operation=OPERATION,
        events=[logged],
        copies={raw.sequence: raw.payload},
        projected=raw.sequence,
        row=OperationRow(asked.collection, asked.recipient, total=2, completed=0, failed=0, ended=False),
        rows={0: Row("pending"), 1: Row("pending")},
    )


def found(evidence: Evidence) -> Mapping[str, tuple[Verdict, str]]:
    findings = [*check_copies(evidence), *check_rows(evidence)]
    return {each.about: (each.verdict, each.reason) for each in findings}


def test_records_that_agree_are_proven(evidence: Evidence) -> None:
    assert {verdict for verdict, _ in found(evidence).values()} == {Verdict.PROVEN}


def test_what_the_guard_repeats_behind_its_cause_has_one(evidence: Evidence) -> None:
    """A loss took the request away, and somebody who had it in hand spoke before it was put back."""
    script = History()
    raw = script.say(pinned(OPERATION, 0, [0, 1]))
    (asked,) = evidence.events
    event = msgspec.structs.replace(decode(raw.subject, raw.payload), causation_id=asked.event.id, id=uid("pinned"))
    early = LoggedEvent(1, raw.subject, raw.stored_at, raw.payload, event)
    late = replace(asked, sequence=2)

    def verdicts(*events: LoggedEvent) -> list[Verdict]:
        return [each.verdict for each in check_causes(replace(evidence, events=events))]

    assert verdicts(early, late) == [Verdict.BROKEN, Verdict.PROVEN]
    assert verdicts(early, late, replace(early, sequence=3)) == [Verdict.PROVEN, Verdict.PROVEN]


def test_rows_that_are_gone_or_were_never_asked_for_are_wrong(evidence: Evidence) -> None:
    told = found(replace(evidence, rows={1: Row("pending"), 2: Row("pending")}, row=None))
    assert told["item 0"] == (Verdict.BROKEN, "the tables have nothing, the log says status pending")
    assert told["item 2"] == (Verdict.BROKEN, "the tables have status pending, the log says nothing")
    assert told["operation"][0] is Verdict.BROKEN


def test_tables_that_are_behind_are_not_wrong(evidence: Evidence) -> None:
    told = found(replace(evidence, projected=0, rows={}, row=None, copies={}))
    assert told == {
        "message 1": (Verdict.UNKNOWN, "the tables do not have it yet"),
        "the tables": (Verdict.UNKNOWN, "they do not have it yet"),
    }
    assert found(replace(evidence, projected=None))["the tables"] == (Verdict.UNKNOWN, "they were not read")


@pytest.mark.parametrize(
    ("copied_from", "verdict"), [(1, Verdict.BROKEN), (2, Verdict.UNKNOWN)], ids=["lost", "dropped with its partition"]
)
def test_a_copy_that_is_lost_is_told_from_one_that_was_dropped(
    evidence: Evidence, copied_from: int, verdict: Verdict
) -> None:
    assert found(replace(evidence, copies={}, copied_from=copied_from))["message 1"][0] is verdict


async def test_a_period_has_what_either_the_log_or_the_tables_know_of() -> None:
    script, log = History(), MemoryLog()
    for name in ("forgotten by the tables", "in both"):
        script.say(requested(uid(name), 1))
    log.streams["MINT"] = script.messages
    first, second = (decode(raw.subject, raw.payload).time for raw in script.messages)

    class Tables:
        async def fetch(self, query: str, *args: object) -> list[Any]:
            del query, args
            rows = {uid("in both"): second, uid("forgotten by the log"): START - timedelta(hours=2)}
            return [{"id": operation, "start_time": time} for operation, time in rows.items()]

    tables = cast("Any", Tables())
    gatherer = Gatherer(WholeLog(log, None), tables, Nodes([]), Contents([]))

    async def between(until: Any) -> list[UUID]:
        return await gatherer.operations_between(START - timedelta(days=1), until)

    every = [uid("forgotten by the log"), uid("forgotten by the tables"), uid("in both")]
    assert await between(second + timedelta(seconds=1)) == every
    assert uid("forgotten by the tables") not in await between(first)
