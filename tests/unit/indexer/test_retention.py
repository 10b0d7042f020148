"""What may leave the log: nothing that a compare-and-set is held against, nothing of what may still change."""

from collections.abc import Iterable
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chassis.log import RawMessage
from chassis.subjects import matches
from contracts.fact import Fact
from contracts.leaving import LEAVING, has_left, may_leave, operation_of, operation_patterns
from contracts.mint import Finalized, Signed, chunk_fence, transaction_fence
from contracts.registry import type_of
from services.indexer.retention import Reason, judge
from tests.support.indexing import (
    START,
    History,
    completed,
    confirmed,
    failed,
    finalized,
    pin_failed,
    pinned,
    requested,
    signed,
    uid,
)
from tests.support.settled import planned, settled_story

LATE = START + timedelta(days=1)
OPERATION = uid("operation")
SEEDS = st.integers(0, 10**9)
LEAVING_TYPES = {fact.type() for fact in LEAVING}


def said(facts: Iterable[Fact]) -> list[RawMessage]:
    history = History()
    for fact in facts:
        history.say(fact)
    return history.messages


def settled(seed: int) -> list[RawMessage]:
    return said(settled_story(Random(seed), OPERATION))


def last_words(messages: Iterable[RawMessage]) -> dict[str, int]:
    """The newest sequence under every pattern that anything is ever published against."""
    messages = list(messages)
    fences = {raw.subject for raw in messages if type_of(raw.subject) not in LEAVING_TYPES}
    fences |= {chunk_fence(OPERATION, chunk) for chunk in range(6)}
    fences |= {transaction_fence(OPERATION, chunk, tx) for chunk in range(6) for tx in range(6)}
    return {f: max((r.sequence for r in messages if matches(f, r.subject)), default=0) for f in fences}


@given(SEEDS)
def test_attempts_and_confirmations_leave_and_no_fence_moves(seed: int) -> None:
    messages = settled(seed)
    leaving = judge(messages, LATE)
    assert not isinstance(leaving, Reason)
    assert leaving == {raw.sequence for raw in messages if type_of(raw.subject) in LEAVING_TYPES}
    assert last_words(raw for raw in messages if raw.sequence not in leaving) == last_words(messages)


@given(SEEDS, st.data())
def test_no_fence_moves_whatever_part_of_it_has_left(seed: int, data: st.DataObject) -> None:
    messages = settled(seed)
    leaving = judge(messages, LATE)
    assert not isinstance(leaving, Reason)
    gone = data.draw(st.sets(st.sampled_from(sorted(leaving))) if leaving else st.just(set[int]()))
    assert last_words(raw for raw in messages if raw.sequence not in gone) == last_words(messages)
    assert max(raw.sequence for raw in messages) not in leaving, "the stream's last message never leaves it"


@given(SEEDS, st.data())
def test_nothing_leaves_before_everything_was_said(seed: int, data: st.DataObject) -> None:
    messages = settled(seed)
    cut = data.draw(st.integers(0, len(messages) - 1))
    assert isinstance(judge(messages[:cut], LATE), Reason)


@given(SEEDS, st.data())
def test_nothing_leaves_while_a_message_is_missing_that_stays(seed: int, data: st.DataObject) -> None:
    """Whoever judges by a copy with a hole must not find an operation over that is not."""
    messages = settled(seed)
    ends = [raw for raw in messages if type_of(raw.subject) not in LEAVING_TYPES and raw.subject.count(".") == 5]
    if ends:
        lost = data.draw(st.sampled_from(ends))
        assert judge([raw for raw in messages if raw != lost], LATE) is Reason.NOT_FINAL


@given(SEEDS)
def test_the_age_is_that_of_its_newest_message(seed: int) -> None:
    messages = settled(seed)
    assert judge(messages, messages[-1].stored_at) is Reason.YOUNG
    assert not isinstance(judge(messages, messages[-1].stored_at + timedelta(microseconds=1)), Reason)


def story(*facts: Fact) -> list[RawMessage]:
    """One item in one transaction, up to its plan, and what comes then."""
    return said([requested(OPERATION), pinned(OPERATION, 0, [0]), planned(OPERATION, 0, (0,)), *facts])


(NFT,) = requested(OPERATION).nfts
DONE = completed(OPERATION, 1, 1, 0)
LANDED = (signed(OPERATION, 0, 0, [0]), confirmed(OPERATION, 0, 0, [0]))


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], Reason.NO_COPY),
        (story(*LANDED, finalized(OPERATION, 0, 0), DONE)[1:], Reason.NO_COPY),
        (story(*LANDED, finalized(OPERATION, 0, 0)), Reason.RUNNING),
        (story(*LANDED, DONE), Reason.NOT_FINAL),
        (story(*LANDED, finalized(OPERATION, 0, 0), LANDED[1], DONE), Reason.NOT_FINAL),
        (story(DONE), Reason.NOT_FINAL),
        (said([requested(OPERATION), DONE]), Reason.NOT_FINAL),
        (said([requested(OPERATION), pinned(OPERATION, 0, [0]), DONE]), Reason.NOT_FINAL),
        (said([requested(OPERATION, nfts=(replace(NFT, copies=10**12),)), DONE]), Reason.NOT_FINAL),
        (
            said([requested(OPERATION), pinned(OPERATION, 0, [0]), pin_failed(OPERATION, 0, [0]), DONE]),
            Reason.NOT_FINAL,
        ),
        ([*story(*LANDED, DONE), RawMessage(f"mint.failed.v1.{OPERATION}.0.0", 7, START, b"{", {})], Reason.UNREADABLE),
    ],
)
def test_why_it_stays(messages: list[RawMessage], reason: Reason) -> None:
    assert judge(messages, LATE) is reason


def test_a_failure_for_good_ends_a_transaction_whatever_was_confirmed_before() -> None:
    assert judge(story(*LANDED, failed(OPERATION, 0, 0, [0]), DONE), LATE) == {4, 5}


@given(SEEDS, SEEDS)
def test_operations_are_told_apart(one: int, other: int) -> None:
    mixed = [*settled_story(Random(one), uid(1)), *settled_story(Random(other), uid(2))[:-1]]
    Random(one).shuffle(mixed)
    messages = said(mixed)
    leaving = may_leave((raw.sequence, raw.subject) for raw in messages)
    assert {operation_of(raw.subject) for raw in messages if raw.sequence in leaving} <= {str(uid(1))}


@given(SEEDS)
def test_what_has_left_is_missed_by_the_subjects_that_are_there(seed: int) -> None:
    messages = settled(seed)
    leaving = may_leave((raw.sequence, raw.subject) for raw in messages)
    there = {raw.subject for raw in messages}
    if any(type_of(subject) == Finalized.type() for subject in there):
        for kind in LEAVING_TYPES:
            assert has_left(subject for subject in there if type_of(subject) != kind)
    assert has_left(r.subject for r in messages if r.sequence not in leaving) or not leaving
    if all(subject.replace("failed", "signed") in there for subject in there if type_of(subject) == "mint.failed.v1"):
        assert not has_left(there)


def test_patterns_name_everything_about_an_operation_once() -> None:
    one, more = operation_patterns(OPERATION)
    for fact in settled_story(Random(1), OPERATION):
        assert matches(one, fact.subject()) is not matches(more, fact.subject())
    assert not matches(more, Signed.subject_of(operation=uid("another"), chunk=0, tx=0))


@pytest.mark.parametrize("subject", ["mint", "mint.x", "mint.signed.v1"])
def test_a_subject_without_an_operation_names_none(subject: str) -> None:
    assert operation_of(subject) == ""
