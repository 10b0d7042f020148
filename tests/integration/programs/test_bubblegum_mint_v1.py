"""MintV1 on the stand-ins: the leaf, its event, the tree and the count; and every refusal."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solders.instruction import AccountMeta
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum import hashing, instructions, pda
from bubblegum.decode import Minted
from bubblegum.leaf import LeafSchemaV1
from bubblegum.programs import MPL_ACCOUNT_COMPRESSION, MPL_NOOP, SPL_ACCOUNT_COMPRESSION, SPL_NOOP
from bubblegum.types import Collection, Creator, MetadataArgs, TokenStandard, UseMethod, Uses
from tests.support.bubblegum_vm import (
    BubblegumTree,
    bubblegum_vm,
    extended,
    metadata_v1,
    metadata_v2,
    replaced,
    with_data,
)
from tests.support.vm import Vm

TREE_CONFIG, LEAF_OWNER, LEAF_DELEGATE, MERKLE_TREE, PAYER, TREE_DELEGATE, LOG_WRAPPER, COMPRESSION, SYSTEM = range(9)
OWNER = Keypair().pubkey()
MINT_COMPUTE_CEILING = 81_000
"""Compute units that the real program was seen to take at most for a V1 mint."""


@pytest.fixture(scope="module")
def vm() -> Vm:
    return bubblegum_vm()


@pytest.fixture
def tree(vm: Vm) -> BubblegumTree:
    return BubblegumTree(vm, 1)


def metadata(**changed: object) -> MetadataArgs:
    return replace(metadata_v1(), **changed)  # pyright: ignore[reportArgumentType] - fields by name, checked by the dataclass


def creators(*shares: int) -> tuple[Creator, ...]:
    return tuple(Creator(Keypair().pubkey(), verified=False, share=share) for share in shares)


def test_a_mint_writes_logs_and_counts_one_leaf(vm: Vm, tree: BubblegumTree) -> None:
    delegate = Keypair().pubkey()
    outcome = vm.send(replaced(tree.mint(OWNER), LEAF_DELEGATE, delegate))
    change = tree.accept(outcome)
    assert isinstance(change, Minted)
    data = metadata_v1()
    asset = pda.asset_id(tree.address, 0)
    assert change.leaf.schema == LeafSchemaV1(
        asset, OWNER, delegate, 0, hashing.data_hash(data), hashing.creator_hash(())
    )
    assert tree.plain.leaf(0) == change.leaf.leaf_hash
    # The official client reads a LeafSchema behind the first 8 bytes of the first inner instruction.
    assert [program for program, _ in outcome.inner] == [SPL_NOOP, SPL_ACCOUNT_COMPRESSION, SPL_NOOP]
    assert outcome.inner[0][1][8:41] == b"\0" + bytes(asset)


def test_mints_fill_the_tree_and_no_further(tree: BubblegumTree) -> None:
    assert [tree.minted(OWNER) for _ in range(8)] == list(range(8))
    tree.refuse(6017, tree.mint(OWNER))


def test_several_mints_in_one_transaction(vm: Vm, tree: BubblegumTree) -> None:
    outcome = vm.send(*(tree.mint(OWNER) for _ in range(3)))
    assert outcome.error is None
    assert tree.config().num_minted == 3
    assert tree.account().num_leaves == 3


def test_compute_stays_in_the_real_neighbourhood(vm: Vm) -> None:
    tree = BubblegumTree(vm, 1, (30, 512, 13))
    data = metadata(name="n" * 32, symbol="s" * 10, uri="u" * 200, creators=creators(20, 20, 20, 20, 20))
    outcome = vm.send(tree.mint(OWNER, data))
    tree.accept(outcome)
    assert outcome.compute_units < MINT_COMPUTE_CEILING


texts = st.text(st.characters(codec="utf-8"), max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=texts,
    symbol=st.text(st.characters(codec="utf-8"), max_size=2),
    uri=texts,
    fee=st.integers(0, 10_000),
    flags=st.tuples(st.booleans(), st.booleans()),
    nonce=st.none() | st.integers(0, 255),
    uses=st.none() | st.builds(Uses, st.sampled_from(UseMethod), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)),
    collection=st.none() | st.binary(min_size=32, max_size=32).map(Pubkey.from_bytes),
    shares=st.sampled_from([(), (100,), (0, 100), (33, 33, 34), (20, 20, 20, 20, 20)]),
)
def test_any_valid_metadata_hashes_as_the_client_hashes_it(
    vm: Vm,
    name: str,
    symbol: str,
    uri: str,
    fee: int,
    flags: tuple[bool, bool],
    nonce: int | None,
    uses: Uses | None,
    collection: Pubkey | None,
    shares: tuple[int, ...],
) -> None:
    tree = BubblegumTree(vm, 1)
    data = MetadataArgs(
        name,
        symbol,
        uri,
        fee,
        *flags,
        edition_nonce=nonce,
        uses=uses,
        collection=None if collection is None else Collection(False, collection),
        creators=creators(*shares),
    )
    change = tree.accept(vm.send(tree.mint(OWNER, data)))
    assert isinstance(change, Minted)
    assert change.metadata_matches


# ---- refusals of the metadata ----

TWICE = creators(50)[0]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (metadata(name="n" * 33), 6012),
        (metadata(name="é" * 16 + "n"), 6012),
        (metadata(symbol="s" * 11), 6013),
        (metadata(uri="u" * 201), 6014),
        (metadata(seller_fee_basis_points=10_001), 6015),
        (metadata(seller_fee_basis_points=0xFFFF), 6015),
        (metadata(creators=creators(50, 10, 10, 10, 10, 10)), 6011),
        (metadata(creators=creators(50, 49)), 6004),
        (metadata(creators=creators(50, 51)), 6004),
        (metadata(creators=(TWICE, TWICE)), 6005),
        (metadata(creators=(Creator(OWNER, True, 100),)), 6006),
        (metadata(collection=Collection(verified=True, key=OWNER)), 6020),
        (metadata(token_standard=None), 6040),
        (metadata(token_standard=TokenStandard.FUNGIBLE), 6040),
        (metadata(token_standard=TokenStandard.FUNGIBLE_ASSET), 6040),
        (metadata(token_standard=TokenStandard.NON_FUNGIBLE_EDITION), 6040),
    ],
)
def test_metadata_that_is_refused(tree: BubblegumTree, data: MetadataArgs, error: int) -> None:
    tree.refuse(error, tree.mint(OWNER, data))


@pytest.mark.parametrize(
    "data", [metadata(name="n" * 32), metadata(symbol="s" * 10), metadata(uri="u" * 200), metadata(name="é" * 16)]
)
def test_fields_at_their_limit(vm: Vm, tree: BubblegumTree, data: MetadataArgs) -> None:
    tree.accept(vm.send(tree.mint(OWNER, data)))


def test_an_error_is_logged_in_anchors_words(tree: BubblegumTree) -> None:
    outcome = tree.refuse(6012, tree.mint(OWNER, metadata(name="n" * 33)))
    assert (
        "Program log: AnchorError occurred. Error Code: MetadataNameTooLong. Error Number: 6012."
        " Error Message: Name in metadata is too long." in outcome.logs
    )


@pytest.mark.parametrize("text", [b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xe0\x9f\xbf", b"\xf4\x90\x80\x80"])
def test_text_that_is_no_utf8(tree: BubblegumTree, text: bytes) -> None:
    valid = bytes(tree.mint(OWNER, metadata(name="")).data)
    data = valid[:8] + struct.pack("<I", len(text)) + text + valid[12:]
    tree.refuse(102, with_data(tree.mint(OWNER), data))


def test_arguments_that_end_early_or_hold_no_borsh(tree: BubblegumTree) -> None:
    valid = bytes(tree.mint(OWNER, metadata_v1(creators(100))).data)
    for length in range(8, len(valid), 7):
        tree.refuse(102, with_data(tree.mint(OWNER), valid[:length]))
    creator_verified = len(valid) - 2
    tree.refuse(102, with_data(tree.mint(OWNER), valid[:creator_verified] + b"\2" + valid[creator_verified + 1 :]))


# ---- who signs ----


def test_creators_verify_by_signing(vm: Vm, tree: BubblegumTree) -> None:
    artist = Keypair()
    data = metadata_v1((Creator(vm.payer.pubkey(), True, 50), Creator(artist.pubkey(), True, 50)))
    mint = tree.mint(OWNER, data)
    tree.refuse(6006, mint)
    tree.refuse(6006, extended(mint, AccountMeta(artist.pubkey(), is_signer=False, is_writable=False)))
    signed = extended(mint, AccountMeta(artist.pubkey(), is_signer=True, is_writable=False))
    tree.accept(vm.send(signed, signers=(artist,)))


def test_only_creator_and_delegate_mint_into_a_private_tree(vm: Vm, tree: BubblegumTree) -> None:
    stranger = vm.wallet()
    as_stranger = replaced(tree.mint(OWNER), TREE_DELEGATE, stranger.pubkey())
    tree.refuse(6016, as_stranger, signers=(stranger,))
    tree.refuse(3010, replaced(tree.mint(OWNER), TREE_DELEGATE, stranger.pubkey(), signer=False))
    config = bytearray(vm.data(pda.tree_config(tree.address)))
    config[40:72] = bytes(stranger.pubkey())  # what SetTreeDelegate does
    owner = vm.svm.get_account(pda.tree_config(tree.address))
    assert owner is not None
    vm.set_account(pda.tree_config(tree.address), bytes(config), owner.owner)
    tree.accept(vm.send(as_stranger, signers=(stranger,)))
    tree.accept(vm.send(tree.mint(OWNER)))


def test_anyone_mints_into_a_public_tree(vm: Vm) -> None:
    tree, stranger = BubblegumTree(vm, 1, public=True), vm.wallet()
    tree.accept(vm.send(replaced(tree.mint(OWNER), TREE_DELEGATE, stranger.pubkey()), signers=(stranger,)))


def test_accounts_that_are_not_what_they_should_be(vm: Vm, tree: BubblegumTree) -> None:
    mint, other = tree.mint(OWNER), BubblegumTree(vm, 1)
    stranger = Keypair().pubkey()
    tree.refuse(3012, replaced(mint, TREE_CONFIG, stranger))
    tree.refuse(3007, replaced(mint, TREE_CONFIG, tree.address))
    tree.refuse(2006, replaced(mint, TREE_CONFIG, pda.tree_config(other.address)))
    tree.refuse(2000, replaced(mint, TREE_CONFIG, writable=False))
    tree.refuse(2000, replaced(mint, MERKLE_TREE, writable=False))
    tree.refuse(3010, replaced(mint, PAYER, stranger, signer=False))
    tree.refuse(6042, replaced(mint, LOG_WRAPPER, MPL_NOOP))
    tree.refuse(6043, replaced(mint, COMPRESSION, MPL_ACCOUNT_COMPRESSION))
    tree.refuse(3008, replaced(mint, SYSTEM, stranger))


def test_a_v1_mint_into_a_v2_tree(vm: Vm) -> None:
    v2 = BubblegumTree(vm, 2)
    mint = instructions.mint_v1(
        tree=v2.address,
        payer=v2.payer,
        tree_creator_or_delegate=v2.payer,
        leaf_owner=OWNER,
        metadata=metadata_v1(),
        log_wrapper=MPL_NOOP,
        compression_program=MPL_ACCOUNT_COMPRESSION,
    )
    v2.refuse(6003, mint)
    v2.accept(vm.send(v2.mint(OWNER, metadata_v2())))
