"""Was any item minted twice? The question that the whole of Mintstream is about. Pure.

Part of `checks`, which asks it. Looked at is every transaction that can have minted one of the items: each attempt that
the log tells of, and what else the chain holds under the marks of the operation's transactions, which the log may have
lost. What a transaction minted is read from its own instructions, and known by its content; between items of equal
content the log's word decides. Only what the program verified to be of the collection counts: a mark can be named by
anybody, and the collection's authority is ours alone.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from audit.evidence import Evidence
from audit.report import Finding, Verdict, answer
from audit.standing import attempted, facts, failures, latest
from bubblegum.changes import Minted, Unknown
from bubblegum.decode import decode
from contracts.mint import Confirmed, Finalized, Pinned, Signed, transaction_label

QUESTION = "minted once"

Content = tuple[str, str, str]
"""Owner, name and URI: what tells one item of a chunk from another."""


@dataclass(frozen=True, slots=True)
class Mint:
    """One asset on chain, and the transaction that minted it."""

    asset_id: str
    signature: str


@dataclass(slots=True)
class _Chunk:
    """What the chain holds of a chunk's items."""

    alike: Mapping[Content, Sequence[int]]
    """The items of each content."""
    minted: Mapping[int, list[Mint]]
    """By item."""
    foreign: list[Mint] = field(default_factory=list[Mint])
    """Of the collection, under the chunk's marks, and like none of its items."""

    @classmethod
    def of(cls, pinned: Pinned) -> "_Chunk":
        alike: dict[Content, list[int]] = {}
        for item in pinned.items:
            alike.setdefault((pinned.recipient, item.name, item.uri), []).append(item.index)
        return cls(alike, {item.index: [] for item in pinned.items})

    def take(self, change: Minted, signature: str, claimed: int | None) -> None:
        """Count an asset for the item that the log names, if it is like it, else for one that is and has none yet."""
        mint = Mint(str(change.asset_id), signature)
        alike = self.alike.get((str(change.owner), change.metadata.name, change.metadata.uri), ())
        if not alike:
            self.foreign.append(mint)
        elif claimed is not None and claimed in alike:
            self.minted[claimed].append(mint)
        else:
            self.minted[next((index for index in alike if not self.minted[index]), alike[0])].append(mint)


@dataclass(frozen=True, slots=True)
class _Known:
    """What log and chain know of the operation's transactions, worked out once for all of its chunks."""

    evidence: Evidence
    places: Mapping[int, Sequence[tuple[str, Set[str], str | None]]]
    """By chunk, of each transaction: its label, every signature that log or chain tell of, and the one that stands."""
    claims: Mapping[str, tuple[int, ...]]
    """By signature: the items that the log says it mints, in their order."""
    trees: Set[str]
    """The trees that the log says they are minted into."""

    @classmethod
    def of(cls, evidence: Evidence) -> "_Known":
        standing = {place: fact.signature for place, fact in latest(evidence).items()}
        places: dict[int, list[tuple[str, Set[str], str | None]]] = {}
        for place, signatures in attempted(evidence).items():
            label = transaction_label(evidence.operation, *place)
            known = {*signatures, *evidence.marked.get(label, ())}
            places.setdefault(place[0], []).append((label, known, standing.get(place)))
        claims: dict[str, tuple[int, ...]] = {}
        for signed in facts(evidence, Signed):
            claims |= {each.signature: signed.items for each in (*signed.earlier, signed.attempt)}
        claims |= {fact.signature: tuple(leaf.item for leaf in fact.leaves) for fact in facts(evidence, Confirmed)}
        return cls(evidence, places, claims, {fact.tree for fact in facts(evidence, Signed)})

    def on_chain(self, pinned: Pinned) -> _Chunk:
        """Return what the transactions of a chunk minted that landed."""
        chunk = _Chunk.of(pinned)
        known = {signature for _, signatures, _ in self.places.get(pinned.chunk, ()) for signature in signatures}
        # First those of which the log tells: what it does not know takes what is left.
        for signature in sorted(known, key=lambda one: (one not in self.claims, one)):
            transaction = self.evidence.transactions.get(signature)
            if transaction is None or transaction.err is not None:
                continue
            claimed = self.claims.get(signature, ())
            minted = (change for change in decode(transaction) if isinstance(change, Minted))
            ours = (change for change in minted if str(change.collection) == self.evidence.collection_address)
            for position, change in enumerate(ours):
                chunk.take(change, signature, claimed[position] if position < len(claimed) else None)
        return chunk

    def gap(self, chunk: int) -> str | None:
        """Return why there may be more of a chunk on chain than was found; None when all of it was looked at."""
        evidence = self.evidence
        if evidence.collection_address is None:
            return "the log does not tell the collection's address"
        for label, signatures, stands in self.places.get(chunk, ()):
            marked = evidence.marked.get(label)
            if marked is None:
                return evidence.silences.get(label, "there was no answer")
            for signature in sorted(signatures):
                if signature not in evidence.transactions:
                    return evidence.silences.get(signature, "there was no answer")
                there = evidence.transactions[signature] is not None
                if signature in marked and not there:
                    return f"the node lists {signature} and does not show it"
                if signature == stands and there and signature not in marked:
                    return f"the node knows {signature} and does not find it by its mark"
                if self._has_unread(signature):
                    return f"what {signature} did cannot be read"
        return None

    def _has_unread(self, signature: str) -> bool:
        """Whether the transaction may have minted of the chunk what `on_chain` cannot read.

        One of ours, whatever it is; one of others', which name a mark as they please, only where it changed our trees.
        """
        transaction = self.evidence.transactions.get(signature)
        unread = [] if transaction is None else [each for each in decode(transaction) if isinstance(each, Unknown)]
        if signature in self.claims:
            return bool(unread)
        return any(str(log.tree) in self.trees for each in unread for log in each.change_logs)


