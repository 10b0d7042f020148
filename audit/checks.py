"""The questions of an audit, one function each: what the log says, held to its second copy, the chain and the content.

Those about our own records are in `records`, the one about doubles in `doubles`. Each yields a finding for everything
that it looks at. Nothing here trusts an event because another event says the same: the chain's own transactions, the
bytes behind a CID and the tree's root decide.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from uuid import UUID

from audit.doubles import check_doubles
from audit.evidence import Evidence
from audit.records import check_archive, check_copies, check_rows
from audit.report import Finding, Report, Verdict, answer, report_of
from audit.standing import Numbers, Place, facts, latest, numbers
from bubblegum import hashing
from bubblegum.changes import Minted
from bubblegum.decode import decode
from bubblegum.leaf import LeafSchema
from bubblegum.transaction import ExecutedTransaction
from contracts.mint import (
    Cancelled,
    Completed,
    Confirmed,
    Finalized,
    MintedLeaf,
    Nft,
    Pinned,
    PinnedItem,
    Requested,
    Signed,
)

Check = Callable[[Evidence], Iterator[Finding]]
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
    yield answer("one request", str(evidence.operation), asked == 1, f"there are {asked} requests")
    for sequence, reason in evidence.unreadable.items():
        yield answer("readable", f"message {sequence}", holds=False, reason=reason)


def check_causes(evidence: Evidence) -> Iterator[Finding]:
    """Every event but a command was caused by an event that was there before it.

    The last time that it was said: after a loss the guard repeats what stands before what it followed from.
    """
    before = set(evidence.elsewhere)
    newest = {logged.event.id: logged.sequence for logged in evidence.events}
    for logged in evidence.events:
        if newest[logged.event.id] != logged.sequence:
            continue
        cause, about = logged.event.causation_id, f"{logged.subject} ({logged.event.id})"
        if cause is None:
            yield answer("cause", about, isinstance(logged.fact, _COMMANDS), "it is no command, and has no cause")
        else:
            yield answer("cause", about, cause in before, f"no event {cause} was there before it")
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
            yield answer("intended", fact.signature, fact.signature in signatures, "no signed event tells of it")
    for fact in latest(evidence).values():
        if fact.signature not in evidence.transactions:
            yield _unknown(evidence, "on chain", fact.signature)
            continue
        transaction = evidence.transactions[fact.signature]
        there = transaction is not None and transaction.err is None and transaction.slot == fact.slot
        yield answer("on chain", fact.signature, there, _why_not_there(transaction, fact.slot))


def check_finality(evidence: Evidence) -> Iterator[Finding]:
    """Every confirmed transaction is final, in the slot that it was confirmed in."""
    final = {(fact.chunk, fact.tx, fact.signature): fact.slot for fact in facts(evidence, Finalized)}
    for (chunk, tx), fact in latest(evidence).items():
        slot = final.get((chunk, tx, fact.signature))
        if slot is None:
            reason = "the log does not say so yet"
            yield Finding(question="final", about=fact.signature, verdict=Verdict.UNKNOWN, reason=reason)
        else:
            reason = f"it is final in slot {slot}, and was confirmed in {fact.slot}"
            yield answer("final", fact.signature, slot == fact.slot, reason)


def check_leaves(evidence: Evidence) -> Iterator[Finding]:
    """Every confirmed leaf is the transaction's own, as it was asked for, and its hash follows from what was pinned."""
    items = {item.index: item for fact in facts(evidence, Pinned) for item in fact.items}
    asked = {item.index: (fact, fact.nfts[item.nft]) for fact in facts(evidence, Requested) for item in fact.items()}
    for fact in latest(evidence).values():
        transaction = evidence.transactions.get(fact.signature)
        if transaction is None:
            continue  # told by `check_signatures`
        minted = {str(change.asset_id): change for change in decode(transaction) if isinstance(change, Minted)}
        for leaf in fact.leaves:
            reason = _why_not_asked_for(leaf, items.get(leaf.item), asked.get(leaf.item)) or _why_not_minted(
                leaf, minted.get(leaf.asset_id), items.get(leaf.item), fact.tree
            )
            yield answer("leaf", leaf.asset_id, reason is None, reason or "")


