"""The questions of an audit, one function each: what the log says, held to its second copy, the chain and the content.

Each yields a finding for everything that it looks at. Nothing here trusts an event because another event says the same:
the chain's own transactions, the bytes behind a CID and the tree's root decide.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import TypeVar

from audit.evidence import Evidence, OperationRow, Row
from audit.report import Finding, Report, Verdict, report_of
from bubblegum import hashing
from bubblegum.changes import Minted
from bubblegum.decode import decode
from bubblegum.leaf import LeafSchema
from bubblegum.transaction import ExecutedTransaction
from contracts.fact import Fact
from contracts.mint import (
    Cancelled,
    Completed,
    Confirmed,
    Failed,
    Finalized,
    MintedLeaf,
    PinFailed,
    Pinned,
    PinnedItem,
    Requested,
    Signed,
)

F = TypeVar("F", bound=Fact)

Check = Callable[[Evidence], Iterator[Finding]]
Place = tuple[int, int]
"""Chunk and transaction."""

_COMMANDS = (Requested, Cancelled)


def audit(evidence: Evidence) -> Report:
    """Return the operation's story and the answer to every question."""
    return report_of(evidence, tuple(finding for check in CHECKS for finding in check(evidence)))


def is_known(evidence: Evidence) -> bool:
    """Return whether the log, its copy or the tables have ever heard of the operation."""
    return bool(evidence.events or evidence.unreadable or evidence.copies or evidence.row or evidence.rows)


def check_readable(evidence: Evidence) -> Iterator[Finding]:
    """There is a request, and every message of the operation can be read."""
    asked = sum(isinstance(logged.fact, Requested) for logged in evidence.events)
    yield _answer("one request", str(evidence.operation), asked == 1, f"there are {asked} requests")
    for sequence, reason in evidence.unreadable.items():
        yield _answer("readable", f"message {sequence}", holds=False, reason=reason)


def check_copies(evidence: Evidence) -> Iterator[Finding]:
    """Every message is what its second copy says, and none is missing."""
    there = {logged.sequence for logged in evidence.events} | evidence.unreadable.keys()
    for sequence in sorted(evidence.copies.keys() - there):
        yield _answer("second copy", f"message {sequence}", holds=False, reason="the stream has it no more")
    for logged in evidence.events:
        copy = evidence.copies.get(logged.sequence)
        about = f"message {logged.sequence}"
        if copy is None:
            yield _copy_missing(evidence, logged.sequence)
        elif logged.sequence in evidence.copied:
            reason = "it has left the stream, and no archive vouches for it"
            yield Finding(question="second copy", about=about, verdict=Verdict.UNKNOWN, reason=reason)
        else:
            yield _answer("second copy", about, copy == logged.payload, "stream and copy differ")


def check_archive(evidence: Evidence) -> Iterator[Finding]:
    """What was read of the archive is what was archived, and tells the same as the stream."""
    for part, fault in evidence.archive.items():
        yield _answer("archive", part, fault is None, fault or "")
    for logged in evidence.events:
        archived = evidence.archived.get(logged.sequence, logged.payload)
        if archived != logged.payload:
            yield _answer("archive", f"message {logged.sequence}", holds=False, reason="stream and archive differ")


def check_causes(evidence: Evidence) -> Iterator[Finding]:
    """Every event but a command was caused by an event that was there before it."""
    before = set(evidence.elsewhere)
    for logged in evidence.events:
        cause, about = logged.event.causation_id, f"{logged.subject} ({logged.event.id})"
        if cause is None:
            yield _answer("cause", about, isinstance(logged.fact, _COMMANDS), "it is no command, and has no cause")
        else:
            yield _answer("cause", about, cause in before, f"no event {cause} was there before it")
        before.add(logged.event.id)


