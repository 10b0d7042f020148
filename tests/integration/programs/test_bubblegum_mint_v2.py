"""MintV2 on the stand-ins, with and without an MPL-Core collection: leaf, counts, fee, and every refusal."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum import hashing, instructions, pda
from bubblegum.decode import Minted
from bubblegum.leaf import LeafSchemaV2
from bubblegum.programs import (
    BUBBLEGUM,
    MPL_ACCOUNT_COMPRESSION,
    MPL_CORE,
    MPL_NOOP,
    SPL_ACCOUNT_COMPRESSION,
    SPL_NOOP,
    SYSTEM,
)
from bubblegum.types import AssetDataSchema, Creator, MetadataArgsV2, TokenStandard
from tests.support.bubblegum_vm import (
    BubblegumTree,
    CoreCollection,
    bubblegum_vm,
    extended,
    metadata_v1,
    metadata_v2,
    replaced,
    with_data,
)
from tests.support.vm import Vm

(
    TREE_CONFIG,
    PAYER,
    TREE_DELEGATE,
    COLLECTION_AUTHORITY,
    LEAF_OWNER,
    LEAF_DELEGATE,
    MERKLE_TREE,
    CORE_COLLECTION,
    CPI_SIGNER,
    LOG_WRAPPER,
    COMPRESSION,
    CORE_PROGRAM,
) = range(12)
OWNER = Keypair().pubkey()
MINT_FEE = 90_000
"""Lamports, by the protocol's published fee table."""

BUBBLEGUM_PLUGIN = b"\x0f\0"


def royalties(*shares: tuple[Pubkey, int], basis_points: int = 500, rule_set: bytes = b"\0") -> bytes:
    """A Royalties plugin with its default authority."""
    creators = b"".join(bytes(key) + bytes([share]) for key, share in shares)
    return b"\0" + struct.pack("<HI", basis_points, len(shares)) + creators + rule_set + b"\0"


@pytest.fixture(scope="module")
def vm() -> Vm:
    return bubblegum_vm()


@pytest.fixture
def tree(vm: Vm) -> BubblegumTree:
    return BubblegumTree(vm, 2)


@pytest.fixture
def collection(vm: Vm) -> CoreCollection:
    return CoreCollection.create(vm)


def changed(**fields: object) -> MetadataArgsV2:
    return replace(metadata_v2(), **fields)  # pyright: ignore[reportArgumentType] - fields by name, checked by the dataclass


# ---- without a collection ----


def test_a_mint_writes_logs_and_counts_one_leaf(vm: Vm, tree: BubblegumTree) -> None:
    outcome = vm.send(tree.mint(OWNER))
    change = tree.accept(outcome)
    assert isinstance(change, Minted)
    data = metadata_v2()
    assert change.leaf.schema == LeafSchemaV2(
        pda.asset_id(tree.address, 0),
        OWNER,
        OWNER,
        0,
        hashing.data_hash(data),
        hashing.creator_hash(()),
        hashing.collection_hash(None),
        hashing.asset_data_hash(None),
        0,
    )
    # The official client reads the leaf from the first inner instruction when there is no collection.
    assert [program for program, _ in outcome.inner] == [MPL_NOOP, MPL_ACCOUNT_COMPRESSION, MPL_NOOP, SYSTEM]


def test_the_payer_pays_the_protocols_fee_to_the_tree(vm: Vm, tree: BubblegumTree) -> None:
    config = pda.tree_config(tree.address)
    before = vm.lamports(config)
    tree.minted(OWNER)
    assert vm.lamports(config) == before + MINT_FEE


def test_a_delegate_may_be_named(vm: Vm, tree: BubblegumTree) -> None:
    delegate = Keypair().pubkey()
    change = tree.accept(vm.send(replaced(tree.mint(OWNER), LEAF_DELEGATE, delegate)))
    assert isinstance(change, Minted)
    assert change.leaf.schema.delegate == delegate


def test_mints_fill_the_tree_and_no_further(tree: BubblegumTree) -> None:
    assert [tree.minted(OWNER) for _ in range(8)] == list(range(8))
    tree.refuse(6017, tree.mint(OWNER))


def test_the_tree_authority_may_be_another_signer(vm: Vm, tree: BubblegumTree) -> None:
    stranger = vm.wallet()
    as_stranger = replaced(tree.mint(OWNER), TREE_DELEGATE, stranger.pubkey(), signer=True)
    tree.refuse(6016, as_stranger, signers=(stranger,))
    tree.refuse(3010, replaced(as_stranger, TREE_DELEGATE, signer=False))
    paid_by_stranger = replaced(tree.mint(OWNER), PAYER, stranger.pubkey())
    tree.refuse(6016, paid_by_stranger, signers=(stranger,))
    signed = replaced(paid_by_stranger, TREE_DELEGATE, vm.payer.pubkey(), signer=True)
    tree.accept(vm.send(signed, signers=(stranger,)))
    public = BubblegumTree(vm, 2, public=True)
    public.accept(vm.send(replaced(public.mint(OWNER), PAYER, stranger.pubkey()), signers=(stranger,)))


