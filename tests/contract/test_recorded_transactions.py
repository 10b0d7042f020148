"""Transactions of the deployed programs: each decodes to what it did, and every order of a scenario gives one state.

The recordings are not in the repository (see `tests.support.recordings`); without them these tests say that they are
skipped. The same is tested on transactions of our own in `tests/unit/bubblegum/test_scenarios.py`.
"""

from itertools import islice, permutations

import pytest

from bubblegum.decode import Administered, LeafUpdated, Minted, decode
from bubblegum.state import Fate, LeafState, Place, fold, leaf_states
from bubblegum.transaction import ExecutedTransaction
from tests.support.recordings import Recorded, names, recorded

SCENARIOS = names().scenarios
MOST_ORDERS = 720
"""All orders of six transactions."""


def _transactions(scenario: tuple[Recorded, ...]) -> list[ExecutedTransaction]:
    found = [recorded(each.signature) for each in scenario]
    transactions = [tx for tx in found if tx is not None]
    if len(transactions) != len(scenario):
        pytest.skip("not recorded here: python -m tests.support.recordings <rpc-url>")
    return transactions


def _states(tx: ExecutedTransaction) -> list[LeafState]:
    return [state for change in decode(tx) for state in leaf_states(change, Place(tx.slot, tx.signature))]


def _name(change: object) -> str:
    kind = type(change).__name__
    return f"{kind}:{change.instruction.value}" if isinstance(change, LeafUpdated | Administered) else kind


def test_there_are_enough() -> None:
    assert len(SCENARIOS) >= 15
    assert len({each.signature for scenario in SCENARIOS.values() for each in scenario}) >= 30


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_transaction_decodes_to_what_it_did(scenario: str) -> None:
    for each, tx in zip(SCENARIOS[scenario], _transactions(SCENARIOS[scenario]), strict=True):
        changes = decode(tx)
        assert (tx.signature, tuple(map(_name, changes))) == (each.signature, each.changes)
        for change in changes:
            if isinstance(change, Minted):
                assert change.metadata_matches


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_order_gives_one_state(scenario: str) -> None:
    transactions = _transactions(SCENARIOS[scenario])
    expected = fold(state for tx in transactions for state in _states(tx))
    for order in islice(permutations(transactions), MOST_ORDERS):
        assert fold(state for tx in order for state in _states(tx)) == expected
    assert all(state.fate.value is not Fate.UNKNOWN for state in expected.values())
