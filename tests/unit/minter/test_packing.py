"""Packing: as many mints a transaction as bytes allow, in order, each once; and turns among trees."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from bubblegum.reference import reference
from contracts.collection import Standard
from contracts.mint import Pinned, PinnedItem, PlannedTransaction
from services.minter.packing import LAST_LEAVES, MAX_MINTS, MAX_ON_THEIR_WAY, Rooms, pack, transaction_bytes
from services.minter.plan import compose, mint_instructions, table_addresses
from services.minter.planning import items_of
from services.minter.ports import RecentBlockhash
from tests.support.packing import ASSET, CAPACITY, WALLET, created, item, key, pinned, room, rooms, table

SIGNING_WALLET = Keypair.from_seed(bytes(32))
FEE_PAYER = Keypair.from_seed(bytes([7] * 32))
WIRE_LIMIT = 1232

standards = st.sampled_from(list(Standard))
text = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=40)


@st.composite
def chunks(draw: st.DrawFn) -> Pinned:
    drawn = draw(st.lists(st.tuples(text, text, st.integers(0, 260)), min_size=1, max_size=24))
    return pinned(
        [
            PinnedItem(index=3 * n, name=name, symbol=symbol, uri="u" * size, image_uri="")
            for n, (name, symbol, size) in enumerate(drawn)
        ]
    )


def wire(
    chunk: Pinned,
    standard: Standard,
    planned: PlannedTransaction,
    where: Rooms,
    fee: int,
    payer: Keypair = SIGNING_WALLET,
) -> bytes:
    """The transaction as it is signed, and not as packing measures it."""
    found = where.table(planned.tree)
    items = items_of(chunk, planned.items)
    work = mint_instructions(created(standard), chunk.recipient, items, WALLET, planned.tree, payer.pubkey())
    message = compose(
        work,
        payer.pubkey(),
        RecentBlockhash(Hash(bytes([9] * 32)), 150),
        mark=reference("some transaction"),
        compute_units=1_399_999,
        micro_lamports=fee,
        tables=(found,) if found else (),
    )
    return bytes(VersionedTransaction(message, [payer] if payer == SIGNING_WALLET else [payer, SIGNING_WALLET]))


@settings(max_examples=60, deadline=None)
@given(
    chunks(),
    standards,
    st.booleans(),
    st.integers(1, 4),
    st.sampled_from([0, 1, 2**63]),
    st.sampled_from([SIGNING_WALLET, FEE_PAYER]),
)
def test_every_item_once_in_order_and_never_too_many_bytes(
    chunk: Pinned, standard: Standard, tabled: bool, trees: int, fee: int, payer: Keypair
) -> None:
    where = rooms(standard, trees, tabled=tabled)
    plan = pack(created(standard), chunk, where, WALLET, payer=payer.pubkey())
    assert [index for each in plan for index in each.items] == [each.index for each in chunk.items]
    assert [each.tx for each in plan] == list(range(len(plan)))
    for each in plan:
        assert len(each.items) <= MAX_MINTS
        assert (each.lookup_table is not None) == tabled
        if not each.doubtful:
            assert len(wire(chunk, standard, each, where, fee, payer)) <= WIRE_LIMIT


@settings(max_examples=40, deadline=None)
@given(chunks(), standards)
def test_nothing_that_would_still_fit_is_left_for_the_next_transaction(chunk: Pinned, standard: Standard) -> None:
    where = rooms(standard)
    plan = pack(created(standard), chunk, where, WALLET)
    for one, following in pairwise(plan):
        if one.doubtful or following.doubtful or len(one.items) == MAX_MINTS:
            continue
        more = items_of(chunk, (*one.items, following.items[0]))
        work = mint_instructions(created(standard), chunk.recipient, more, WALLET, one.tree)
        assert transaction_bytes(work, where.table(one.tree), WALLET) > WIRE_LIMIT


@pytest.mark.parametrize(
    ("standard", "tabled", "uri_bytes", "mints"),
    [
        # Measured on the deployed programs: one owner, URIs of 35 bytes.
        (Standard.V1, False, 35, 3),
        (Standard.V1, True, 35, 5),
        (Standard.V2, False, 35, 4),
        (Standard.V2, True, 35, 5),
        # What this service pins: ipfs:// and a CID of version 1.
        (Standard.V1, True, 66, 4),
        (Standard.V2, True, 66, 4),
        # Shorter ones than the reference.
        (Standard.V1, True, 16, 6),
        (Standard.V2, True, 20, 6),
    ],
)
def test_how_many_mints_a_transaction_holds(standard: Standard, tabled: bool, uri_bytes: int, mints: int) -> None:
    chunk = pinned([item(index, uri_bytes=uri_bytes) for index in range(mints * 2)])
    plan = pack(created(standard), chunk, rooms(standard, tabled=tabled), WALLET)
    assert [len(each.items) for each in plan] == [mints, mints]


@pytest.mark.parametrize("standard", Standard)
def test_a_fee_payer_beside_the_wallet_takes_a_signature_and_an_address(standard: Standard) -> None:
    chunk, where = pinned([item(0), item(1)]), rooms(standard)
    tree = str(key(10))
    alone, beside = (
        transaction_bytes(
            mint_instructions(created(standard), chunk.recipient, chunk.items, WALLET, tree, payer),
            where.table(tree),
            payer,
        )
        for payer in (WALLET, FEE_PAYER.pubkey())
    )
    assert beside - alone >= 64 + 32
    (planned,) = pack(created(standard), chunk, where, WALLET, payer=FEE_PAYER.pubkey())
    assert len(wire(chunk, standard, planned, where, 1, FEE_PAYER)) == beside


def test_copies_and_others_fill_transactions_together() -> None:
    names = ["Seine"] * 3 + ["Rhein"] * 2 + ["Elbe", "Oder", "Spree"]
    chunk = pinned([item(index, name) for index, name in enumerate(names)])
    plan = pack(created(Standard.V2), chunk, rooms(Standard.V2), WALLET)
    assert [each.items for each in plan] == [(0, 1, 2, 3, 4), (5, 6, 7)]


def test_an_item_that_would_be_refused_stands_alone() -> None:
    chunk = pinned([item(0), item(1, name="x" * 33), item(2), item(3), item(4)])
    plan = pack(created(Standard.V1), chunk, rooms(Standard.V1), WALLET)
    assert [(each.items, each.doubtful) for each in plan] == [((0,), False), ((1,), True), ((2, 3, 4), False)]
    apart = pack(created(Standard.V1), chunk, rooms(Standard.V1), WALLET, apart=frozenset({3}))
    assert [each.items for each in apart] == [(0,), (1,), (2,), (3,), (4,)]


def test_work_is_spread_over_trees_as_their_room_is() -> None:
    standard = Standard.V2
    where = Rooms([room(standard, 0), room(standard, 1), room(standard, 2, minted=CAPACITY // 2)])
    chunk = pinned([item(index) for index in range(500)])
    turns = Counter(each.tree for each in pack(created(standard), chunk, where, WALLET))
    assert turns == {str(key(10)): 40, str(key(11)): 40, str(key(12)): 20}


def test_the_last_leaves_are_taken_one_by_one_and_the_rest_goes_where_it_is_refused() -> None:
    standard = Standard.V2
    where = Rooms([room(standard, 0, capacity=8), room(standard, 1, capacity=8, minted=6)])
    chunk = pinned([item(index) for index in range(12)])
    plan = pack(created(standard), chunk, where, WALLET)
    assert all(len(each.items) == 1 and each.doubtful for each in plan)
    assert Counter(each.tree for each in plan) == {str(key(10)): 8, str(key(11)): 2 + 2}
    assert where.free == 0
    assert where.filled == 1.0


def test_no_transaction_asks_for_more_leaves_than_the_tree_has() -> None:
    where = Rooms([room(Standard.V2, capacity=LAST_LEAVES + 2)])
    plan = pack(created(Standard.V2), pinned([item(index) for index in range(6)]), where, WALLET)
    assert [len(each.items) for each in plan] == [5, 1]


def test_what_is_on_its_way_is_held_back_until_the_chain_shows_it() -> None:
    tree = room(Standard.V2, minted=100)
    where = Rooms([tree])
    where.take(tree, 5)
    assert tree.free == CAPACITY - 105
    tree.look(103)
    assert tree.free == CAPACITY - 105
    tree.look(140)  # others mint into it too
    assert tree.free == CAPACITY - 140
    where.take(tree, 10 * MAX_ON_THEIR_WAY)
    assert tree.free == CAPACITY - 140 - MAX_ON_THEIR_WAY


@pytest.mark.parametrize("standard", list(Standard))
def test_a_table_holds_all_that_a_mint_names_but_signers_owner_and_program(standard: Standard) -> None:
    addresses = table_addresses(standard, ASSET, key(10), WALLET)
    assert len(set(addresses)) == len(addresses)
    work: Any = mint_instructions(created(standard), str(key(1)), [item(0)], WALLET, str(key(10)))
    account = AddressLookupTableAccount(table(standard).address, list(addresses))
    message = MessageV0.try_compile(WALLET, work, [account], Hash.default())
    assert set(message.account_keys) == {WALLET, key(1), work[0].program_id}
    (lookup,) = message.address_table_lookups
    assert len(lookup.readonly_indexes) + len(lookup.writable_indexes) == len(addresses)
