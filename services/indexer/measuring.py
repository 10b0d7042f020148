"""What a committed message tells about how minting goes, counted into the metrics.

Called by the projector after every commit, so each message is counted once, and again only when the log is projected
anew. Times are the events' own, so that they are true after a stop or a replay too.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis import metrics
from contracts import mint
from contracts.fact import Event


def measure(event: Event[Any], started: Mapping[UUID, datetime]) -> None:
    """Count one event. `started` has the time of the request of every operation that is not unknown."""
    match event.data:
        case mint.Requested() as fact:
            metrics.ACCEPTED.add(fact.total, type=fact.operation_type)
        case mint.Pinned() as fact:
            metrics.PINNED.add(len(fact.items))
        case mint.PinFailed() as fact:
            _failed(fact.failures)
        case mint.Signed():
            metrics.SIGNED.add()
        case mint.Confirmed() as fact:
            _confirmed(fact)
            _took(metrics.TIME_TO_CONFIRMED, event, started.get(fact.operation))
        case mint.Finalized() as fact:
            _took(metrics.TIME_TO_FINALIZED, event, started.get(fact.operation))
        case mint.Failed() as fact:
            _failed((fact.failure,))
        case _:
            pass  # tells nothing that is counted


def _confirmed(fact: mint.Confirmed) -> None:
    metrics.CONFIRMED_TRANSACTIONS.add()
    metrics.CONFIRMED.add(len(fact.leaves))
    with suppress(OverflowError):  # stop: numbers that no metric holds are of no mint, and stop no projection
        metrics.ATTEMPTS.record(fact.attempt)
        if fact.leaves:
            metrics.LAMPORTS.record(fact.fee / len(fact.leaves))


def _failed(failures: Sequence[mint.ItemFailure]) -> None:
    for failure in failures:
        metrics.FAILED.add(len(failure.items), code=failure.code.value)


def _took(histogram: metrics.Histogram, event: Event[Any], since: datetime | None) -> None:
    if since is not None:
        # Two machines' clocks: an event that seems to be earlier than its cause took no time that can be told.
        histogram.record(max(0.0, (event.time - since).total_seconds()))
