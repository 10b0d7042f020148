"""Compute ceilings, prices and the bounded pool."""

from __future__ import annotations

from solders.keypair import Keypair

from localnet.cluster.model import LedgerLimits
from tests.support.cluster import START, ledger_with, payment


def test_one_account_takes_only_its_share_of_a_slot() -> None:
    """A payment reserves 1400 units + 1320 for its signature and two locks; run, it uses 300 of the 1400."""
    hot = Keypair().pubkey()
    payers = [Keypair() for _ in range(4)]
    limits = LedgerLimits(account_compute=5_000, block_compute=1_000_000)
    ledger = ledger_with(*payers, limits=limits)
    for payer in payers:
        ledger.submit(payment(payer, ledger.chain.head, hot, units=1_400))
    landed: list[int] = []
    while len(ledger.pool):
        landed.append(len(ledger.step(START).transactions))
    assert landed == [2, 2]


def test_a_busy_account_does_not_hold_up_others() -> None:
    hot, cold = Keypair().pubkey(), Keypair().pubkey()
    payers = [Keypair() for _ in range(3)]
    ledger = ledger_with(*payers, limits=LedgerLimits(account_compute=4_000))
    for payer in payers[:2]:
        ledger.submit(payment(payer, ledger.chain.head, hot, units=2_000))
    free = payment(payers[2], ledger.chain.head, cold, units=2_000)
    ledger.submit(free)
    signatures = [tx.signature for tx in ledger.step(START).transactions]
    assert len(signatures) == 2
    assert free.signature in signatures


def test_the_block_has_a_ceiling_too() -> None:
    payers = [Keypair() for _ in range(3)]
    ledger = ledger_with(*payers, limits=LedgerLimits(block_compute=5_000, account_compute=5_000))
    for payer in payers:
        ledger.submit(payment(payer, ledger.chain.head, units=2_000))
    assert len(ledger.step(START).transactions) == 2
    assert len(ledger.step(START).transactions) == 1


def test_the_higher_price_goes_first_and_is_charged() -> None:
    payers = [Keypair() for _ in range(3)]
    ledger = ledger_with(*payers)
    sent = [
        payment(payer, ledger.chain.head, price=price, units=1_000)
        for payer, price in zip(payers, (0, 5_000, 2_000_000), strict=True)
    ]
    for transaction in sent:
        ledger.submit(transaction)
    landed = ledger.step(START).transactions
    assert [tx.signature for tx in landed] == [sent[2].signature, sent[1].signature, sent[0].signature]
    assert [tx.fee for tx in landed] == [5_000 + 2_000, 5_000 + 5, 5_000]
    assert [ledger.fee(transaction) for transaction in reversed(sent)] == [tx.fee for tx in landed]


def test_a_block_tells_the_lowest_price_of_each_account_it_wrote() -> None:
    payers = [Keypair() for _ in range(2)]
    ledger = ledger_with(*payers)
    for payer, price in zip(payers, (7, 11), strict=True):
        ledger.submit(payment(payer, ledger.chain.head, price=price, units=1_000))
    block = ledger.step(START).block
    assert block.minimum_fee == 7
    assert block.minimum_fees[bytes(payers[0].pubkey())] == 7
    assert block.minimum_fees[bytes(payers[1].pubkey())] == 11


def test_a_full_pool_refuses_and_counts() -> None:
    payer = Keypair()
    ledger = ledger_with(payer, limits=LedgerLimits(pool_transactions=2))
    sent = [payment(payer, ledger.chain.head) for _ in range(3)]
    assert [ledger.submit(each) for each in sent] == [True, True, False]
    assert ledger.submit(sent[0])
    assert ledger.pool.refused == 1
    assert len(ledger.step(START).transactions) == 2
