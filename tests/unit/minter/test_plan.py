"""Planning: what makes one transaction unlike another."""

from solders.compute_budget import ID as COMPUTE_BUDGET
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.system_program import TransferParams, transfer

from bubblegum.reference import reference
from services.minter.plan import compose
from services.minter.ports import RecentBlockhash

WALLET, SOMEBODY = Keypair.from_seed(bytes(32)).pubkey(), Keypair.from_seed(bytes([1] * 32)).pubkey()
WORK = [transfer(TransferParams(from_pubkey=WALLET, to_pubkey=SOMEBODY, lamports=1))]


def composed(label: str) -> MessageV0:
    recent = RecentBlockhash(Hash(bytes([7] * 32)), 150)
    return compose(WORK, WALLET, recent, mark=reference(label), compute_units=1_000, micro_lamports=0)


def test_the_same_work_under_the_same_blockhash_is_another_transaction_by_its_mark() -> None:
    assert bytes(composed("operation.0.0")) != bytes(composed("operation.0.1"))
    assert bytes(composed("operation.0.0")) == bytes(composed("operation.0.0"))


def test_the_mark_is_an_account_that_is_neither_written_nor_signed_for() -> None:
    message = composed("operation.0.0")
    position = list(message.account_keys).index(reference("operation.0.0"))
    assert not message.is_maybe_writable(position)
    assert not message.is_signer(position)
    budget = message.instructions[0]
    assert message.account_keys[budget.program_id_index] == COMPUTE_BUDGET
    assert list(budget.accounts) == [position]
