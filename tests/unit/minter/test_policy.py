"""What the minter's keys sign: everything that the minter makes, and nothing that somebody else could want."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.compute_budget import request_heap_frame, set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, CompiledInstruction, Instruction
from solders.message import MessageHeader, MessageV0
from solders.pubkey import Pubkey
from solders.system_program import (
    AssignParams,
    CreateAccountParams,
    TransferParams,
    assign,
    create_account,
    transfer,
)

from bubblegum import instructions
from bubblegum.collections import create_core_collection, create_token_metadata_collection
from bubblegum.instructions.discriminators import BubblegumInstruction
from bubblegum.lookup_tables import create_table
from bubblegum.programs import (
    ADDRESS_LOOKUP_TABLE,
    BUBBLEGUM,
    COMPUTE_BUDGET,
    MPL_ACCOUNT_COMPRESSION,
    SPL_ACCOUNT_COMPRESSION,
    SYSTEM,
    TOKEN,
)
from bubblegum.types import Collection, Creator, MetadataArgs, MetadataArgsV2
from services.minter.signing.policy import LAMPORTS_PER_SIGNATURE, MessageRefused, Policy

WALLET, NEW, STRANGER = (Pubkey.new_unique() for _ in range(3))
POLICY = Policy(max_fee=200_000, max_spend=1_000_000_000)
NO_FEE = Policy(max_fee=10**18, max_spend=10**18)


def compiled(work: Sequence[Instruction], payer: Pubkey = WALLET) -> MessageV0:
    return MessageV0.try_compile(payer, work, [], Hash.default())


def check(work: Sequence[Instruction], policy: Policy = POLICY, payer: Pubkey = WALLET) -> None:
    policy.check(compiled(work, payer), frozenset({WALLET}), frozenset({NEW}))


def account(**changed: object) -> Instruction:
    fields: dict[str, object] = {
        "from_pubkey": WALLET, "to_pubkey": NEW, "lamports": 1, "space": 0, "owner": TOKEN,
    } | changed  # fmt: skip
    return create_account(CreateAccountParams(**fields))  # pyright: ignore[reportArgumentType]  (tests bad ones)


def budget(units: int, price: int) -> list[Instruction]:
    return [set_compute_unit_limit(units), set_compute_unit_price(price)]


def everything_the_minter_makes() -> list[tuple[str, list[Instruction]]]:
    creators = (Creator(WALLET, verified=False, share=100),)
    v1 = MetadataArgs("n", "s", "u", 0, creators=creators, collection=Collection(verified=False, key=STRANGER))
    v2 = MetadataArgsV2("n", "s", "u", 0, creators=creators, collection=STRANGER)
    tree = {"payer": WALLET, "tree": NEW, "max_depth": 14, "max_buffer_size": 64}
    made = [
        instructions.create_tree_account(lamports=10**9, canopy_depth=0, compression_program=program, **tree)  # pyright: ignore[reportArgumentType]  (the fields are as they should be)
        for program in (SPL_ACCOUNT_COMPRESSION, MPL_ACCOUNT_COMPRESSION)
    ]
    return [
        (
            "mint to collection V1",
            [
                *budget(80_000, 100_000),
                instructions.mint_to_collection_v1(
                    tree=STRANGER,
                    payer=WALLET,
                    tree_creator_or_delegate=WALLET,
                    collection_authority=WALLET,
                    collection_mint=STRANGER,
                    leaf_owner=STRANGER,
                    metadata=v1,
                ),
            ],
        ),
        (
            "mint V2",
            [
                instructions.mint_v2(
                    tree=STRANGER, payer=WALLET, leaf_owner=STRANGER, metadata=v2, core_collection=STRANGER
                )
            ],
        ),
        (
            "tree V1",
            [made[0], instructions.create_tree_config(tree_creator=WALLET, public=False, **tree)],  # pyright: ignore[reportArgumentType]
        ),
        ("tree V2", [made[1], instructions.create_tree_config_v2(public=False, **tree)]),  # pyright: ignore[reportArgumentType]
        (
            "collection V1",
            create_token_metadata_collection(
                payer=WALLET,
                mint=NEW,
                authority=WALLET,
                mint_lamports=1_461_600,
                name="n",
                symbol="s",
                uri="u",
                seller_fee_basis_points=0,
            ),
        ),
        ("collection V2", [create_core_collection(payer=WALLET, collection=NEW, name="n", uri="u")]),
        ("lookup table", create_table(authority=WALLET, recent_slot=7, addresses=[STRANGER])),
    ]


@pytest.mark.parametrize(("name", "work"), everything_the_minter_makes())
def test_what_the_minter_makes_is_signed(name: str, work: list[Instruction]) -> None:
    check(work)


def meta(key: Pubkey, *, signer: bool = False) -> AccountMeta:
    return AccountMeta(key, is_signer=signer, is_writable=True)


TRANSFER = transfer(TransferParams(from_pubkey=WALLET, to_pubkey=STRANGER, lamports=1))
HOSTILE = {
    "a transfer to a stranger": [TRANSFER],
    "a transfer behind honest work": [account(), TRANSFER],
    "the wallet given to a program": [assign(AssignParams(pubkey=WALLET, owner=STRANGER))],
    "an account that nobody asked for": [account(to_pubkey=STRANGER)],
    "an account for a program of a stranger": [account(owner=STRANGER)],
    "an account that costs too much": [account(lamports=10**9 + 1)],
    "two accounts that cost too much together": [account(lamports=6 * 10**8), account(lamports=6 * 10**8)],
    "a signature of a stranger": [Instruction(TOKEN, b"\x07", [meta(STRANGER, signer=True)])],
    "an unknown program": [Instruction(STRANGER, b"", [meta(WALLET, signer=True)])],
    "a token transfer": [Instruction(TOKEN, b"\x03" + bytes(8), [meta(STRANGER), meta(STRANGER), meta(WALLET)])],
    "a token account's authority": [Instruction(TOKEN, b"\x06", [meta(STRANGER), meta(WALLET)])],
    "a lookup table closed into a stranger's pocket": [
        Instruction(ADDRESS_LOOKUP_TABLE, b"\x04\x00\x00\x00", [meta(STRANGER)])
    ],
    "a fee above the ceiling": [*budget(1_400_000, 1_000_000), account()],
    "a price without a limit": [set_compute_unit_price(1_000_000), account()],
    "two prices": [set_compute_unit_price(1), set_compute_unit_price(2), account()],
    "a heap frame": [request_heap_frame(32 * 1024), account()],
    "nothing for the budget program": [Instruction(COMPUTE_BUDGET, b"", [])],
    "a short system call": [Instruction(SYSTEM, b"\x02\x00\x00\x00", [meta(WALLET, signer=True), meta(STRANGER)])],
    "a system call without accounts": [Instruction(SYSTEM, b"\x02\x00\x00\x00" + bytes(8), [])],
}


@pytest.mark.parametrize("work", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_an_attacker_would_want_is_not(work: list[Instruction]) -> None:
    with pytest.raises(MessageRefused):
        check(work)


MINTS = {"create_tree", "create_tree_v2", "mint_v1", "mint_to_collection_v1", "mint_v2"}


@pytest.mark.parametrize("kind", [each for each in BubblegumInstruction if each.value not in MINTS])
def test_of_bubblegum_only_trees_and_mints_are_signed(kind: BubblegumInstruction) -> None:
    """The wallet owns trees and collections: a transfer, burn or delegation in its name is theft."""
    with pytest.raises(MessageRefused):
        check([Instruction(BUBBLEGUM, kind.discriminator, [meta(WALLET, signer=True)])])


def test_another_fee_payer_is_refused() -> None:
    with pytest.raises(MessageRefused, match="fee payer"):
        check([account()], payer=STRANGER)


def test_more_signatures_than_the_ceiling_are_refused() -> None:
    with pytest.raises(MessageRefused, match="2 signatures"):
        check([account()], Policy(max_signatures=1))


def test_programs_can_be_added() -> None:
    check([Instruction(STRANGER, b"x", [])], Policy(programs=frozenset({STRANGER})))


def test_transfers_between_our_own_wallets_count_as_spent() -> None:
    work = [transfer(TransferParams(from_pubkey=WALLET, to_pubkey=NEW, lamports=5))]
    payers = frozenset({WALLET, NEW})
    Policy(max_spend=5).check(compiled(work), payers, frozenset())
    with pytest.raises(MessageRefused, match="spends 5"):
        Policy(max_spend=4).check(compiled(work), payers, frozenset())


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 10**7))
def test_whatever_is_signed_costs_no_more_than_the_ceiling(units: int, price: int, ceiling: int) -> None:
    """The fee as the runtime takes it: a base for each signature, and price times limit, rounded up."""
    paid = 2 * LAMPORTS_PER_SIGNATURE + -(-price * min(units, 1_400_000) // 1_000_000)
    try:
        check([*budget(units, price), account()], Policy(max_fee=ceiling))
    except MessageRefused:
        assert paid > ceiling
    else:
        assert paid <= ceiling


PROGRAMS = st.sampled_from([SYSTEM, TOKEN, BUBBLEGUM, COMPUTE_BUDGET, STRANGER])
KEYS = st.sampled_from([WALLET, NEW, STRANGER])
METAS = st.builds(AccountMeta, KEYS, st.booleans(), st.booleans())
CALLS = st.builds(Instruction, PROGRAMS, st.binary(max_size=60), st.lists(METAS, max_size=4))
SYSTEM_DATA = st.tuples(st.integers(0, 12), st.binary(max_size=60)).map(
    lambda parts: parts[0].to_bytes(4, "little") + parts[1]
)
SYSTEM_CALLS = st.builds(Instruction, st.just(SYSTEM), SYSTEM_DATA, st.lists(METAS, max_size=4))


@given(st.lists(CALLS | SYSTEM_CALLS, min_size=1, max_size=5))
def test_no_message_moves_our_lamports_to_a_stranger(work: list[Instruction]) -> None:
    message = compiled(work)
    try:
        NO_FEE.check(message, frozenset({WALLET}), frozenset({NEW}))
    except MessageRefused:
        return
    keys = message.account_keys
    assert all(key != STRANGER for key in keys[: message.header.num_required_signatures])
    for call in message.instructions:
        program = keys[call.program_id_index]
        assert program != STRANGER
        if program == SYSTEM:
            assert keys[bytes(call.accounts)[1]] in (WALLET, NEW)


@given(
    st.integers(0, 255), st.integers(0, 255), st.lists(KEYS, max_size=4), st.integers(0, 255), st.binary(max_size=20)
)
def test_a_message_that_no_compiler_would_make_is_refused_and_breaks_nothing(
    required: int, program: int, keys: list[Pubkey], index: int, data: bytes
) -> None:
    """Indexes that point nowhere or into a lookup table, headers that lie."""
    call = CompiledInstruction(program, data, bytes([index, index]))
    header = MessageHeader(required, 0, 0)
    message = MessageV0(header, keys, Hash.default(), [call], [])
    with pytest.raises(MessageRefused):
        NO_FEE.check(message, frozenset({WALLET}), frozenset({NEW}))
