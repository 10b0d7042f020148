"""Refusals by structure and number: which are for ever, which may pass, and with which code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.mint import FailureCode
from services.minter.refusals import Refusal, TransactionError, classify, classify_landed


def custom(code: int, instruction: int = 1) -> TransactionError:
    return {"InstructionError": [instruction, {"Custom": code}]}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (custom(6016), FailureCode.TREE_AUTHORITY_MISSING),
        (custom(6017), FailureCode.TREE_FULL),
        (custom(6012), FailureCode.METADATA_REFUSED),
        (custom(6028), FailureCode.COLLECTION_AUTHORITY_MISSING),
        (custom(6001), FailureCode.PROGRAM_REFUSED),
        ({"InstructionError": [0, "InvalidAccountData"]}, FailureCode.PROGRAM_REFUSED),
        ("SignatureFailure", FailureCode.PROGRAM_REFUSED),
        ({"DuplicateInstruction": 1}, FailureCode.PROGRAM_REFUSED),
        ({"InstructionError": "nonsense"}, FailureCode.PROGRAM_REFUSED),
    ],
)
def test_an_error_that_would_come_again_has_its_code(error: TransactionError, code: FailureCode) -> None:
    refusal = classify(error)
    assert refusal is not None
    assert refusal.code is code
    assert refusal.reason.endswith(".")
    assert refusal.cure


@pytest.mark.parametrize(
    "error",
    [
        "InsufficientFundsForFee",
        "AccountNotFound",
        "BlockhashNotFound",
        "WouldExceedMaxAccountCostLimit",
        {"InsufficientFundsForRent": {"account_index": 0}},
        custom(1),
    ],
)
def test_an_error_that_may_pass_refuses_nothing(error: TransactionError) -> None:
    assert classify(error) is None


def test_running_out_of_units_is_tried_again_once_it_ran_and_refused_in_a_simulation() -> None:
    error: TransactionError = {"InstructionError": [2, "ComputationalBudgetExceeded"]}
    assert classify_landed(error) is None
    assert classify(error) is not None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.text() | st.dictionaries(st.sampled_from(["InstructionError", "x"]), json_values))
def test_any_answer_of_a_node_is_classified(error: TransactionError) -> None:
    assert isinstance(classify_landed(error), Refusal | None)