def test_creators_verify_by_signing(vm: Vm, tree: BubblegumTree) -> None:
    artist = Keypair()
    mint = tree.mint(OWNER, metadata_v2((Creator(artist.pubkey(), True, 60), Creator(vm.payer.pubkey(), True, 40))))
    tree.refuse(6006, mint)
    signed = extended(mint, AccountMeta(artist.pubkey(), is_signer=True, is_writable=False))
    tree.accept(vm.send(signed, signers=(artist,)))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (changed(name="n" * 33), 6012),
        (changed(symbol="s" * 11), 6013),
        (changed(uri="u" * 201), 6014),
        (changed(seller_fee_basis_points=10_001), 6015),
        (changed(seller_fee_basis_points=0xFFFF), 6015),
        (changed(creators=tuple(Creator(Keypair().pubkey(), False, 1) for _ in range(6))), 6011),
        (changed(creators=(Creator(OWNER, False, 99),)), 6004),
        (changed(creators=(Creator(OWNER, False, 50), Creator(OWNER, False, 50))), 6005),
        (changed(creators=(Creator(OWNER, True, 100),)), 6006),
        (changed(token_standard=None), 6040),
        (changed(token_standard=TokenStandard.FUNGIBLE), 6040),
        (changed(collection=OWNER), 6051),
    ],
)
def test_metadata_that_is_refused(tree: BubblegumTree, data: MetadataArgsV2, error: int) -> None:
    tree.refuse(error, tree.mint(OWNER, data))


def test_asset_data_is_not_available(tree: BubblegumTree) -> None:
    for given in ({"asset_data": b"{}"}, {"asset_data_schema": AssetDataSchema.JSON}):
        mint = instructions.mint_v2(
            tree=tree.address,
            payer=tree.payer,
            leaf_owner=OWNER,
            metadata=metadata_v2(),
            **given,  # pyright: ignore[reportArgumentType] - one keyword of either type
        )
        tree.refuse(6050, mint)


def test_arguments_that_end_early(tree: BubblegumTree) -> None:
    valid = bytes(tree.mint(OWNER).data)
    for length in range(8, len(valid), 5):
        tree.refuse(102, with_data(tree.mint(OWNER), valid[:length]))


def test_accounts_that_are_not_what_they_should_be(vm: Vm, tree: BubblegumTree) -> None:
    mint, stranger = tree.mint(OWNER), Keypair().pubkey()
    tree.refuse(3012, replaced(mint, TREE_CONFIG, stranger))
    tree.refuse(2006, replaced(mint, TREE_CONFIG, pda.tree_config(BubblegumTree(vm, 2).address)))
    tree.refuse(2000, replaced(mint, TREE_CONFIG, writable=False))
    tree.refuse(2000, replaced(mint, MERKLE_TREE, writable=False))
    tree.refuse(3010, replaced(mint, COLLECTION_AUTHORITY, stranger))
    tree.refuse(3008, replaced(mint, LOG_WRAPPER, SPL_NOOP))
    tree.refuse(3008, replaced(mint, COMPRESSION, SPL_ACCOUNT_COMPRESSION))
    tree.refuse(3008, replaced(mint, CORE_PROGRAM, stranger))
    tree.refuse(3005, Instruction(BUBBLEGUM, bytes(mint.data), list(mint.accounts)[:12]))


def test_a_v2_mint_into_a_v1_tree(vm: Vm) -> None:
    v1 = BubblegumTree(vm, 1)
    mint = instructions.mint_v2(tree=v1.address, payer=v1.payer, leaf_owner=OWNER, metadata=metadata_v2())
    v1.refuse(6003, mint)
    v1.accept(vm.send(v1.mint(OWNER, metadata_v1())))


# ---- into a collection ----


def test_a_mint_into_a_collection_counts_there(vm: Vm, tree: BubblegumTree, collection: CoreCollection) -> None:
    for expected in (1, 2, 3):
        outcome = vm.send(tree.mint_into(collection, OWNER), signers=(collection.authority,))
        change = tree.accept(outcome)
        assert isinstance(change, Minted)
        assert isinstance(change.leaf.schema, LeafSchemaV2)
        assert change.leaf.schema.collection_hash == hashing.collection_hash(collection.address)
        assert collection.counts(vm) == (expected, expected)
        # The official client reads the leaf from the second inner instruction when there is a collection.
        assert [program for program, _ in outcome.inner[:2]] == [MPL_CORE, MPL_NOOP]