def check_contents(evidence: Evidence) -> Iterator[Finding]:
    """The bytes behind every pinned URI have its CID."""
    items = (item for fact in facts(evidence, Pinned) for item in fact.items)
    for uri in dict.fromkeys(uri for item in items for uri in (item.uri, item.image_uri)):
        if uri not in evidence.contents:
            yield _unknown(evidence, "content", uri)
        elif (same := evidence.contents[uri]) is None:
            yield Finding(question="content", about=uri, verdict=Verdict.UNKNOWN, reason="nobody has the bytes")
        else:
            yield answer("content", uri, same, "the bytes have another CID")


def check_roots(evidence: Evidence) -> Iterator[Finding]:
    """The proof of every asset leads to a root of its tree on chain, as its leaf is now."""
    for fact in latest(evidence).values():
        for leaf in fact.leaves:
            proof = evidence.proofs.get(leaf.asset_id)
            if proof is None:
                yield _unknown(evidence, "root", leaf.asset_id)
            else:
                yield answer("root", leaf.asset_id, proof, "its proof leads to no root of the tree")


def check_totals(evidence: Evidence) -> Iterator[Finding]:
    """The operation is over, and its end says the numbers of its items, each of which had come to its own end.

    Numbers of when it was decided on, between what caused it and itself: a fork may change them afterwards.
    """
    asked = next(facts(evidence, Requested), None)
    if asked is None:
        return  # told by `check_readable`
    about, after, places = str(evidence.operation), tuple(numbers(evidence)), dict[UUID, int]()
    for place, logged in enumerate(evidence.events):
        places.setdefault(logged.event.id, place)
        if isinstance(fact := logged.fact, Completed):
            told = Numbers(fact.minted, fact.failed, fact.cancelled)
            cause = places.get(logged.event.causation_id or logged.event.id, place)
            holds = told in after[cause : place + 1] and fact.total == asked.total == sum(told)
            reason = f"of {asked.total} items, it tells of {_shown(told)}, and there are {_shown(after[place])}"
            yield answer("totals", about, holds, reason)
    if not any(facts(evidence, Completed)):
        reason = f"the log does not say that it is over: of {asked.total} items, there are {_shown(after[-1])}"
        yield Finding(question="totals", about=about, verdict=Verdict.UNKNOWN, reason=reason)


CHECKS: tuple[Check, ...] = (
    check_readable,
    check_copies,
    check_archive,
    check_causes,
    check_signatures,
    check_finality,
    check_leaves,
    check_doubles,
    check_contents,
    check_roots,
    check_rows,
    check_totals,
)


def _why_not_asked_for(leaf: MintedLeaf, item: PinnedItem | None, asked: tuple[Requested, Nft] | None) -> str | None:
    if asked is None:
        return f"nobody has asked for item {leaf.item}"
    request, nft = asked
    if leaf.owner != request.recipient:
        return f"it was to be {request.recipient}'s, and was minted to {leaf.owner}"
    if item is not None and (item.name != nft.name or nft.symbol not in (None, item.symbol)):
        return f"{nft.name!r} was asked for, and {item.name!r} was pinned"
    return None


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


def _shown(ended: Numbers) -> str:
    return f"{ended.minted} minted, {ended.failed} failed and {ended.cancelled} cancelled"


def _why_not_there(transaction: ExecutedTransaction | None, slot: int) -> str:
    if transaction is None:
        return "the node knows no such transaction"
    if transaction.err is not None:
        return f"it failed: {transaction.err}"
    return f"it is in slot {transaction.slot}, the log says {slot}"


def _unknown(evidence: Evidence, question: str, about: str) -> Finding:
    reason = evidence.silences.get(about, "there was no answer")
    return Finding(question=question, about=about, verdict=Verdict.UNKNOWN, reason=reason)
