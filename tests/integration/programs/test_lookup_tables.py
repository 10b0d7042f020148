"""Lookup tables as we make them, on the real program: at the address we say, holding what we say."""

import pytest
from solders.address_lookup_table_account import derive_lookup_table_address
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from bubblegum.errors import DecodeError
from bubblegum.lookup_tables import MAX_ADDRESSES, create_table, created_table, table_account_size, table_contents
from bubblegum.transaction import ExecutedInstruction, ExecutedTransaction
from tests.support.cluster import SOL

RECENT, NOW = 40, 50


@pytest.fixture
def vm() -> LiteSVM:
    svm = LiteSVM()
    svm.warp_to_slot(NOW)
    svm.set_slot_hashes([(slot, Hash(bytes([slot]) * 32)) for slot in range(NOW - 1, RECENT - 1, -1)])
    return svm


def run(vm: LiteSVM, payer: Keypair, authority: Keypair, work: list[Instruction]) -> bool:
    vm.airdrop(payer.pubkey(), SOL)
    message = MessageV0.try_compile(payer.pubkey(), work, [], vm.latest_blockhash())
    vm.expire_blockhash()
    sent = VersionedTransaction(message, [payer, authority])
    return not isinstance(vm.with_blockhash_check(False).send_transaction(sent), FailedTransactionMetadata)


def executed(work: list[Instruction]) -> ExecutedTransaction:
    ran = tuple(
        ExecutedInstruction(each.program_id, tuple(meta.pubkey for meta in each.accounts), bytes(each.data))
        for each in work
    )
    return ExecutedTransaction("signature", NOW, None, ran)


@pytest.mark.parametrize("count", [1, 12, 20])
def test_a_table_holds_what_it_was_made_with(vm: LiteSVM, count: int) -> None:
    payer, authority = Keypair(), Keypair()
    addresses = tuple(Pubkey.new_unique() for _ in range(count))
    work = create_table(authority=authority.pubkey(), payer=payer.pubkey(), recent_slot=RECENT, addresses=addresses)
    assert run(vm, payer, authority, work)
    table = created_table(executed(work))
    assert table == derive_lookup_table_address(authority.pubkey(), RECENT)[0]
    account = vm.get_account(table)
    assert account is not None
    assert table_contents(account.data) == addresses
    assert len(account.data) == table_account_size(count)
    assert account.lamports == vm.minimum_balance_for_rent_exemption(table_account_size(count))


def test_two_tables_of_one_authority_and_slot_are_one_and_of_two_authorities_are_two(vm: LiteSVM) -> None:
    payer, one, other = Keypair(), Keypair(), Keypair()
    sets = [tuple(Pubkey.new_unique() for _ in range(3)) for _ in range(3)]
    makers = [(one, sets[0]), (one, sets[1]), (other, sets[2])]
    tables: list[Pubkey] = []
    for authority, addresses in makers:
        work = create_table(authority=authority.pubkey(), payer=payer.pubkey(), recent_slot=RECENT, addresses=addresses)
        assert run(vm, payer, authority, work)
        tables.append(created_table(executed(work)))
    assert tables[0] == tables[1] != tables[2]
    held = [vm.get_account(table) for table in tables]
    assert [table_contents(each.data) for each in held if each is not None] == [
        sets[0] + sets[1],
        sets[0] + sets[1],
        sets[2],
    ]


def test_a_slot_that_is_not_recent_makes_no_table(vm: LiteSVM) -> None:
    payer, authority = Keypair(), Keypair()
    work = create_table(
        authority=authority.pubkey(), payer=payer.pubkey(), recent_slot=RECENT - 1, addresses=[Pubkey.new_unique()]
    )
    assert not run(vm, payer, authority, work)


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(DecodeError):
        table_contents(b"\1\0\0\0")
    with pytest.raises(DecodeError):
        created_table(executed([]))
    key = Pubkey.new_unique()
    for count in (0, MAX_ADDRESSES + 1):
        with pytest.raises(ValueError, match="addresses"):
            create_table(authority=key, payer=key, recent_slot=1, addresses=[key] * count)
