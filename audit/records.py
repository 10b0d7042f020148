"""The questions about Mintstream's own records: do stream, second copy, archive and tables say the same? Pure.

Part of `checks`, which asks them. A record that is gone is wrong; one that is not there yet, or may be gone, is not.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields, replace

from audit.evidence import Evidence, OperationRow, Row
from audit.report import Finding, Verdict, answer
from audit.standing import facts, failures, latest
from contracts.mint import Completed, Pinned, Requested


def check_copies(evidence: Evidence) -> Iterator[Finding]:
    """Every message is what its second copy says, and none is missing."""
    there = {logged.sequence for logged in evidence.events} | evidence.unreadable.keys()
    for sequence in sorted(evidence.copies.keys() - there):
        yield answer("second copy", f"message {sequence}", holds=False, reason="the stream has it no more")
    for logged in evidence.events:
        copy = evidence.copies.get(logged.sequence)
        about = f"message {logged.sequence}"
        if logged.sequence in evidence.lost:
            reason = "the stream has it no more, and must have it for ever"
            yield answer("second copy", about, holds=False, reason=reason)
        elif copy is None:
            yield _copy_missing(evidence, logged.sequence)
        elif logged.sequence in evidence.copied:
            reason = "it has left the stream, and no archive vouches for it"
            yield Finding(question="second copy", about=about, verdict=Verdict.UNKNOWN, reason=reason)
        else:
            yield answer("second copy", about, copy == logged.payload, "stream and copy differ")


def check_archive(evidence: Evidence) -> Iterator[Finding]:
    """What was read of the archive is what was archived, and tells the same as the stream."""
    for part, fault in evidence.archive.items():
        yield answer("archive", part, fault is None, fault or "")
    for logged in evidence.events:
        archived = evidence.archived.get(logged.sequence, logged.payload)
        if archived != logged.payload:
            yield answer("archive", f"message {logged.sequence}", holds=False, reason="stream and archive differ")


def check_rows(evidence: Evidence) -> Iterator[Finding]:
    """The tables say of the operation and of every item what the log says, as far as they have come."""
    if evidence.projected is None:
        yield Finding(question="row", about="the tables", verdict=Verdict.UNKNOWN, reason="they were not read")
        return
    told = replace(evidence, events=[each for each in evidence.events if each.sequence <= evidence.projected])
    asked = next(facts(told, Requested), None)
    if asked is None:
        if len(told.events) < len(evidence.events):
            reason = "they do not have it yet"
            yield Finding(question="row", about="the tables", verdict=Verdict.UNKNOWN, reason=reason)
        return
    expected = _rows_by_the_log(told, asked)
    for index in sorted(expected.keys() | evidence.rows.keys()):
        kept, said = evidence.rows.get(index), expected.get(index)
        yield answer(
            "row", f"item {index}", kept == said, f"the tables have {_shown(kept)}, the log says {_shown(said)}"
        )
    statuses = Counter(row.status for row in expected.values())
    operation = OperationRow(
        collection=asked.collection,
        recipient=asked.recipient,
        total=asked.total,
        completed=statuses["success"],
        failed=statuses["failed"],
        ended=any(facts(told, Completed)),
    )
    reason = f"the tables have {_shown(evidence.row)}, the log says {_shown(operation)}"
    yield answer("row", "operation", evidence.row == operation, reason)


def _copy_missing(evidence: Evidence, sequence: int) -> Finding:
    """Return what it means that a message has no second copy."""
    verdict = Verdict.UNKNOWN
    if evidence.projected is None or sequence < evidence.copied_from:
        reason = "there is no copy"
    elif sequence > evidence.projected:
        reason = "the tables do not have it yet"
    else:
        verdict, reason = Verdict.BROKEN, "the tables have lost it"
    return Finding(question="second copy", about=f"message {sequence}", verdict=verdict, reason=reason)


def _rows_by_the_log(evidence: Evidence, asked: Requested) -> dict[int, Row]:
    """Return the rows that the items should have."""
    minted = {leaf.item: (fact, leaf) for fact in latest(evidence).values() for leaf in fact.leaves}
    uris = {item.index: item.uri for fact in facts(evidence, Pinned) for item in fact.items}
    failed = failures(evidence)
    rows: dict[int, Row] = {}
    for index in range(asked.total):
        status = "failed" if index in failed else "pending"
        rows[index] = Row(status, ipfs_uri=uris.get(index))
        if index in minted:
            fact, leaf = minted[index]
            rows[index] = Row("success", fact.signature, leaf.asset_id, leaf.leaf_index, uris.get(index))
    return rows


def _shown(row: Row | OperationRow | None) -> str:
    """Return what a row says, without what it does not say."""
    if row is None:
        return "nothing"
    told = ((each.name, getattr(row, each.name)) for each in fields(row))
    return ", ".join(f"{name} {value}" for name, value in told if value is not None)
