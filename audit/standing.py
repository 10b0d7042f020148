"""What the log says of an operation: its facts, and what of it stands. Pure; for the questions and for `gathering`."""

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from typing import Final, NamedTuple, TypeVar

from audit.evidence import Evidence
from contracts.fact import Fact
from contracts.mint import Confirmed, Failed, FailureCode, PinFailed, Pinned, Planned, Signed

F = TypeVar("F", bound=Fact)

_CODES: Final = frozenset(FailureCode)

Place = tuple[int, int]
"""Chunk and transaction."""


def facts(evidence: Evidence, kind: type[F]) -> Iterator[F]:
    """Return the facts of one kind, in order."""
    return (logged.fact for logged in evidence.events if isinstance(logged.fact, kind))


def latest(evidence: Evidence) -> Mapping[Place, Confirmed]:
    """Return the last confirmation of each transaction that stands: after a fork an earlier one is nothing any more."""
    standing: dict[Place, Confirmed] = {}
    for logged in evidence.events:
        fact = logged.fact
        if isinstance(fact, Confirmed):
            standing[fact.chunk, fact.tx] = fact
        elif isinstance(fact, Failed):
            there = standing.get((fact.chunk, fact.tx))
            if there is not None and there.signature == fact.dropped:
                del standing[fact.chunk, fact.tx]
    return standing


def failures(evidence: Evidence) -> frozenset[int]:
    """Return the items of which the log says that they failed."""
    pinning = (failure.items for fact in facts(evidence, PinFailed) for failure in fact.failures)
    minting = (fact.failure.items for fact in facts(evidence, Failed))
    return frozenset(index for items in (*pinning, *minting) for index in items)


class Numbers(NamedTuple):
    """How many items have ended, by how."""

    minted: int = 0
    failed: int = 0
    cancelled: int = 0


def numbers(evidence: Evidence) -> Iterator[Numbers]:
    """Yield how many items have ended after each event: minted overrules failed, and back goes what a fork dropped."""
    ends: dict[int, str] = {}
    """By item: the signature of what minted it, or the code of its failure."""
    told = Numbers()
    for logged in evidence.events:
        match logged.fact:
            case Confirmed(signature=signature, leaves=leaves):
                ends |= dict.fromkeys((leaf.item for leaf in leaves), signature)
            case Failed(failure=failure, dropped=dropped):
                for index in failure.items:
                    if ends.get(index, dropped) == dropped:
                        ends[index] = failure.code
            case PinFailed(failures=refused):
                for failure in refused:
                    ends = dict.fromkeys(failure.items, failure.code.value) | ends
            case _:
                yield told
                continue
        kinds = Counter(end if end in _CODES else "" for end in ends.values())
        cancelled = kinds[FailureCode.CANCELLED]
        told = Numbers(kinds[""], kinds.total() - kinds[""] - cancelled, cancelled)
        yield told


def attempted(evidence: Evidence) -> Mapping[Place, Set[str]]:
    """Return every signature that the log tells of, by the transaction that it is of.

    Every transaction that a chunk can have is there: one for each of its items at the most, whatever its plan says,
    because the log may have lost another one.
    """
    found: dict[Place, set[str]] = {}
    for logged in evidence.events:
        match logged.fact:
            case Pinned(chunk=chunk, items=items):
                for tx in range(len(items)):
                    found.setdefault((chunk, tx), set())
            case Planned(chunk=chunk, transactions=transactions):
                for planned in transactions:
                    found.setdefault((chunk, planned.tx), set())
            case Signed(chunk=chunk, tx=tx, attempt=attempt, earlier=earlier):
                found.setdefault((chunk, tx), set()).update(each.signature for each in (*earlier, attempt))
            case Confirmed(chunk=chunk, tx=tx, signature=signature):
                found.setdefault((chunk, tx), set()).add(signature)
            case _:
                pass
    return found
