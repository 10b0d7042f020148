"""The rules of the node pool: whom to ask, whom to believe."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.mint import Attempt
from services.minter.landing import ChainView, Commitment, Landed, Sign, SignatureState, next_step
from services.minter.pooling import (
    FLOOR_PATIENCE,
    Floor,
    NodeFacts,
    lag,
    merge,
    newest_slot,
    order,
    proof,
    strongest,
    together,
)
from services.minter.ports import FinalizedHead, Look

SLOTS = st.integers(0, 10_000)
NODES = st.lists(st.tuples(st.booleans(), st.none() | SLOTS), max_size=6).map(
    lambda found: [NodeFacts(n, usable, slot) for n, (usable, slot) in enumerate(found)]
)
ERROR = {"InstructionError": [1, {"Custom": 6016}]}
STATES = st.builds(SignatureState, SLOTS, st.sampled_from(Commitment), st.sampled_from([None, ERROR]))
HEADS = st.builds(FinalizedHead, SLOTS, SLOTS)
LOOKS = st.lists(
    st.builds(Look, st.none() | HEADS, st.dictionaries(st.sampled_from("abc"), STATES), SLOTS), min_size=1, max_size=5
)


@given(NODES, st.integers(0, 100))
def test_every_usable_node_is_asked_once_and_the_laggards_last(nodes: list[NodeFacts], max_lag: int) -> None:
    asked = order(nodes, max_lag)
    assert sorted(asked) == [node.position for node in nodes if node.usable]
    newest = newest_slot(nodes)
    behind = [(lag(nodes[position], newest) or 0) > max_lag for position in asked]
    assert behind == sorted(behind)
    for group in (False, True):
        kept = [position for position, late in zip(asked, behind, strict=True) if late is group]
        assert kept == sorted(kept), "the operator's order within each"


def test_a_node_beyond_the_tolerated_lag_gives_way_to_a_later_one() -> None:
    nodes = [NodeFacts(1, True, 990), NodeFacts(2, True, 998), NodeFacts(3, True, None), NodeFacts(4, False, 1000)]
    assert order(nodes, 8) == [2, 3, 1]


@given(st.lists(st.tuples(SLOTS, st.floats(0, 1)), max_size=50))
def test_reads_never_go_back_while_the_floor_is_reached_in_time(answers: Sequence[tuple[int, float]]) -> None:
    floor, now, newest, reached = Floor(), 0.0, 0, 0.0
    for slot, passed in answers:
        now += passed
        admitted = floor.admits(slot, now)
        assert admitted or slot < newest
        assert not admitted or slot >= newest or now - reached > FLOOR_PATIENCE or newest == 0
        if admitted:
            newest, reached = slot, now


def test_a_floor_that_nobody_reaches_comes_down() -> None:
    floor = Floor()
    assert floor.admits(10**12, 0.0)
    assert not floor.admits(1000, FLOOR_PATIENCE)
    assert floor.admits(1000, FLOOR_PATIENCE + 0.1)
    assert floor.admits(1001, FLOOR_PATIENCE + 0.2)


@pytest.mark.parametrize(("answered_from", "proves"), [(999, False), (1000, True), (1001, True)])
def test_only_a_bank_at_least_as_new_as_the_head_proves(answered_from: int, proves: bool) -> None:
    head = FinalizedHead(1000, 900)
    assert proof(head, answered_from) == (head if proves else None)
    assert proof(None, answered_from) is None


@given(st.lists(STATES, min_size=1, max_size=5))
def test_a_success_anywhere_outweighs_every_error(states: list[SignatureState]) -> None:
    believed = strongest(states)
    assert (believed.error is None) == any(state.error is None for state in states)
    alike = [state for state in states if (state.error is None) == (believed.error is None)]
    assert believed.commitment == max(state.commitment for state in alike)


@given(LOOKS, st.integers(0, 10_000))
def test_nodes_together_prove_nothing_dead_that_one_saw_alive(looks: list[Look], last_valid: int) -> None:
    """Of everything that the state machine may conclude, signing again is what must not follow from a contradiction."""
    attempt = Attempt(number=1, signature="a", blockhash="1" * 32, last_valid_block_height=last_valid)
    together = merge(looks)
    height = together.head.block_height if together.head else None
    step = next_step(
        [attempt], ChainView(together.found, height, searched=True, history_from=together.history_from), since_send=None
    )
    seen = [look.found["a"] for look in looks if "a" in look.found]
    if any(state.error is None for state in seen):
        assert not isinstance(step, Sign)
    if any(state.error is None and state.commitment >= Commitment.CONFIRMED for state in seen):
        assert isinstance(step, Landed)
    if isinstance(step, Sign):
        proven = any(
            look.head is not None
            and look.head.block_height > last_valid
            and look.history_from <= max(0, last_valid - 150)
            for look in looks
        )
        final = any(state.error is not None and state.commitment is Commitment.FINALIZED for state in seen)
        assert final or (proven and not seen)


@given(LOOKS)
def test_looks_at_different_signatures_prove_together_what_each_of_them_does(looks: list[Look]) -> None:
    whole = together(looks)
    assert set(whole.found) == {signature for look in looks for signature in look.found}
    assert whole.history_from == max(look.history_from for look in looks)
    heights = [look.head.block_height if look.head else None for look in looks]
    assert (whole.head is None) == (None in heights)
    assert whole.head is None or all(height is not None and whole.head.block_height <= height for height in heights)
