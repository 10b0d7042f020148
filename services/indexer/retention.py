"""May the messages of an operation leave the stream? Pure: decided from all that was said of it.

Used by `pruning`. Which messages it is about, and why no others, is told in `contracts.leaving`; here is when: never
before nothing more can happen to the operation, not even by a fork.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from chassis.log import RawMessage
from contracts.leaving import may_leave
from contracts.mint import Completed, Confirmed, Failed, Finalized, PinFailed, Pinned, Planned, Requested, Signed
from contracts.registry import UndecodableMessage, decode

Place = tuple[int, int]
"""Chunk and transaction."""


class Reason(StrEnum):
    """Why an operation's messages stay."""

    NO_COPY = "no copy in the tables: run `mintstream archive restore-copies`"
    UNREADABLE = "a message that nobody can read"
    RUNNING = "not completed"
    NOT_FINAL = "a transaction that is not final"
    YOUNG = "not old enough"
    NOT_ARCHIVED = "not in the archive"
    ARCHIVE_DIFFERS = "the archive has other messages"
    LOG_DIFFERS = "the log has other messages"


def judge(said: Sequence[RawMessage], until: datetime) -> frozenset[int] | Reason:
    """Return the sequences of what may leave, or why nothing may.

    `said` is the copy of everything about one operation, in order. If any of it was stored at `until` or later, all of
    it stays.
    """
    try:
        facts: list[object] = [decode(raw.subject, raw.payload).data for raw in said]
    except UndecodableMessage:
        return Reason.UNREADABLE
    requested = next((fact for fact in facts if isinstance(fact, Requested)), None)
    if requested is None:
        return Reason.NO_COPY  # copies are dropped from the oldest on, and the request is the first
    if not any(isinstance(fact, Completed) for fact in facts):
        return Reason.RUNNING
    if not _is_over(requested, facts):
        return Reason.NOT_FINAL
    if any(raw.stored_at >= until for raw in said):
        return Reason.YOUNG
    return may_leave((raw.sequence, raw.subject) for raw in said)


def _is_over(requested: Requested, facts: Iterable[object]) -> bool:
    """Return whether each item came to an end, and the last word of each of its transactions is that end."""
    newest: dict[Place, object] = {}
    pinned: set[int] = set()
    plans: dict[int, Planned] = {}
    refused: set[int] = set()
    for fact in facts:
        if isinstance(fact, Signed | Confirmed | Finalized | Failed):
            newest[fact.chunk, fact.tx] = fact
        if isinstance(fact, Failed):
            refused.update(fact.failure.items)
        elif isinstance(fact, PinFailed):
            refused.update(index for failure in fact.failures for index in failure.items)
        elif isinstance(fact, Pinned):
            pinned.add(fact.chunk)
        elif isinstance(fact, Planned):
            plans[fact.chunk] = fact
    planned = {(chunk, each.tx): each.items for chunk, plan in plans.items() for each in plan.transactions}
    # Counted, not held to a set of all items: a request can claim any number of them.
    ended = refused.union(*planned.values())
    return (
        pinned <= plans.keys()
        and planned.keys() <= newest.keys()
        and all(isinstance(fact, Finalized | Failed) for fact in newest.values())
        and len(ended) == requested.total == max(ended, default=-1) + 1
    )
