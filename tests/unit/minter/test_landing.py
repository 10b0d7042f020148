"""The landing state machine: its rules one by one, then any order of events against a model of the chain."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts.mint import Attempt, FailureCode
from services.minter.landing import (
    RESEND_INTERVAL,
    ChainView,
    Commitment,
    Landed,
    Refused,
    Send,
    Sign,
    SignatureState,
    Wait,
    is_dead,
    next_step,
)

TREE_FULL = {"InstructionError": [1, {"Custom": 6017}]}


def attempt(number: int, last_valid: int = 150) -> Attempt:
    return Attempt(number=number, signature=str(number) * 88, blockhash="1" * 32, last_valid_block_height=last_valid)


def seen(commitment: Commitment, error: object = None, slot: int = 7) -> SignatureState:
    return SignatureState(slot, commitment, error)  # type: ignore[arg-type]


FIRST, SECOND = attempt(1, 150), attempt(2, 300)


def view(
    states: dict[str, SignatureState] | None = None, height: int | None = 100, searched: bool = False
) -> ChainView:
    return ChainView(states or {}, height, searched)


def test_nothing_signed_is_signed() -> None:
    assert next_step((), None, None) == Sign(1)


def test_an_unseen_attempt_is_sent_at_once_and_again_after_the_interval() -> None:
    assert next_step((FIRST,), view(), None) == Send()
    assert next_step((FIRST,), view(), RESEND_INTERVAL / 2) == Wait()
    assert next_step((FIRST,), view(), RESEND_INTERVAL) == Send()


def test_without_any_answer_the_bytes_are_sent_and_nothing_is_concluded() -> None:
    assert next_step((FIRST,), None, None) == Send()
    assert next_step((FIRST,), None, 0.1) == Wait()


@pytest.mark.parametrize("commitment", [Commitment.CONFIRMED, Commitment.FINALIZED])
def test_a_confirmed_attempt_has_landed(commitment: Commitment) -> None:
    state = seen(commitment)
    assert next_step((FIRST,), view({FIRST.signature: state}), 0.0) == Landed(FIRST, state)


def test_an_earlier_attempt_that_landed_counts_although_a_later_one_was_signed() -> None:
    state = seen(Commitment.CONFIRMED)
    assert next_step((FIRST, SECOND), view({FIRST.signature: state}), 0.0) == Landed(FIRST, state)


def test_processed_is_not_landed() -> None:
    assert next_step((FIRST,), view({FIRST.signature: seen(Commitment.PROCESSED)}), 99.0) == Wait()


def test_an_expired_attempt_is_signed_again_only_after_a_search_of_the_history() -> None:
    assert next_step((FIRST,), view(height=151, searched=False), 0.0) == Wait()
    assert next_step((FIRST,), view(height=151, searched=True), 0.0) == Sign(2)


def test_the_last_valid_height_itself_is_not_expired() -> None:
    assert next_step((FIRST,), view(height=150, searched=True), 0.0) == Wait()


def test_an_unknown_height_proves_nothing() -> None:
    assert next_step((FIRST,), view(height=None, searched=True), 0.0) == Wait()


def test_an_expired_second_attempt_waits_for_the_proof_of_the_first() -> None:
    late_first = attempt(1, 400)
    assert next_step((late_first, SECOND), view(height=301, searched=True), 0.0) == Wait()


def test_an_error_below_finality_is_waited_for_because_a_fork_may_undo_it() -> None:
    state = seen(Commitment.CONFIRMED, TREE_FULL)
    assert next_step((FIRST,), view({FIRST.signature: state}, height=900, searched=True), 99.0) == Wait()


def test_a_final_error_that_would_come_again_is_refused_with_its_code() -> None:
    state = seen(Commitment.FINALIZED, TREE_FULL)
    step = next_step((FIRST,), view({FIRST.signature: state}), 0.0)
    assert isinstance(step, Refused)
    assert step.refusal.code is FailureCode.TREE_FULL


def test_a_final_error_that_may_pass_is_signed_again() -> None:
    state = seen(Commitment.FINALIZED, {"InstructionError": [0, {"Custom": 1}]})
    assert next_step((FIRST,), view({FIRST.signature: state}), 0.0) == Sign(2)


class LandingMachine(RuleBasedStateMachine):
    """A model chain with forks and lagging nodes, and any number of workers that obey `next_step`.

    Blocks are a list of signatures by height; the last ones can be forked away until they are final. Each worker sees
    what some node shows it: an old head, or no history. The log fences attempts: a worker that read fewer attempts
    than there are is refused.
    """

    FINALITY = 4
    VALIDITY = 6

    @initialize()
    def begin(self) -> None:
        self.blocks: list[set[str]] = [set()]
        self.attempts: list[Attempt] = []
        self.sent: set[str] = set()
        self.finalized = 0
        self.told: Landed | None = None

    @property
    def height(self) -> int:
        return len(self.blocks) - 1

    def landed_at(self, signature: str) -> int | None:
        return next((height for height, block in enumerate(self.blocks) if signature in block), None)

    def look(self, lag: int, searched: bool) -> ChainView:
        """What a node that is `lag` blocks behind answers; without a search it remembers the last blocks only."""
        tip = max(0, self.height - lag)
        final = max(0, tip - self.FINALITY)
        states: dict[str, SignatureState] = {}
        for each in self.attempts:
            at = self.landed_at(each.signature)
            if at is None or at > tip or (not searched and at < tip - self.VALIDITY):
                continue
            depth = tip - at
            level = (
                Commitment.FINALIZED
                if depth >= self.FINALITY
                else Commitment.CONFIRMED
                if depth >= 2
                else Commitment.PROCESSED
            )
            states[each.signature] = SignatureState(at, level)
        return ChainView(states, final, searched)

    @rule(
        lag=st.sampled_from([0, 0, 0, 1, 2, 5, 12]),
        searched=st.booleans(),
        read=st.sampled_from([0, 0, 0, 1]),
        silent=st.sampled_from([False, False, False, True]),
    )
    def work(self, lag: int, searched: bool, read: int, silent: bool) -> None:
        known = tuple(self.attempts[: max(0, len(self.attempts) - read)])
        seen_by_node = None if silent else self.look(lag, searched)
        match next_step(known, seen_by_node, None):
            case Sign(number=number):
                if len(known) == len(self.attempts):  # the fence
                    self.attempts.append(attempt(number, self.height + self.VALIDITY))
            case Send():
                self.sent.add(known[-1].signature)
            case Landed() as landed:
                self.told = landed
            case _:
                pass

    @rule(searched=st.booleans())
    def work_up_to_date(self, searched: bool) -> None:
        self.work(lag=0, searched=searched, read=0, silent=False)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def land(self, data: st.DataObject) -> None:
        signature = data.draw(st.sampled_from(sorted(self.sent)))
        of = next(each for each in self.attempts if each.signature == signature)
        self.blocks.append(set())
        if self.landed_at(signature) is None and self.height <= of.last_valid_block_height + 1:  # as validators have it
            self.blocks[-1].add(signature)

    @rule(count=st.sampled_from([1, 3, 12]))
    def pass_time(self, count: int) -> None:
        self.blocks.extend(set() for _ in range(count))

    @rule(count=st.integers(1, 4))
    def fork(self, count: int) -> None:
        """Drop the newest blocks that are not final; what comes next takes their heights."""
        self.finalized = max(self.finalized, self.height - self.FINALITY)
        del self.blocks[max(1, self.finalized + 1, len(self.blocks) - count) :]

    @invariant()
    def never_two_attempts_on_chain(self) -> None:
        landed = [each.number for each in self.attempts if self.landed_at(each.signature) is not None]
        assert len(landed) <= 1, f"attempts {landed} landed"

    @invariant()
    def attempts_are_numbered_without_gaps(self) -> None:
        assert [each.number for each in self.attempts] == list(range(1, len(self.attempts) + 1))


LandingMachine.TestCase.settings = settings(max_examples=600, stateful_step_count=30, deadline=None)
TestLandingMachine = LandingMachine.TestCase


@given(height=st.integers(0, 400), last_valid=st.integers(0, 400))
def test_only_a_searched_view_beyond_the_last_valid_height_kills(height: int, last_valid: int) -> None:
    each = attempt(1, last_valid)
    assert is_dead(each, view(height=height, searched=True)) == (height > last_valid)
    assert not is_dead(each, view(height=height, searched=False))
