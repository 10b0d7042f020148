"""Has a stream lost its tail, and what is to be put back? Pure.

Used by the guard. What the stream holds is compared with its second copy (`event_log`, another disk) and with the
newest messages that anybody knows to have been acknowledged (witnesses). Subjects and payloads count; headers do not,
because a restored message is stored without the conditions of its first publish.
"""

from collections.abc import Container, Sequence, Set
from dataclasses import dataclass
from typing import Final

from chassis.log import RawMessage
from contracts.collection import CollectionImportRequested, CollectionRequested, CollectionSigned
from contracts.guard import Hole
from contracts.leaving import operation_of
from contracts.mint import Requested, Signed
from contracts.registry import type_of

PARTITION: Final = 1_000_000
"""Sequences of a partition of `event_log` (`sql/migrations`, reach_event_log)."""
_REQUESTS: Final = frozenset(fact.type() for fact in (Requested, CollectionRequested, CollectionImportRequested))


@dataclass(frozen=True, slots=True)
class Loss:
    """Messages from sequence `first` on, up to `expected` at least, are not what they were."""

    first: int
    expected: int
    replaced: bool
    """Other messages stand at the lost sequences: what is put back gets new ones."""


def missing_among(kept: Sequence[RawMessage], logged: Sequence[RawMessage]) -> list[RawMessage]:
    """Return the kept messages that the stream does not hold although it holds later ones; both are in order."""
    there, end = {raw.sequence for raw in logged}, logged[-1].sequence if logged else 0
    return [raw for raw in kept if raw.sequence < end and raw.sequence not in there]


def first_difference(
    kept: Sequence[RawMessage], logged: Sequence[RawMessage], left: Set[int] = frozenset()
) -> int | None:
    """Return the first sequence at which the two copies differ; both are in order and begin at the same one.

    Only what both hold is compared: the longer one's rest says nothing here, nor does what was `left` to the archive.
    """
    holes = (raw.sequence for raw in missing_among(kept, logged) if raw.sequence not in left)
    there = {raw.sequence: raw for raw in logged}
    others = (
        one.sequence
        for one in kept
        if (other := there.get(one.sequence)) and (one.subject, one.payload) != (other.subject, other.payload)
    )
    return min((*holes, *others), default=None)


def judge(last: int, watermark: int, difference: int | None, witnessed: int) -> Loss | None:
    """Return what a stream has lost; None when it has everything that is known of.

    `last` is its last sequence, `watermark` that of its second copy, `difference` the first sequence at which the two
    differ, `witnessed` the newest sequence that is known to have been acknowledged and is not there (0: none).
    """
    expected = max(watermark, witnessed)
    if difference is not None:
        return Loss(first=difference, expected=expected, replaced=True)
    if last < expected:
        return Loss(first=last + 1, expected=expected, replaced=False)
    if witnessed:
        # Something else stands where the witness was, and the second copy had not come so far.
        return Loss(first=min(watermark + 1, witnessed), expected=expected, replaced=True)
    return None


def to_append(missing: Sequence[RawMessage], said: Container[str], present: Container[bytes]) -> list[RawMessage]:
    """Return the lost messages that are to be said again although others have spoken since, in order.

    `said` are the subjects that the stream holds, `present` the payloads of what was stored since the loss. What was
    said anew stands. A `signed` is put back all the same: its bytes may be on their way to the chain, while nobody
    sends what was signed before the log was verified.
    """
    return [
        message
        for message in missing
        if message.payload not in present and (message.subject not in said or _is_signed(message.subject))
    ]


def to_repeat(messages: Sequence[RawMessage]) -> list[RawMessage]:
    """Return those of the messages, which are in order, that stand only before the request of what they speak of.

    They were said by somebody who had the request in hand when it was lost. Whoever reads the log in its order does not
    know what they are about.
    """
    requested: dict[str, int] = {}
    for place, message in enumerate(messages):
        if type_of(message.subject) in _REQUESTS:
            requested.setdefault(operation_of(message.subject), place)
    early: list[RawMessage] = []
    behind: set[bytes] = set()
    for place, message in enumerate(messages):
        if place < requested.get(operation_of(message.subject), 0):
            early.append(message)
        else:
            behind.add(message.payload)
    return [message for message in early if message.payload not in behind]


def dropped_before(kept: Sequence[RawMessage], first: int) -> int | None:
    """Return the sequence before which copies were dropped, from `first` on; None when none were.

    `kept` is in order. Copies are dropped by whole partitions, and restored from the oldest on: where one begins behind
    a gap, what is missing is in the archive.
    """
    before = first - 1
    for raw in kept:
        if raw.sequence != before + 1 and raw.sequence % PARTITION == 1:
            return raw.sequence
        before = raw.sequence
    return None


def holes_of(lost: Sequence[RawMessage]) -> tuple[Hole, ...]:
    """Return the sequences of messages that are in order, neighbours as one."""
    holes: list[Hole] = []
    for raw in lost:
        if holes and holes[-1].last == raw.sequence - 1:
            holes[-1] = Hole(first=holes[-1].first, last=raw.sequence)
        else:
            holes.append(Hole(first=raw.sequence, last=raw.sequence))
    return tuple(holes)


def covers(holes: Sequence[Hole], first: int, last: int) -> bool:
    """Return whether one of the holes holds all of these sequences."""
    return any(hole.first <= first and last <= hole.last for hole in holes)


def _is_signed(subject: str) -> bool:
    return type_of(subject) in (Signed.type(), CollectionSigned.type())
