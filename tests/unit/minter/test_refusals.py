"""Refusals by structure and number: which are for ever, which may pass, and with which code."""

import json
from itertools import takewhile
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.compute_budget import set_compute_unit_limit
from solders.message import MessageV0
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from contracts.mint import FailureCode
from localnet.cluster.txerror import error_json
from services.minter.refusals import Refusal, TransactionError, classify, classify_landed
from tests.support.bubblegum_vm import BubblegumTree, bubblegum_vm
from tests.support.vm import Vm


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
        "CommitCancelled",
        "ProgramCacheHitMaxLimit",
        "WouldExceedAccountDataBlockLimit",
        {"InsufficientFundsForRent": {"account_index": 0}},
        {"ProgramExecutionTemporarilyRestricted": {"account_index": 3}},
        custom(1),
    ],
)
def test_an_error_that_may_pass_refuses_nothing(error: TransactionError) -> None:
    assert classify(error) is None


@pytest.mark.parametrize("kind", ["ComputationalBudgetExceeded", "ProgramFailedToComplete"])
def test_running_out_of_units_is_tried_again_once_it_ran_and_refused_in_a_simulation(kind: str) -> None:
    error: TransactionError = {"InstructionError": [2, kind]}
    assert classify_landed(error) is None
    assert classify(error) is not None


@pytest.mark.parametrize("version", [1, 2])
def test_a_mint_with_too_few_units_is_told_as_running_out_of_them(version: int) -> None:
    vm = bubblegum_vm()
    tree = BubblegumTree(vm, version)
    # Up to the first that is enough: more mints would fill the tree.
    errors = takewhile(bool, (mint_with(vm, tree, units) for units in range(2_000, 100_000, 900)))
    told = {json.dumps(error) for error in errors}
    assert len(told) == 2, "the runtime says it in two ways"
    assert all(classify_landed(json.loads(error)) is None for error in told)


def mint_with(vm: Vm, tree: BubblegumTree, units: int) -> TransactionError | None:
    """Run a mint with so many compute units; the runtime's error, as the RPC API words it."""
    vm.svm.expire_blockhash()
    payer = vm.payer.pubkey()
    instructions = [set_compute_unit_limit(units), tree.mint(payer)]
    message = MessageV0.try_compile(payer, instructions, [], vm.svm.latest_blockhash())
    result = vm.svm.send_transaction(VersionedTransaction(message, [vm.payer]))
    return cast("TransactionError", error_json(result.err())) if isinstance(result, FailedTransactionMetadata) else None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.text() | st.dictionaries(st.sampled_from(["InstructionError", "x"]), json_values))
def test_any_answer_of_a_node_is_classified(error: TransactionError) -> None:
    assert isinstance(classify_landed(error), Refusal | None)
