"""Transactions that are well-formed and senseless: the chain goes on, and they cost their fee or change nothing."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.instruction import CompiledInstruction
from solders.keypair import Keypair
from solders.message import MessageAddressTableLookup, MessageHeader, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from localnet.cluster.wire import MalformedTransaction, ParsedTransaction, parse, parsed
from tests.support.cluster import SOL, START, ledger_with, payment, signed

PROGRAMS = tuple(
    Pubkey.from_string(text)
    for text in (
        "11111111111111111111111111111111",
        "ComputeBudget111111111111111111111111111111",
        "AddressLookupTab1e1111111111111111111111111",
        "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
        "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL",
        "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr",
        "Vote111111111111111111111111111111111111111",
        "BPFLoaderUpgradeab1e11111111111111111111111",
        "SysvarC1ock11111111111111111111111111111111",
    )
)
PAYER, OTHER = Keypair(), Keypair()


@st.composite
def messages(draw: st.DrawFn) -> MessageV0:
    """A version 0 message whose indexes are in range; nothing else of it has to make sense."""
    others = st.sampled_from((*PROGRAMS, OTHER.pubkey()))
    keys = [PAYER.pubkey(), *draw(st.lists(others, min_size=1, max_size=6, unique=True))]
    indexes = st.binary(max_size=3)
    lookups = [
        MessageAddressTableLookup(table, draw(indexes), draw(indexes))
        for table in draw(st.lists(st.sampled_from(PROGRAMS), max_size=1))
    ]
    account = st.integers(0, len(keys) - 1)
    instructions = [
        CompiledInstruction(
            draw(st.integers(1, len(keys) - 1)),
            draw(st.binary(max_size=40)),
            bytes(draw(st.lists(account, max_size=6))),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]
    header = MessageHeader(1, 0, draw(st.integers(0, len(keys) - 1)))
    return MessageV0(header, keys, Hash.default(), instructions, lookups)


def on_chain(message: MessageV0, recent: Hash) -> ParsedTransaction | None:
    """The message signed for a block; None when a node would not even read it."""
    fresh = MessageV0(message.header, message.account_keys, recent, message.instructions, message.address_table_lookups)
    try:
        return parse(bytes(VersionedTransaction(fresh, [PAYER])))
    except MalformedTransaction:
        return None


@settings(max_examples=60, deadline=None)
@given(st.lists(messages(), min_size=1, max_size=8))
def test_no_transaction_stops_the_chain_or_moves_what_it_may_not(drawn: list[MessageV0]) -> None:
    ledger = ledger_with(PAYER, OTHER)
    for message in drawn:
        transaction = on_chain(message, ledger.chain.head.hash)
        if transaction is not None:
            ledger.simulate(transaction, ledger.chain.head)
            ledger.submit(transaction)
    landed = ledger.step(START).transactions
    head = ledger.chain.head
    payer, other = ledger.account(PAYER.pubkey(), head), ledger.account(OTHER.pubkey(), head)
    assert payer is not None
    assert other is not None
    assert other.lamports >= 1_000 * SOL
    fees = sum(tx.fee for tx in landed)
    moved = sum(post - pre for tx in landed for pre, post in zip(tx.pre_balances, tx.post_balances, strict=True))
    assert moved == -fees
    # And the next honest transaction still lands.
    honest = payment(OTHER, head)
    ledger.submit(honest)
    assert honest.signature in [tx.signature for tx in ledger.step(START).transactions]


def test_a_transaction_that_names_its_budget_twice_waits_and_expires() -> None:
    ledger = ledger_with(PAYER)
    twice = [set_compute_unit_limit(10), set_compute_unit_limit(10)]
    transaction = parsed(signed(PAYER, twice, ledger.chain.head))
    assert ledger.simulate(transaction, ledger.chain.head).outcome.err == {"DuplicateInstruction": 1}
    ledger.submit(transaction)
    assert ledger.step(START).transactions == ()
    for _ in range(155):
        ledger.step(START)
    assert len(ledger.pool) == 0
    account = ledger.account(PAYER.pubkey(), ledger.chain.head)
    assert account is not None
    assert account.lamports == 1_000 * SOL
