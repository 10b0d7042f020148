"""What a stream has lost, and what is put back, decided without a log."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chassis.log import RawMessage
from services.indexer.truncation import (
    Loss,
    covers,
    first_difference,
    holes_of,
    judge,
    missing_among,
    to_append,
    to_repeat,
)


def message(sequence: int, subject: str = "", payload: bytes = b"") -> RawMessage:
    """A message, by default unlike every other."""
    return RawMessage(
        subject or f"mint.confirmed.v1.op.{sequence}",
        sequence,
        datetime(2026, 1, 1, tzinfo=UTC),
        payload or str(sequence).encode(),
        {},
    )


def stream(first: int, last: int) -> list[RawMessage]:
    return [message(sequence) for sequence in range(first, last + 1)]


def test_equal_copies_do_not_differ() -> None:
    assert first_difference(stream(5, 9), stream(5, 9)) is None
    assert first_difference(stream(5, 9), stream(5, 7)) is None
    assert first_difference([], stream(5, 7)) is None


@given(st.integers(5, 9), st.booleans())
def test_the_first_difference_is_told(at: int, in_subject: bool) -> None:
    logged = [
        (replace(each, subject="mint.other.v1.x") if in_subject else replace(each, payload=b"other"))
        if each.sequence >= at
        else each
        for each in stream(5, 9)
    ]
    assert first_difference(stream(5, 9), logged) == at


def without(messages: list[RawMessage], *sequences: int) -> list[RawMessage]:
    return [each for each in messages if each.sequence not in sequences]


def test_a_hole_is_a_loss_unless_what_was_there_may_have_left() -> None:
    kept = stream(5, 9)
    logged = without(kept, 6, 7)
    assert missing_among(kept, logged) == [kept[1], kept[2]]
    assert first_difference(kept, logged) == 6
    assert first_difference(kept, logged, {6}) == 7
    assert first_difference(kept, logged, {6, 7}) is None
    assert first_difference(kept, without(kept, 9)) is None, "the end of the stream is judged by its last sequence"
    forged = [replace(each, payload=b"other") if each.sequence == 8 else each for each in logged]
    assert first_difference(kept, forged, {6, 7}) == 8


def test_copies_that_were_dropped_are_not_compared() -> None:
    assert first_difference(stream(7, 9), stream(5, 9)) is None


def test_headers_do_not_count() -> None:
    assert first_difference(stream(1, 2), [replace(each, headers={"a": "b"}) for each in stream(1, 2)]) is None


@pytest.mark.parametrize(
    ("last", "watermark", "difference", "witnessed", "loss"),
    [
        (9, 9, None, 0, None),
        (9, 7, None, 0, None),  # the tables lag; nothing is known to be missing
        (0, 0, None, 0, None),
        (7, 9, None, 0, Loss(first=8, expected=9, replaced=False)),
        (0, 9, None, 0, Loss(first=1, expected=9, replaced=False)),
        # Other messages came since, so that the stream is as long as ever.
        (12, 9, 8, 0, Loss(first=8, expected=9, replaced=True)),
        # The tables lag behind what was lost, and only who was told of it knows.
        (7, 5, None, 9, Loss(first=8, expected=9, replaced=False)),
        (12, 5, None, 9, Loss(first=6, expected=9, replaced=True)),
        (7, 9, None, 11, Loss(first=8, expected=11, replaced=False)),
    ],
)
def test_a_loss_is_told_from_a_lag(
    last: int, watermark: int, difference: int | None, witnessed: int, loss: Loss | None
) -> None:
    assert judge(last, watermark, difference, witnessed) == loss


def test_what_was_said_anew_stands_and_intents_are_put_back_all_the_same() -> None:
    there = message(1, "mint.requested.v1.a")
    anew = message(2, "mint.confirmed.v1.a.0.0")
    unsaid = message(3, "mint.finalized.v1.a.0.0")
    intent = message(4, "mint.signed.v1.a.0.1")
    founding = message(5, "collection.signed.v1.c.0")
    said = {there.subject, anew.subject, intent.subject, founding.subject}
    missing = [there, anew, unsaid, intent, founding]
    assert to_append(missing, said, {there.payload}) == [unsaid, intent, founding]


def test_putting_back_twice_puts_back_once() -> None:
    missing = stream(4, 6)
    first = to_append(missing, set[str](), set[bytes]())
    assert first == missing
    assert to_append(missing, {each.subject for each in first}, {each.payload for each in first}) == []


def test_what_stands_before_its_request_alone_is_said_again_once() -> None:
    pinned, other = message(1, "mint.pinned.v1.a.0"), message(2, "mint.pinned.v1.b.0")
    request, signed = message(3, "mint.requested.v1.a"), message(4, "mint.signed.v1.a.0.0")
    assert to_repeat([pinned, other, request, signed]) == [pinned]
    again = replace(pinned, sequence=5)
    assert to_repeat([pinned, other, request, signed, again]) == []
    failed = message(6, "collection.failed.v1.c")
    imports = [message(7, "collection.import_requested.v1.c"), failed, message(8, "collection.import_requested.v1.c")]
    assert to_repeat(imports) == [], "the failure of the first import is none of the second's"


def test_neighbouring_sequences_are_one_hole() -> None:
    holes = holes_of(without(stream(2, 8), 4, 6))
    assert [(hole.first, hole.last) for hole in holes] == [(2, 3), (5, 5), (7, 8)]
    assert covers(holes, 7, 8)
    assert not covers(holes, 3, 4)
