"""What webhooks are told, which of them, and when a delivery is tried again: pure decisions.

Used by the handlers. Not done here: reading the log, signatures (`signing`), HTTP.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from chassis.log import Message
from contracts import collection, mint, notification, observation, wallet
from contracts.fact import Fact
from contracts.webhook import DeliveryAttempted, DeliveryQueued, DeliveryState, WebhookConfigured, WebhookState

GONE: Final = 410
"""The receiver wants no more (Standard Webhooks): the webhook is disabled."""
FORSAKEN_SECONDS: Final = 3600.0
"""By how much a delivery has to be overdue before a later one of its thread looks after it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What an event tells, and of what. `operation` is None for what belongs to no operation."""

    event_type: str
    about: str
    operation: UUID | None = None
    for_admins: bool = False
    """Only webhooks that are told of everybody's operations are told of it."""


def subject_of(fact: Fact) -> Subject | None:
    """Return what `fact` tells a receiver; None for what stays between the services."""
    match fact:
        case mint.Confirmed():
            return _of_operation("mint.confirmed", fact.operation)
        case mint.Finalized():
            return _of_operation("mint.finalized", fact.operation)
        case mint.Failed() | mint.PinFailed():
            return _of_operation("mint.failed", fact.operation)
        case mint.Completed():
            return _of_operation("mint.completed", fact.operation)
        case wallet.Paused():
            return Subject("mint.paused", fact.wallet, for_admins=True)
        case wallet.Resumed():
            return Subject("mint.resumed", fact.wallet, for_admins=True)
        case collection.CollectionCreated():
            return Subject("collection.created", str(fact.collection))
        case collection.CollectionFailed():
            return Subject("collection.failed", str(fact.collection))
        case observation.CollectionDrift():
            return Subject("collection.drift", str(fact.collection), for_admins=True)
        case _:
            return None


def _of_operation(event_type: str, operation: UUID) -> Subject:
    return Subject(event_type, str(operation), operation)


def data_of(fact: Fact, confirmed: mint.Confirmed | None = None) -> notification.Data:
    """Return the particulars of a fact that has a subject; `confirmed` is what a `finalized` finalizes, if known."""
    match fact:
        case mint.Confirmed():
            return notification.MintConfirmed(
                collection_id=fact.collection,
                tree_address=fact.tree,
                signature=fact.signature,
                slot=fact.slot,
                items=tuple(
                    notification.MintedItem(
                        index=leaf.item, asset_id=leaf.asset_id, leaf_index=leaf.leaf_index, owner=leaf.owner
                    )
                    for leaf in fact.leaves
                ),
            )
        case mint.Finalized():
            # A fork may have confirmed the items anew under another signature, which has its own end.
            same = confirmed is not None and confirmed.signature == fact.signature
            items = tuple(leaf.item for leaf in confirmed.leaves) if confirmed is not None and same else ()
            return notification.MintFinalized(signature=fact.signature, slot=fact.slot, items=items)
        case mint.Failed():
            return notification.MintFailed(failures=(_failure(fact.failure),))
        case mint.PinFailed():
            return notification.MintFailed(failures=tuple(_failure(each) for each in fact.failures))
        case mint.Completed():
            return notification.MintCompleted(
                total=fact.total, minted=fact.minted, failed=fact.failed, cancelled=fact.cancelled
            )
        case wallet.Paused():
            return notification.WalletPaused(wallet=fact.wallet, balance=fact.balance, needed=fact.needed)
        case wallet.Resumed():
            return notification.WalletResumed(wallet=fact.wallet, balance=fact.balance)
        case collection.CollectionCreated():
            return notification.CollectionCreated(
                collection_id=fact.collection,
                name=fact.name,
                symbol=fact.symbol,
                standard=fact.standard,
                collection_address=fact.collection_address,
                tree_address=fact.tree_address,
                capacity=fact.tree.capacity,
                uri=fact.uri,
                slot=fact.slot,
            )
        case collection.CollectionFailed():
            return notification.CollectionFailed(
                collection_id=fact.collection, code=fact.code, reason=fact.reason, cure=fact.cure
            )
        case observation.CollectionDrift():
            return _drift(fact)
        case _:
            raise ValueError(f"nothing is told of {fact.type()}")


def _drift(fact: observation.CollectionDrift) -> notification.CollectionDrift:
    return notification.CollectionDrift(
        collection_id=fact.collection,
        slot=fact.slot,
        log=fact.log,
        projection=fact.projection,
        chain=fact.chain,
        observed=fact.observed,
        living=fact.living,
        das=fact.das,
        differences=tuple(
            notification.DriftDifference(
                kind=each.kind,
                count=each.count,
                alarm=each.alarm,
                explanation=each.explanation,
                examples=each.examples,
            )
            for each in fact.differences
        ),
    )


