"""The chain in steps: what each commitment level sees, when a blockhash dies, what a duplicate and a fork do."""

from __future__ import annotations

import pytest
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from localnet.cluster.ledger import Ledger
from localnet.cluster.model import MAX_PROCESSING_AGE, Commitment, LedgerLimits
from tests.support.cluster import SOL, START, ledger_with, payment

PROCESSED, CONFIRMED, FINALIZED = Commitment.PROCESSED, Commitment.CONFIRMED, Commitment.FINALIZED


def lamports(ledger: Ledger, key: Pubkey, level: Commitment) -> int | None:
    account = ledger.account(key, ledger.chain.at(level))
    return None if account is None else account.lamports


def steps(ledger: Ledger, count: int) -> None:
    for _ in range(count):
        ledger.step(START)


def test_nothing_of_a_slot_is_visible_before_it_is_published() -> None:
    payer, to = Keypair(), Keypair().pubkey()
    ledger = ledger_with(payer)
    transaction = payment(payer, ledger.chain.head, to)
    ledger.submit(transaction)
    builder = ledger.begin_slot(START)
    builder.execute_some(10)
    sealed = builder.seal()
    assert [tx.signature for tx in sealed.transactions] == [transaction.signature]
    assert lamports(ledger, to, PROCESSED) is None
    assert ledger.recent_transaction(transaction.signature) is None
    assert ledger.chain.head.slot == 0
    ledger.publish(sealed)
    assert lamports(ledger, to, PROCESSED) == SOL
    assert ledger.recent_transaction(transaction.signature) is not None


def test_levels_are_apart_by_their_number_of_blocks() -> None:
    payer, to = Keypair(), Keypair().pubkey()
    ledger = ledger_with(payer, limits=LedgerLimits(confirmed_after=2, finalized_after=32))
    ledger.submit(payment(payer, ledger.chain.head, to))
    seen: dict[int, tuple[int | None, ...]] = {}
    for step in range(1, 35):
        ledger.step(START)
        seen[step] = tuple(lamports(ledger, to, level) for level in (PROCESSED, CONFIRMED, FINALIZED))
    assert seen[1] == (SOL, None, None)
    assert seen[2] == (SOL, None, None)
    assert seen[3] == (SOL, SOL, None)
    assert seen[32] == (SOL, SOL, None)
    assert seen[33] == (SOL, SOL, SOL)