def check_signatures(evidence: Evidence) -> Iterator[Finding]:
    """Every confirmed transaction was intended before it was confirmed, and is on chain without an error."""
    intended: dict[Place, set[str]] = {}
    for logged in evidence.events:
        fact = logged.fact
        if isinstance(fact, Signed):
            attempts = (*fact.earlier, fact.attempt)
            intended.setdefault((fact.chunk, fact.tx), set()).update(each.signature for each in attempts)
        elif isinstance(fact, Confirmed):
            signatures = intended.get((fact.chunk, fact.tx), set())
            yield _answer("intended", fact.signature, fact.signature in signatures, "no signed event tells of it")
    for fact in latest(evidence).values():
        if fact.signature not in evidence.transactions:
            yield _unknown(evidence, "on chain", fact.signature)
            continue
        transaction = evidence.transactions[fact.signature]
        there = transaction is not None and transaction.err is None and transaction.slot == fact.slot
        yield _answer("on chain", fact.signature, there, _why_not_there(transaction, fact.slot))


def check_finality(evidence: Evidence) -> Iterator[Finding]:
    """Every confirmed transaction is final, in the slot that it was confirmed in."""
    final = {(fact.chunk, fact.tx, fact.signature): fact.slot for fact in _facts(evidence, Finalized)}
    for (chunk, tx), fact in latest(evidence).items():
        slot = final.get((chunk, tx, fact.signature))
        if slot is None:
            reason = "the log does not say so yet"
            yield Finding(question="final", about=fact.signature, verdict=Verdict.UNKNOWN, reason=reason)
        else:
            reason = f"it is final in slot {slot}, and was confirmed in {fact.slot}"
            yield _answer("final", fact.signature, slot == fact.slot, reason)


def check_leaves(evidence: Evidence) -> Iterator[Finding]:
    """Every confirmed leaf is the transaction's own, and its hash follows from the metadata that was pinned."""
    items = {item.index: item for fact in _facts(evidence, Pinned) for item in fact.items}
    for fact in latest(evidence).values():
        transaction = evidence.transactions.get(fact.signature)
        if transaction is None:
            continue  # told by `check_signatures`
        minted = {str(change.asset_id): change for change in decode(transaction) if isinstance(change, Minted)}
        for leaf in fact.leaves:
            reason = _why_not_minted(leaf, minted.get(leaf.asset_id), items.get(leaf.item), fact.tree)
            yield _answer("leaf", leaf.asset_id, reason is None, reason or "")


def check_contents(evidence: Evidence) -> Iterator[Finding]:
    """The bytes behind every pinned URI have its CID."""
    items = (item for fact in _facts(evidence, Pinned) for item in fact.items)
    for uri in dict.fromkeys(uri for item in items for uri in (item.uri, item.image_uri)):
        if uri not in evidence.contents:
            yield _unknown(evidence, "content", uri)
        elif (same := evidence.contents[uri]) is None:
            yield Finding(question="content", about=uri, verdict=Verdict.UNKNOWN, reason="nobody has the bytes")
        else:
            yield _answer("content", uri, same, "the bytes have another CID")


def check_roots(evidence: Evidence) -> Iterator[Finding]:
    """The proof of every asset leads to a root of its tree on chain, as its leaf is now."""
    for fact in latest(evidence).values():
        for leaf in fact.leaves:
            proof = evidence.proofs.get(leaf.asset_id)
            if proof is None:
                yield _unknown(evidence, "root", leaf.asset_id)
            else:
                yield _answer("root", leaf.asset_id, proof, "its proof leads to no root of the tree")


def check_rows(evidence: Evidence) -> Iterator[Finding]:
    """The tables say of the operation and of every item what the log says, as far as they have come."""
    if evidence.projected is None:
        yield Finding(question="row", about="the tables", verdict=Verdict.UNKNOWN, reason="they were not read")
        return
    told = replace(evidence, events=[each for each in evidence.events if each.sequence <= evidence.projected])
    asked = next(_facts(told, Requested), None)
    if asked is None:
        if len(told.events) < len(evidence.events):
            reason = "they do not have it yet"
            yield Finding(question="row", about="the tables", verdict=Verdict.UNKNOWN, reason=reason)
        return
    expected = _rows_by_the_log(told, asked)
    for index in sorted(expected.keys() | evidence.rows.keys()):
        kept, said = evidence.rows.get(index), expected.get(index)
        yield _answer(
            "row", f"item {index}", kept == said, f"the tables have {_shown(kept)}, the log says {_shown(said)}"
        )
    statuses = Counter(row.status for row in expected.values())
    operation = OperationRow(
        collection=asked.collection,
        recipient=asked.recipient,
        total=asked.total,
        completed=statuses["success"],
        failed=statuses["failed"],
        ended=any(_facts(told, Completed)),
    )
    reason = f"the tables have {_shown(evidence.row)}, the log says {_shown(operation)}"
    yield _answer("row", "operation", evidence.row == operation, reason)