def test_the_collection_authority_defaults_to_the_tree_authority(vm: Vm, tree: BubblegumTree) -> None:
    collection = CoreCollection.create(vm)
    absent = replaced(tree.mint_into(collection, OWNER), COLLECTION_AUTHORITY, BUBBLEGUM, signer=False)
    tree.refuse(6028, absent)
    delegated = CoreCollection.create(vm, (BUBBLEGUM_PLUGIN, b"\4\0\0\0\0\1\3" + bytes(vm.payer.pubkey())))
    mint = replaced(tree.mint_into(delegated, OWNER), COLLECTION_AUTHORITY, BUBBLEGUM, signer=False)
    tree.accept(vm.send(mint))
    assert delegated.counts(vm) == (1, 1)


def test_additional_delegates_may_add(vm: Vm, tree: BubblegumTree) -> None:
    delegate, stranger = vm.wallet(), vm.wallet()
    plugin = b"\4" + struct.pack("<I", 2) + bytes(OWNER) + bytes(delegate.pubkey()) + b"\0"
    collection = CoreCollection.create(vm, (BUBBLEGUM_PLUGIN, plugin))
    mint = tree.mint_into(collection, OWNER)
    tree.refuse(6028, replaced(mint, COLLECTION_AUTHORITY, stranger.pubkey()), signers=(stranger,))
    tree.accept(vm.send(replaced(mint, COLLECTION_AUTHORITY, delegate.pubkey()), signers=(delegate,)))


def test_another_key_may_not_add(vm: Vm, tree: BubblegumTree, collection: CoreCollection) -> None:
    stranger = vm.wallet()
    mint = replaced(tree.mint_into(collection, OWNER), COLLECTION_AUTHORITY, stranger.pubkey())
    tree.refuse(6028, mint, signers=(stranger,))
    assert collection.counts(vm) == (0, 0)


def test_a_collection_without_the_bubblegum_plugin(vm: Vm, tree: BubblegumTree) -> None:
    for plugins in ((), (royalties((OWNER, 100)),)):
        collection = CoreCollection.create(vm, plugins)
        tree.refuse(6049, tree.mint_into(collection, OWNER), signers=(collection.authority,))


def test_the_collection_account_is_the_one_in_the_metadata(
    vm: Vm, tree: BubblegumTree, collection: CoreCollection
) -> None:
    signers, mint = (collection.authority,), tree.mint_into(collection, OWNER)
    other = CoreCollection.create(vm)
    tree.refuse(6036, replaced(mint, CORE_COLLECTION, other.address), signers=signers)
    tree.refuse(6036, with_data(mint, bytes(tree.mint(OWNER).data)), signers=signers)
    tree.refuse(6051, replaced(mint, CORE_COLLECTION, BUBBLEGUM, writable=False), signers=signers)
    tree.refuse(2000, replaced(mint, CORE_COLLECTION, writable=False), signers=signers)


def test_the_cpi_signer_must_be_there(tree: BubblegumTree, collection: CoreCollection) -> None:
    signers, mint = (collection.authority,), tree.mint_into(collection, OWNER)
    tree.refuse(6055, replaced(mint, CPI_SIGNER, BUBBLEGUM), signers=signers)
    tree.refuse(2006, replaced(mint, CPI_SIGNER, OWNER), signers=signers)


def test_a_collection_of_no_core_program(vm: Vm, tree: BubblegumTree) -> None:
    address = Keypair().pubkey()
    real = CoreCollection.create(vm)
    vm.set_account(address, vm.data(real.address), SYSTEM)
    fake = CoreCollection(address, real.authority)
    tree.refuse(6019, tree.mint_into(fake, OWNER), signers=(real.authority,))
    vm.set_account(address, b"\1" + vm.data(real.address)[1:], MPL_CORE)  # an asset, not a collection
    tree.refuse(6019, tree.mint_into(fake, OWNER), signers=(real.authority,))


def test_a_fee_that_the_collection_sets(vm: Vm, tree: BubblegumTree, collection: CoreCollection) -> None:
    with_royalties = CoreCollection.create(vm, (BUBBLEGUM_PLUGIN, royalties((OWNER, 100))))

    def inheriting(of: CoreCollection, creators: tuple[Creator, ...] = ()) -> Instruction:
        data = changed(seller_fee_basis_points=0xFFFF, collection=of.address, creators=creators)
        return tree.mint_into(of, OWNER, data)

    tree.refuse(6057, inheriting(collection), signers=(collection.authority,))
    signers = (with_royalties.authority,)
    tree.refuse(6058, inheriting(with_royalties, (Creator(OWNER, False, 100),)), signers=signers)
    tree.accept(vm.send(inheriting(with_royalties), signers=signers))