def test_an_older_level_keeps_seeing_the_older_version_of_a_changing_account() -> None:
    payer, to = Keypair(), Keypair().pubkey()
    ledger = ledger_with(payer)
    for paid in range(1, 40):
        ledger.submit(payment(payer, ledger.chain.head, to, lamports=SOL + paid))
        ledger.step(START)
        total = [n * SOL + n * (n + 1) // 2 for n in range(paid + 1)]
        assert lamports(ledger, to, PROCESSED) == total[paid]
        assert lamports(ledger, to, CONFIRMED) == (total[paid - 1] or None)
        assert lamports(ledger, to, FINALIZED) == (total[max(paid - 32, 0)] or None)


def test_an_emptied_account_is_gone_at_each_level_in_its_turn() -> None:
    payer, other = Keypair(), Keypair()
    ledger = ledger_with(payer, other)
    ledger.submit(payment(other, ledger.chain.head, payer.pubkey(), lamports=1_000 * SOL - 5_000))
    ledger.step(START)
    assert lamports(ledger, other.pubkey(), PROCESSED) is None
    assert lamports(ledger, other.pubkey(), CONFIRMED) == 1_000 * SOL
    steps(ledger, 32 + ledger.limits.extra_history + 2)
    assert lamports(ledger, other.pubkey(), FINALIZED) is None


@pytest.mark.parametrize(("blocks", "lands"), [(MAX_PROCESSING_AGE, True), (MAX_PROCESSING_AGE + 1, False)])
def test_a_blockhash_is_accepted_for_exactly_151_blocks(blocks: int, lands: bool) -> None:
    """A block's hash is promised up to its height + 150 and, as in Agave, still accepted in the block after that."""
    payer = Keypair()
    ledger = ledger_with(payer)
    steps(ledger, 3)
    base = ledger.chain.head
    transaction = payment(payer, base)
    steps(ledger, blocks)
    assert ledger.chain.head.height == base.height + blocks
    assert ledger.chain.accepts_blockhash(bytes(base.hash), ledger.chain.head) is lands
    ledger.submit(transaction)
    sealed = ledger.step(START)
    assert sealed.block.height == base.last_valid_height + (1 if lands else 2)
    assert (ledger.recent_transaction(transaction.signature) is not None) is lands
    assert sealed.expired == (() if lands else (transaction.signature,))
    assert len(ledger.pool) == 0


def test_an_unknown_blockhash_never_lands() -> None:
    payer = Keypair()
    ledger = ledger_with(payer)
    transaction = payment(payer, Hash.new_unique())
    assert ledger.refusal(transaction, ledger.chain.head) == "BlockhashNotFound"
    ledger.submit(transaction)
    assert ledger.step(START).transactions == ()


def test_a_blockhash_of_a_newer_block_is_unknown_to_an_older_level() -> None:
    payer = Keypair()
    ledger = ledger_with(payer)
    steps(ledger, 40)
    transaction = payment(payer, ledger.chain.at(CONFIRMED))
    assert ledger.refusal(transaction, ledger.chain.at(PROCESSED)) is None
    assert ledger.refusal(transaction, ledger.chain.at(CONFIRMED)) is None
    assert ledger.refusal(transaction, ledger.chain.at(FINALIZED)) == "BlockhashNotFound"


def test_the_same_transaction_lands_once() -> None:
    payer, to = Keypair(), Keypair().pubkey()
    ledger = ledger_with(payer)
    transaction = payment(payer, ledger.chain.head, to)
    for _ in range(5):
        ledger.submit(transaction)
        ledger.step(START)
    assert lamports(ledger, to, PROCESSED) == SOL
    assert ledger.refusal(transaction, ledger.chain.head) == "AlreadyProcessed"
    assert ledger.simulate(transaction, ledger.chain.head).outcome.err == "AlreadyProcessed"


def test_a_failing_transaction_lands_and_pays_its_fee() -> None:
    payer = Keypair()
    ledger = ledger_with(payer)
    transaction = payment(payer, ledger.chain.head, lamports=5_000 * SOL, price=1_000_000, units=10_000)
    ledger.submit(transaction)
    (landed,) = ledger.step(START).transactions
    assert landed.err == {"InstructionError": [2, {"Custom": 1}]}
    assert landed.fee == 5_000 + 10_000
    assert lamports(ledger, payer.pubkey(), PROCESSED) == 1_000 * SOL - 15_000
    assert landed.pre_balances[0] - landed.post_balances[0] == 15_000


def test_a_transaction_that_cannot_pay_waits_and_lands_when_it_can() -> None:
    rich, poor, to = Keypair(), Keypair(), Keypair().pubkey()
    ledger = ledger_with(rich, limits=LedgerLimits(retry_every=2))
    early = payment(poor, ledger.chain.head, to)
    ledger.submit(early)
    assert ledger.step(START).transactions == ()
    ledger.submit(payment(rich, ledger.chain.head, poor.pubkey(), lamports=2 * SOL))
    steps(ledger, 3)
    assert lamports(ledger, to, PROCESSED) == SOL


def test_time_never_goes_back() -> None:
    ledger = ledger_with()
    ledger.step(START + 10)
    ledger.step(START + 5)
    assert ledger.chain.head.time == START + 10


def test_only_one_slot_is_open() -> None:
    ledger = ledger_with()
    ledger.begin_slot(START)
    with pytest.raises(RuntimeError, match="still open"):
        ledger.begin_slot(START)
    with pytest.raises(RuntimeError, match="between slots"):
        ledger.fork(1)
