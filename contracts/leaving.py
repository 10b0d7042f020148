"""Which messages of a mint operation may leave the stream MINT, and which stay for ever. Pure.

The *last word under every fence* stays: what a compare-and-set is held against can then never look as if nothing had
been said, to no worker, however long it slept. So only `signed` and `confirmed` leave, of transactions whose newest
fact is their end, of operations that are completed. What was asked, pinned, planned and how it ended stays, and with
it the answer to a repeated idempotency key and the list of what has to stay pinned.

Used by whoever removes messages, and by readers who have to tell a message that has left from one that was lost.
"""

from collections.abc import Iterable
from typing import Final

from contracts.mint import Completed, Confirmed, Failed, Finalized, Signed

LEAVING: Final = (Confirmed, Signed)
"""Facts that may leave, in the order in which they do: first what a consumer takes and would look up the other for."""
_LEAVING: Final = frozenset(fact.type() for fact in LEAVING)
_ENDS: Final = frozenset({Finalized.type(), Failed.type()})
_NEEDED: Final = {Finalized.type(): (Confirmed, Signed), Failed.type(): (Signed,)}
"""What was said of a transaction before its end, by the end's type."""
_TOKENS: Final = 6
"""Of a subject about one transaction: noun, fact, version, operation, chunk, tx."""


def operation_of(subject: str) -> str:
    """Return the token that names the operation in a subject of MINT; empty when none does."""
    return (subject.split(".", 4) + [""] * 4)[3]


def operation_patterns(operation: object) -> tuple[str, str]:
    """Return the patterns of all that is ever said of an operation; they overlap nowhere."""
    return f"mint.*.v1.{operation}", f"mint.*.v1.{operation}.>"


def may_leave(said: Iterable[tuple[int, str]]) -> frozenset[int]:
    """Return the sequences of the messages that the stream does not have to hold any more.

    `said` is all that was ever said of some operations: sequences and subjects.
    """
    completed: set[str] = set()
    newest: dict[str, tuple[int, str]] = {}
    leaving: list[tuple[int, str, str]] = []
    for sequence, subject in said:
        noun, fact, version, operation, *place = tokens = subject.split(".")
        kind = f"{noun}.{fact}.{version}"
        if kind == Completed.type():
            completed.add(operation)
        if len(tokens) == _TOKENS:
            transaction = ".".join((operation, *place))
            newest[transaction] = max(newest.get(transaction, (0, "")), (sequence, kind))
            if kind in _LEAVING:
                leaving.append((sequence, operation, transaction))
    return frozenset(
        sequence
        for sequence, operation, transaction in leaving
        if operation in completed and newest[transaction][1] in _ENDS
    )


def has_left(there: Iterable[str]) -> bool:
    """Return whether of an operation, by the subjects that the stream holds, messages may have left.

    May: of a transaction that failed before it was signed there never were any.
    """
    subjects = frozenset(there)
    return any(
        subject.replace(kind, fact.type(), 1) not in subjects
        for subject in subjects
        for kind, facts in _NEEDED.items()
        if subject.startswith(f"{kind}.")
        for fact in facts
    )
