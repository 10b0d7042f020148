"""Transaction bytes, hostile and good; errors in the words of Solana."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_status import (
    InstructionErrorCustom,
    InstructionErrorFieldless,
    TransactionErrorDuplicateInstruction,
    TransactionErrorFieldless,
    TransactionErrorInstructionError,
    TransactionErrorInsufficientFundsForRent,
    TransactionErrorProgramExecutionTemporarilyRestricted,
    TransactionErrorType,
)

from localnet.cluster.model import Json
from localnet.cluster.txerror import error_json, sentence
from localnet.cluster.wire import MAX_TRANSACTION_BYTES, MalformedTransaction, parse, parsed, resolve
from tests.support.cluster import SOL, ledger_with, payment, signed, transfer_to


def some_wire() -> bytes:
    payer = Keypair()
    return payment(payer, ledger_with().chain.head, price=3, units=1_000).wire


@given(st.binary(max_size=MAX_TRANSACTION_BYTES + 2))
def test_any_bytes_are_a_transaction_or_refused(raw: bytes) -> None:
    with contextlib.suppress(MalformedTransaction):
        assert parse(raw).wire == raw


@given(st.data())
def test_a_damaged_transaction_is_read_as_sent_or_refused(data: st.DataObject) -> None:
    wire = bytearray(some_wire())
    position = data.draw(st.integers(0, len(wire) - 1))
    wire[position] = data.draw(st.integers(0, 255))
    try:
        read = parse(bytes(wire))
    except MalformedTransaction:
        return
    assert bytes(read.transaction) == bytes(wire)
    assert len(read.static_writable) == len(read.static_keys)
    resolve(read, {})


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(MalformedTransaction):
        parse(some_wire() + b"\0")


def test_what_a_transaction_asks_for_is_read_from_it() -> None:
    payer = Keypair()
    read = payment(payer, ledger_with().chain.head, price=2_000_000, units=1_500)
    assert (read.unit_price, read.unit_limit, read.priority_fee) == (2_000_000, 1_500, 3_000)
    assert (read.payer, read.required_signatures) == (payer.pubkey(), 1)
    plain = payment(payer, ledger_with().chain.head)
    assert (plain.unit_price, plain.unit_limit) == (0, 200_000)
    assert parse(plain.wire) == plain


def test_write_locks_follow_the_header() -> None:
    payer, to = Keypair(), Keypair().pubkey()
    block = ledger_with().chain.head
    legacy = Message.new_with_blockhash([transfer_to(payer, to, SOL)], payer.pubkey(), block.hash)
    versions = (VersionedTransaction(legacy, [payer]), signed(payer, [transfer_to(payer, to, SOL)], block))
    assert isinstance(versions[1].message, MessageV0)
    for each in versions:
        keys = resolve(parsed(each), {})
        assert keys.writable == {payer.pubkey(), to}
        assert keys.every == (payer.pubkey(), to, Pubkey.default())


def test_a_missing_signature_is_not_sane() -> None:
    transaction = payment(Keypair(), ledger_with().chain.head).transaction
    with pytest.raises(MalformedTransaction):
        parse(bytes(VersionedTransaction.populate(transaction.message, [Signature.default()] * 2)))


ERRORS: list[tuple[TransactionErrorType, Json, str]] = [
    (TransactionErrorFieldless.BlockhashNotFound, "BlockhashNotFound", "Blockhash not found"),
    (
        TransactionErrorInstructionError(2, InstructionErrorCustom(6016)),
        {"InstructionError": [2, {"Custom": 6016}]},
        "Error processing Instruction 2: custom program error: 0x1780",
    ),
    (
        TransactionErrorInstructionError(0, InstructionErrorFieldless.InvalidAccountData),
        {"InstructionError": [0, "InvalidAccountData"]},
        "Error processing Instruction 0: invalid account data",
    ),
    (
        TransactionErrorInstructionError(1, InstructionErrorFieldless.ComputationalBudgetExceeded),
        {"InstructionError": [1, "ComputationalBudgetExceeded"]},
        "Error processing Instruction 1: computational budget exceeded",
    ),
    (
        TransactionErrorInsufficientFundsForRent(3),
        {"InsufficientFundsForRent": {"account_index": 3}},
        "Transaction results in an account (3) with insufficient funds for rent",
    ),
    (
        TransactionErrorDuplicateInstruction(4),
        {"DuplicateInstruction": 4},
        "Transaction contains a duplicate instruction (4) that is not allowed",
    ),
    (
        TransactionErrorProgramExecutionTemporarilyRestricted(5),
        {"ProgramExecutionTemporarilyRestricted": {"account_index": 5}},
        "ProgramExecutionTemporarilyRestricted",
    ),
]


@pytest.mark.parametrize(("error", "shape", "words"), ERRORS)
def test_errors_have_the_shape_and_words_of_a_node(error: TransactionErrorType, shape: Json, words: str) -> None:
    assert error_json(error) == shape
    assert sentence(shape) == words
