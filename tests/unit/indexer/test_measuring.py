"""What is counted of a history; that counts are exposed is tests/unit/chassis/test_metrics.py's to show."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from chassis import metrics
from contracts.fact import Fact
from contracts.registry import decode
from services.indexer.measuring import measure
from tests.support.indexing import (
    START,
    History,
    confirmed,
    failed,
    finalized,
    pin_failed,
    pinned,
    requested,
    signed,
    uid,
)

Told = dict[str, list[tuple[dict[str, Any], float]]]

OPERATION = uid("operation")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """What was counted by metric: labels and value, in order."""
    counted: Told = {}

    def note(self: metrics.Metric, value: float = 1, **labels: str) -> None:
        counted.setdefault(self.name, []).append((self.bound(labels), value))

    monkeypatch.setattr(metrics.Counter, "add", note)
    monkeypatch.setattr(metrics.Histogram, "record", note)
    return counted


def play(*facts: Fact) -> None:
    """Measure the facts, one second apart from START + 1 s on, of an operation that was asked for at START."""
    history = History()
    for fact in facts:
        raw = history.say(fact)
        measure(decode(raw.subject, raw.payload), {OPERATION: START})


def test_a_mint_from_the_request_to_finality(told: Told) -> None:
    play(
        requested(OPERATION, 4),
        pinned(OPERATION, 0, [0, 1]),
        signed(OPERATION, 0, 0, [0, 1]),
        signed(OPERATION, 0, 0, [0, 1], attempt=2),
        confirmed(OPERATION, 0, 0, [0, 1], attempt=2),
        finalized(OPERATION, 0, 0, attempt=2),
    )
    assert told == {
        "mintstream.items.accepted": [({"type": "batch_mint"}, 4)],
        "mintstream.items.pinned": [({}, 2)],
        "mintstream.transactions.signed": [({}, 1), ({}, 1)],
        "mintstream.transactions.confirmed": [({}, 1)],
        "mintstream.items.confirmed": [({}, 2)],
        "mintstream.attempts_per_transaction": [({}, 2)],
        "mintstream.lamports_per_nft": [({}, 2500)],
        "mintstream.time_to_confirmed": [({}, 5)],
        "mintstream.time_to_finalized": [({}, 6)],
    }


def test_failures_are_counted_by_code(told: Told) -> None:
    play(pin_failed(OPERATION, 0, [0, 1, 2]), failed(OPERATION, 1, 0, [3]))
    assert told == {"mintstream.items.failed": [({"code": "image_refused"}, 3), ({"code": "tree_full"}, 1)]}


def test_no_time_is_made_up(told: Told) -> None:
    history = History()
    raw = history.say(finalized(uid("unknown"), 0, 0))
    event = decode(raw.subject, raw.payload)
    measure(event, {})
    assert told == {}
    measure(event, {uid("unknown"): event.time + timedelta(seconds=3)})
    assert told == {"mintstream.time_to_finalized": [({}, 0.0)]}, "a clock that is behind makes no negative time"


@pytest.mark.parametrize("field", ["fee", "attempt"])
def test_numbers_that_no_metric_holds_stop_nobody(field: str) -> None:
    play(replace(confirmed(OPERATION, 0, 0, [0]), **{field: 10**400}))