def check_doubles(evidence: Evidence) -> Iterator[Finding]:
    """No item was minted twice, and each that the log calls minted is in exactly one transaction that landed."""
    known, told, failed = _Known.of(evidence), _told(evidence), failures(evidence)
    for pinned in {fact.chunk: fact for fact in facts(evidence, Pinned)}.values():
        chunk, gap = known.on_chain(pinned), known.gap(pinned.chunk)
        for mint in chunk.foreign:
            reason = f"{mint.signature} minted it, and nothing in its chunk is like it"
            yield answer(QUESTION, mint.asset_id, holds=False, reason=reason)
        for index, mints in sorted(chunk.minted.items()):
            about, by_log = f"item {index}", told.get(index, frozenset())
            fault = _fault(by_log, mints, failed=index in failed)
            if fault is None and gap is not None:
                yield Finding(question=QUESTION, about=about, verdict=Verdict.UNKNOWN, reason=gap)
            elif fault is None and by_log and not mints:
                yield answer(QUESTION, about, holds=False, reason="no transaction that landed has minted it")
            else:
                yield answer(QUESTION, about, fault is None, fault or "")


def _told(evidence: Evidence) -> Mapping[int, Set[str]]:
    """Return by item the signatures of the transactions that minted it for good, as the log has it."""
    count = {fact.signature for fact in latest(evidence).values()}
    count |= {fact.signature for fact in facts(evidence, Finalized)}
    told: dict[int, set[str]] = {}
    for fact in facts(evidence, Confirmed):
        if fact.signature in count:
            for leaf in fact.leaves:
                told.setdefault(leaf.item, set()).add(fact.signature)
    return told


def _fault(told: Set[str], mints: Sequence[Mint], *, failed: bool) -> str | None:
    """Return what is wrong with an item by what is known of it; None when nothing is."""
    if len(mints) > 1:
        return "minted twice: " + ", ".join(f"{mint.asset_id} by {mint.signature}" for mint in mints)
    if len(told) > 1:
        return f"the log tells of more than one mint of it: {', '.join(sorted(told))}"
    if mints and told and mints[0].signature not in told:
        return f"the log says that {min(told)} minted it, and {mints[0].signature} did"
    if mints and failed and not told:
        return f"the log says that it failed, and {mints[0].signature} minted it"
    return None