def _failure(failure: mint.ItemFailure) -> notification.ItemsFailed:
    return notification.ItemsFailed(items=failure.items, code=failure.code, reason=failure.reason, cure=failure.cure)


def wants(webhook: WebhookConfigured, subject: Subject) -> bool:
    """Return whether the webhook is active and its filters take the event; whose it is is not judged."""
    return webhook.state is WebhookState.ACTIVE and any(takes(each, subject.event_type) for each in webhook.events)


def takes(event_filter: str, event_type: str) -> bool:
    """Return whether a filter takes a type: the type itself, `<noun>.*`, or `*`."""
    if event_filter.endswith("*"):
        return event_type.startswith(event_filter[:-1])
    return event_filter == event_type


def may_know(webhook: WebhookConfigured, subject: Subject, owner: str) -> bool:
    """Return whether the webhook's owner may know of the event; `owner` is whose operation it is, empty for nobody's.

    Collections are everybody's to look at; operations are their callers' own.
    """
    if webhook.all_callers:
        return True
    if subject.for_admins:
        return False
    return subject.operation is None or (owner != "" and owner == webhook.caller)


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request to a receiver ended. `status` is None when there was no answer; `reason`: why it is no success."""

    status: int | None
    reason: str = ""
    retry_after: float | None = None
    """Seconds that the receiver asks for."""

    @property
    def taken(self) -> bool:
        """Whether the receiver has the event: any 2xx (Standard Webhooks)."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Schedule:
    """Exponential retries: `first` seconds after the first attempt, doubled up to `longest`, for `give_up` seconds."""

    first: float = 5.0
    longest: float = 6 * 3600.0
    give_up: float = 3 * 86_400.0

    def pause(self, attempts: int, luck: float) -> float:
        """Return the seconds after attempt number `attempts`: 75 to 125 % of the rule, by `luck` in [0, 1)."""
        doubled = self.first * 2.0 ** min(attempts - 1, 64)
        return min(self.longest, doubled) * (0.75 + luck / 2)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt means for its delivery."""

    state: DeliveryState
    next_attempt_at: datetime | None = None
    disable: bool = False
    """The webhook is not to be called again."""


def judge(answer: Answer, attempts: int, waited: float, now: datetime, schedule: Schedule, luck: float) -> Outcome:
    """Return what `answer` to attempt number `attempts` means, `waited` seconds after the first attempt."""
    if answer.taken:
        return Outcome(DeliveryState.DELIVERED)
    if answer.status == GONE:
        return Outcome(DeliveryState.PARKED, disable=True)
    return later(answer, attempts, waited, now, schedule, luck)


def later(answer: Answer, attempts: int, waited: float, now: datetime, schedule: Schedule, luck: float) -> Outcome:
    """Return when a delivery is tried again that was not taken, or that it is given up; as `judge`."""
    pause = max(schedule.pause(attempts, luck), answer.retry_after or 0.0)
    if waited + pause > schedule.give_up:
        return Outcome(DeliveryState.PARKED)
    return Outcome(DeliveryState.RETRYING, now + timedelta(seconds=pause))


def waited_since(
    before: Message[DeliveryAttempted] | None, queued: Message[DeliveryQueued], first_at: datetime, now: datetime
) -> float:
    """Return the seconds that a delivery has been tried for, by that clock by which they are fewer.

    Ours may have been set since the first attempt, which must give up nothing. The log tells when the delivery was
    queued, when the last attempt was stored, and how long after it this one was due.
    """
    if before is None:
        return 0.0
    told = (before.stored_at - queued.stored_at).total_seconds() + pause_after(before)
    return min(told, (now - first_at).total_seconds())


def pause_after(before: Message[DeliveryAttempted]) -> float:
    """Return the seconds between an attempt and the next one, as they were told by whoever made it."""
    again = before.data.next_attempt_at
    return 0.0 if again is None else (again - before.event.time).total_seconds()


def is_forsaken(queued_at: datetime, before: Message[DeliveryAttempted] | None, now: datetime) -> bool:
    """Return whether a delivery that has not ended is so long overdue that nobody carries it any more.

    It happens when the log loses how a delivery stood, but not that its message was dealt with.
    """
    due = queued_at if before is None else before.stored_at + timedelta(seconds=pause_after(before))
    return (now - due).total_seconds() > FORSAKEN_SECONDS


def seconds_left(pause: float, stored_at: datetime, now: datetime) -> float:
    """Return the seconds until an attempt is due that is to be made `pause` seconds after the last one was stored.

    Clocks of three machines are in this: whoever made the last attempt told the pause by one, the log stored it by
    another, and `now` is ours. Whichever is wrong, however much, an attempt is never later than by the pause once more.
    """
    passed = (now - stored_at).total_seconds()
    if passed < -pause:  # our clock is far behind the log's and tells nothing; the log has held the message back
        return 0.0
    return pause - max(passed, 0.0)
