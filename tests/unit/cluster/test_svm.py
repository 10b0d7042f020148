"""The runtime's seam: lookup tables in their time, fees of what cannot load, simulation without traces."""

from __future__ import annotations

import struct

import pytest
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from localnet.cluster.ledger import Ledger
from localnet.cluster.model import Block
from localnet.cluster.svm import Svm
from localnet.cluster.wire import LOOKUP_TABLE_PROGRAM, ParsedTransaction, parsed
from tests.support.cluster import SOL, START, ledger_with, payment, signed, transfer_to

SYSTEM = Pubkey.default()


def create_table(owner: Pubkey, slot: int) -> tuple[Pubkey, Instruction]:
    address, bump = Pubkey.find_program_address([bytes(owner), struct.pack("<Q", slot)], LOOKUP_TABLE_PROGRAM)
    accounts = [
        AccountMeta(address, is_signer=False, is_writable=True),
        AccountMeta(owner, is_signer=True, is_writable=False),
        AccountMeta(owner, is_signer=True, is_writable=True),
        AccountMeta(SYSTEM, is_signer=False, is_writable=False),
    ]
    return address, Instruction(LOOKUP_TABLE_PROGRAM, struct.pack("<IQB", 0, slot, bump), accounts)


def extend_table(table: Pubkey, owner: Pubkey, *keys: Pubkey) -> Instruction:
    accounts = [
        AccountMeta(table, is_signer=False, is_writable=True),
        AccountMeta(owner, is_signer=True, is_writable=False),
        AccountMeta(owner, is_signer=True, is_writable=True),
        AccountMeta(SYSTEM, is_signer=False, is_writable=False),
    ]
    data = struct.pack("<IQ", 2, len(keys)) + b"".join(bytes(key) for key in keys)
    return Instruction(LOOKUP_TABLE_PROGRAM, data, accounts)


def through_table(payer: Keypair, table: Pubkey, to: Pubkey, recent: Block) -> ParsedTransaction:
    tables = [AddressLookupTableAccount(table, [to])]
    message = MessageV0.try_compile(payer.pubkey(), [transfer_to(payer, to, SOL)], tables, recent.hash)
    assert len(message.address_table_lookups) == 1
    return parsed(VersionedTransaction(message, [payer]))


def test_a_lookup_table_works_from_the_slot_after_it_was_filled() -> None:
    payer, to = Keypair(), Keypair().pubkey()
    ledger = ledger_with(payer)
    for _ in range(3):
        ledger.step(START)
    table, create = create_table(payer.pubkey(), ledger.chain.head.slot)
    setup = signed(payer, [create, extend_table(table, payer.pubkey(), to)], ledger.chain.head)
    use = through_table(payer, table, to, ledger.chain.head)
    ledger.submit(parsed(setup))
    ledger.submit(use)
    (landed,) = ledger.step(START).transactions
    assert (landed.signature, landed.err) == (str(setup.signatures[0]), None)
    landed_uses = [tx for _ in range(ledger.limits.retry_every) for tx in ledger.step(START).transactions]
    assert [tx.signature for tx in landed_uses] == [use.signature]
    (used,) = landed_uses
    assert used.err is None
    assert (used.loaded_writable, used.loaded_readonly) == (1, 0)
    assert used.account_keys[-1] == bytes(to)
    assert used.post_balances[-1] == SOL


def test_a_missing_table_is_named_in_the_simulation() -> None:
    payer, to = Keypair(), Keypair().pubkey()
    ledger = ledger_with(payer)
    transaction = through_table(payer, Pubkey.new_unique(), to, ledger.chain.head)
    assert ledger.simulate(transaction, ledger.chain.head).outcome.err == "AddressLookupTableNotFound"


def test_a_program_that_is_not_there_costs_the_fee() -> None:
    payer = Keypair()
    ledger = ledger_with(payer)
    transaction = parsed(signed(payer, [Instruction(Pubkey.new_unique(), b"", [])], ledger.chain.head))
    ledger.submit(transaction)
    (landed,) = ledger.step(START).transactions
    assert landed.err in ("InvalidProgramForExecution", "ProgramAccountNotFound")
    account = ledger.account(payer.pubkey(), ledger.chain.head)
    assert account is not None
    assert account.lamports == 1_000 * SOL - 5_000


def test_an_account_below_rent_is_refused_by_name() -> None:
    payer = Keypair()
    ledger = ledger_with(payer)
    ledger.submit(payment(payer, ledger.chain.head, lamports=1))
    (landed,) = ledger.step(START).transactions
    assert landed.err == {"InsufficientFundsForRent": {"account_index": 1}}


def balance(ledger: Ledger, key: Pubkey) -> int:
    account = ledger.svm.account(key)
    return 0 if account is None else account.lamports


def test_a_simulation_sees_the_level_asked_for_and_leaves_no_trace() -> None:
    payer, to = Keypair(), Keypair()
    ledger = ledger_with(payer)
    genesis = ledger.chain.head
    ledger.submit(payment(payer, genesis, to.pubkey(), lamports=3 * SOL))
    ledger.step(START)
    spend = payment(to, genesis, lamports=SOL)
    assert ledger.simulate(spend, genesis).outcome.err == "AccountNotFound"
    now = ledger.simulate(spend, ledger.chain.head)
    assert now.outcome.err is None
    assert now.accounts[to.pubkey()].lamports == 2 * SOL - 5_000
    assert balance(ledger, to.pubkey()) == 3 * SOL


def test_a_simulation_does_not_see_a_slot_that_is_being_made() -> None:
    payer, to = Keypair(), Keypair()
    ledger = ledger_with(payer)
    ledger.submit(payment(payer, ledger.chain.head, to.pubkey(), lamports=3 * SOL))
    builder = ledger.begin_slot(START)
    builder.execute_some(10)
    assert balance(ledger, to.pubkey()) == 3 * SOL
    outcome = ledger.simulate(payment(to, ledger.chain.head), ledger.chain.head).outcome
    assert outcome.err == "AccountNotFound"
    assert balance(ledger, to.pubkey()) == 3 * SOL


def test_a_file_that_is_no_program_is_refused_by_address() -> None:
    address = Pubkey.new_unique()
    with pytest.raises(ValueError, match=str(address)):
        Svm({address: b"not an ELF file"})