def check_totals(evidence: Evidence) -> Iterator[Finding]:
    """What the operation's end says are the numbers of its items."""
    minted = {leaf.item for fact in latest(evidence).values() for leaf in fact.leaves}
    for fact in _facts(evidence, Completed):
        reason = f"it tells of {fact.minted} minted items, there are {len(minted)}"
        yield _answer("totals", str(evidence.operation), fact.minted == len(minted), reason)


CHECKS: tuple[Check, ...] = (
    check_readable,
    check_copies,
    check_archive,
    check_causes,
    check_signatures,
    check_finality,
    check_leaves,
    check_contents,
    check_roots,
    check_rows,
    check_totals,
)


def latest(evidence: Evidence) -> Mapping[Place, Confirmed]:
    """Return the last confirmation of each transaction that stands: after a fork an earlier one is nothing any more."""
    standing: dict[Place, Confirmed] = {}
    for logged in evidence.events:
        fact = logged.fact
        if isinstance(fact, Confirmed):
            standing[fact.chunk, fact.tx] = fact
        elif isinstance(fact, Failed) and fact.dropped is not None:
            standing.pop((fact.chunk, fact.tx), None)
    return standing


def _why_not_minted(leaf: MintedLeaf, change: Minted | None, item: PinnedItem | None, tree: str) -> str | None:
    if change is None:
        return "its transaction did not mint it"
    if item is None:
        return f"item {leaf.item} was never pinned"
    told = (leaf.leaf_index, leaf.nonce, leaf.owner, tree)
    if (change.leaf_index, change.nonce, str(change.owner), str(change.tree)) != told:
        return "index, nonce, owner or tree are not those of its transaction"
    pinned = replace(change.metadata, name=item.name, symbol=item.symbol, uri=item.uri)
    schema: LeafSchema = change.leaf.schema
    recomputed = replace(
        schema, data_hash=hashing.data_hash(pinned), creator_hash=hashing.creator_hash(pinned.creators)
    )
    if recomputed.hash() != change.change_log.leaf:
        return "the tree's leaf does not follow from the metadata that was pinned"
    return None if recomputed.hash().hex() == leaf.leaf_hash else "the log tells another leaf hash"


def _why_not_there(transaction: ExecutedTransaction | None, slot: int) -> str:
    if transaction is None:
        return "the node knows no such transaction"
    if transaction.err is not None:
        return f"it failed: {transaction.err}"
    return f"it is in slot {transaction.slot}, the log says {slot}"


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
    uris = {item.index: item.uri for fact in _facts(evidence, Pinned) for item in fact.items}
    failed = {index for failure in _failures(evidence) for index in failure}
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


def _failures(evidence: Evidence) -> Iterator[tuple[int, ...]]:
    for logged in evidence.events:
        fact = logged.fact
        if isinstance(fact, PinFailed):
            yield from (failure.items for failure in fact.failures)
        elif isinstance(fact, Failed):
            yield fact.failure.items


def _facts(evidence: Evidence, kind: type[F]) -> Iterator[F]:
    return (logged.fact for logged in evidence.events if isinstance(logged.fact, kind))


def _answer(question: str, about: str, holds: bool, reason: str) -> Finding:
    verdict = Verdict.PROVEN if holds else Verdict.BROKEN
    return Finding(question=question, about=about, verdict=verdict, reason="" if holds else reason)


def _unknown(evidence: Evidence, question: str, about: str) -> Finding:
    reason = evidence.silences.get(about, "there was no answer")
    return Finding(question=question, about=about, verdict=Verdict.UNKNOWN, reason=reason)
