"""Forks: what they take away, what they restore, and what may land again."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from solders.keypair import Keypair

from localnet.cluster.model import Commitment
from tests.support.cluster import SOL, START, ledger_with, payment


def test_a_fork_drops_confirmed_blocks_with_their_transactions_and_accounts() -> None:
    payer, to = Keypair(), Keypair().pubkey()
    ledger = ledger_with(payer)
    kept = payment(payer, ledger.chain.head, to, lamports=SOL)
    ledger.submit(kept)
    ledger.step(START)
    lost = payment(payer, ledger.chain.head, to, lamports=2 * SOL)
    ledger.submit(lost)
    for _ in range(3):
        ledger.step(START)
    assert ledger.chain.commitment_of(2) is Commitment.CONFIRMED
    fork = ledger.fork(3)
    assert (fork.head.slot, fork.dropped_slots) == (1, (2, 3, 4))
    assert [tx.signature for tx in fork.dropped] == [lost.signature]
    assert ledger.recent_transaction(lost.signature) is None
    assert ledger.recent_transaction(kept.signature) is not None
    account = ledger.account(to, ledger.chain.head)
    assert account is not None
    assert account.lamports == SOL


def test_slots_are_never_used_twice_and_heights_are() -> None:
    ledger = ledger_with()
    before = [ledger.step(START).block for _ in range(3)]
    ledger.fork(2)
    after = ledger.step(START).block
    assert after.slot == before[-1].slot + 1
    assert after.height == before[1].height
    assert after.parent_slot == before[0].slot
    assert after.blockhash != before[1].blockhash


def test_a_blockhash_of_a_dropped_block_is_no_longer_accepted() -> None:
    payer = Keypair()
    ledger = ledger_with(payer)
    kept = ledger.step(START).block
    dropped = ledger.step(START).block
    on_kept, on_dropped = payment(payer, kept), payment(payer, dropped)
    ledger.fork(1)
    ledger.submit(on_kept)
    ledger.submit(on_dropped)
    sealed = ledger.step(START)
    assert [tx.signature for tx in sealed.transactions] == [on_kept.signature]
    assert sealed.expired == (on_dropped.signature,)


def test_a_dropped_transaction_may_land_again_and_only_once() -> None:
    payer, to = Keypair(), Keypair().pubkey()
    ledger = ledger_with(payer)
    transaction = payment(payer, ledger.chain.head, to)
    ledger.submit(transaction)
    ledger.step(START)
    ledger.fork(1)
    for _ in range(3):
        ledger.submit(transaction)
        ledger.step(START)
    account = ledger.account(to, ledger.chain.head)
    assert account is not None
    assert account.lamports == SOL


def test_finalized_blocks_stay_whatever_the_depth() -> None:
    payer, to = Keypair(), Keypair().pubkey()
    ledger = ledger_with(payer)
    ledger.submit(payment(payer, ledger.chain.head, to))
    for _ in range(40):
        ledger.step(START)
    root = ledger.chain.root
    assert ledger.fork(1_000).head == root
    assert ledger.chain.root == root
    assert ledger.chain.at(Commitment.CONFIRMED) == root
    assert ledger.account(to, root) is not None
    for _ in range(5):
        ledger.step(START)
    assert ledger.chain.root == root


@settings(max_examples=25, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 3), st.integers(-6, -1)), max_size=40))
def test_lamports_are_neither_made_nor_lost_by_forks(moves: list[int]) -> None:
    """A number is a slot with that many payments; a negative one is a fork of that depth."""
    payer, to = Keypair(), Keypair().pubkey()
    ledger = ledger_with(payer)
    landed: list[int] = []
    for number, move in enumerate(moves):
        if move < 0:
            dropped = ledger.fork(-move).dropped_slots
            landed = landed[: len(landed) - len(dropped)] if dropped else landed
            continue
        for each in range(move):
            ledger.submit(payment(payer, ledger.chain.head, to, lamports=SOL + 10 * number + each))
        landed.append(len(ledger.step(START).transactions))
    paid = ledger.account(to, ledger.chain.head)
    left = ledger.account(payer.pubkey(), ledger.chain.head)
    assert left is not None
    assert left.lamports + (paid.lamports if paid else 0) + 5_000 * sum(landed) == 1_000 * SOL
