"""MintToCollectionV1 on the stand-ins: verified leaves, collection sizes, and every refusal of the collection."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum import hashing, instructions, pda
from bubblegum.decode import Minted
from bubblegum.programs import BUBBLEGUM, SPL_NOOP, TOKEN, TOKEN_METADATA
from bubblegum.types import Collection, Creator, MetadataArgs
from tests.support.bubblegum_vm import (
    BubblegumTree,
    TokenMetadataCollection,
    bubblegum_vm,
    metadata_v1,
    replaced,
)
from tests.support.vm import SYSTEM_PROGRAM, Vm

AUTHORITY, AUTHORITY_RECORD, COLLECTION_MINT, METADATA, EDITION = range(6, 11)
OWNER = Keypair().pubkey()

# Offsets in the Metadata account of TokenMetadataCollection: strings are padded, so all but the creators are fixed.
UPDATE_AUTHORITY_AT = 1
MINT_AT = 33
AFTER_STRINGS = 65 + 4 + 32 + 4 + 10 + 4 + 200
CREATORS = 5 + 34
TOKEN_STANDARD_AT = AFTER_STRINGS + 2 + CREATORS + 2 + 2 + 1
DETAILS_AT = TOKEN_STANDARD_AT + 1 + 1 + 1
SIZE_AT = DETAILS_AT + 2


@pytest.fixture(scope="module")
def vm() -> Vm:
    return bubblegum_vm()


@pytest.fixture
def tree(vm: Vm) -> BubblegumTree:
    return BubblegumTree(vm, 1)


@pytest.fixture
def collection(vm: Vm) -> TokenMetadataCollection:
    return TokenMetadataCollection.create(vm)


def mint_into(
    tree: BubblegumTree,
    collection: TokenMetadataCollection,
    *,
    as_client: bool = True,
    record: Pubkey | None = None,
    metadata: MetadataArgs | None = None,
) -> Instruction:
    """The mint as the official client builds it, or as the interface's accounts are called."""
    return instructions.mint_to_collection_v1(
        tree=tree.address,
        payer=tree.payer,
        tree_creator_or_delegate=tree.payer,
        collection_authority=collection.authority.pubkey(),
        collection_mint=collection.mint,
        leaf_owner=OWNER,
        metadata=metadata or metadata_v1(collection=collection.mint),
        collection_authority_record=record,
        bubblegum_signer=BUBBLEGUM if as_client else pda.bubblegum_signer(),
        token_metadata_program=BUBBLEGUM if as_client else TOKEN_METADATA,
    )


def size_of(vm: Vm, collection: TokenMetadataCollection) -> int:
    (size,) = struct.unpack_from("<Q", vm.data(pda.metadata(collection.mint)), SIZE_AT)
    return int(size)


def rewrite(vm: Vm, address: Pubkey, at: int, value: bytes, owner: Pubkey = TOKEN_METADATA) -> None:
    """Change bytes of an account."""
    data = bytearray(vm.data(address))
    data[at : at + len(value)] = value
    vm.set_account(address, bytes(data), owner)


def test_the_leaf_holds_the_collection_as_verified(
    vm: Vm, tree: BubblegumTree, collection: TokenMetadataCollection
) -> None:
    outcome = vm.send(mint_into(tree, collection), signers=(collection.authority,))
    change = tree.accept(outcome)
    assert isinstance(change, Minted)
    verified = replace(metadata_v1(), collection=Collection(verified=True, key=collection.mint))
    assert change.leaf.schema.data_hash == hashing.data_hash(verified)
    # The official client reads the leaf from the first inner instruction.
    assert outcome.inner[0][0] == SPL_NOOP


def test_a_mint_built_by_the_client_does_not_count(
    vm: Vm, tree: BubblegumTree, collection: TokenMetadataCollection
) -> None:
    tree.accept(vm.send(mint_into(tree, collection), signers=(collection.authority,)))
    assert size_of(vm, collection) == 0


def test_a_mint_that_names_token_metadata_and_the_signer_counts(
    vm: Vm, tree: BubblegumTree, collection: TokenMetadataCollection
) -> None:
    for expected in (1, 2, 3):
        outcome = vm.send(mint_into(tree, collection, as_client=False), signers=(collection.authority,))
        tree.accept(outcome)
        assert size_of(vm, collection) == expected
        assert [program for program, _ in outcome.inner[:2]] == [TOKEN_METADATA, SPL_NOOP]


def test_the_collection_authority_verifies_itself_as_creator(
    vm: Vm, tree: BubblegumTree, collection: TokenMetadataCollection
) -> None:
    data = metadata_v1((Creator(collection.authority.pubkey(), True, 100),), collection.mint)
    tree.accept(vm.send(mint_into(tree, collection, metadata=data), signers=(collection.authority,)))
    data = metadata_v1((Creator(OWNER, True, 100),), collection.mint)
    tree.refuse(6006, mint_into(tree, collection, metadata=data), signers=(collection.authority,))


# ---- who may add ----


def test_another_key_may_not_add(vm: Vm, tree: BubblegumTree, collection: TokenMetadataCollection) -> None:
    stranger = vm.wallet()
    mint = replaced(mint_into(tree, collection), AUTHORITY, stranger.pubkey())
    tree.refuse(6028, mint, signers=(stranger,))
    tree.refuse(3010, replaced(mint, AUTHORITY, collection.authority.pubkey(), signer=False))


def older_record(collection: TokenMetadataCollection, delegate: Pubkey) -> Pubkey:
    seeds = [b"metadata", bytes(TOKEN_METADATA), bytes(collection.mint), b"collection_authority", bytes(delegate)]
    return Pubkey.find_program_address(seeds, TOKEN_METADATA)[0]


def newer_record(collection: TokenMetadataCollection, delegate: Pubkey) -> Pubkey:
    authority = bytes(collection.authority.pubkey())
    seeds = [b"metadata", bytes(TOKEN_METADATA), bytes(collection.mint), b"collection_delegate", authority]
    return Pubkey.find_program_address([*seeds, bytes(delegate)], TOKEN_METADATA)[0]


@pytest.mark.parametrize("as_client", [True, False])
@pytest.mark.parametrize("kind", ["older", "unnamed", "newer"])
def test_a_delegate_adds_by_its_record(
    vm: Vm, tree: BubblegumTree, collection: TokenMetadataCollection, kind: str, as_client: bool
) -> None:
    delegate = vm.wallet()
    given_by = bytes(collection.authority.pubkey())
    if kind == "newer":
        record = newer_record(collection, delegate.pubkey())
        data = bytes([12, 255]) + bytes(collection.mint) + bytes(delegate.pubkey()) + given_by
    else:
        record = older_record(collection, delegate.pubkey())
        data = bytes([9, 255]) + (b"\1" + given_by if kind == "older" else bytes(33))
    mint = replaced(mint_into(tree, collection, record=record, as_client=as_client), AUTHORITY, delegate.pubkey())
    tree.refuse(6028, mint, signers=(delegate,))  # no such record yet
    vm.set_account(record, data, SYSTEM_PROGRAM)
    tree.refuse(6028, mint, signers=(delegate,))  # somebody else's account
    vm.set_account(record, data, TOKEN_METADATA)
    tree.accept(vm.send(mint, signers=(delegate,)))
    assert size_of(vm, collection) == (0 if as_client else 1)


def test_a_record_that_another_update_authority_gave(
    vm: Vm, tree: BubblegumTree, collection: TokenMetadataCollection
) -> None:
    delegate = vm.wallet()
    record = older_record(collection, delegate.pubkey())
    vm.set_account(record, bytes([9, 255, 1]) + bytes(OWNER), TOKEN_METADATA)
    mint = replaced(mint_into(tree, collection, record=record), AUTHORITY, delegate.pubkey())
    tree.refuse(6028, mint, signers=(delegate,))


def test_a_record_of_somebody_else(vm: Vm, tree: BubblegumTree, collection: TokenMetadataCollection) -> None:
    delegate, other = vm.wallet(), vm.wallet()
    record = older_record(collection, other.pubkey())
    vm.set_account(record, bytes([9, 255]) + bytes(33), TOKEN_METADATA)
    mint = replaced(mint_into(tree, collection, record=record), AUTHORITY, delegate.pubkey())
    tree.refuse(6029, mint, signers=(delegate,))


# ---- what a collection must be ----


def test_metadata_must_name_this_collection(vm: Vm, tree: BubblegumTree, collection: TokenMetadataCollection) -> None:
    signers = (collection.authority,)
    tree.refuse(6021, mint_into(tree, collection, metadata=metadata_v1()), signers=signers)
    tree.refuse(6021, mint_into(tree, collection, metadata=metadata_v1(collection=OWNER)), signers=signers)


def test_accounts_of_another_collection(vm: Vm, tree: BubblegumTree, collection: TokenMetadataCollection) -> None:
    other = TokenMetadataCollection.create(vm, collection.authority)
    mint = mint_into(tree, collection)
    signers = (collection.authority,)
    tree.refuse(6027, replaced(mint, METADATA, pda.metadata(other.mint)), signers=signers)
    tree.refuse(6030, replaced(mint, EDITION, pda.master_edition(other.mint)), signers=signers)
    tree.refuse(6021, replaced(mint, COLLECTION_MINT, other.mint), signers=signers)


@pytest.mark.parametrize("at", [COLLECTION_MINT, METADATA, EDITION])
def test_accounts_of_the_wrong_program(
    vm: Vm, tree: BubblegumTree, collection: TokenMetadataCollection, at: int
) -> None:
    wrong = Keypair().pubkey()
    vm.set_account(wrong, bytes(607), SYSTEM_PROGRAM)
    tree.refuse(6019, replaced(mint_into(tree, collection), at, wrong), signers=(collection.authority,))


@pytest.mark.parametrize(
    ("account", "at", "value"),
    [
        ("metadata", TOKEN_STANDARD_AT, b"\1"),  # a fungible asset
        ("edition", 0, b"\1"),  # a print
        ("edition", 9, b"\0"),  # any number of prints
        ("edition", 10, b"\5"),  # five prints
    ],
)
def test_a_collection_is_a_unique_nft(
    vm: Vm, tree: BubblegumTree, collection: TokenMetadataCollection, account: str, at: int, value: bytes
) -> None:
    address = pda.metadata(collection.mint) if account == "metadata" else pda.master_edition(collection.mint)
    rewrite(vm, address, at, value)
    tree.refuse(6031, mint_into(tree, collection), signers=(collection.authority,))


def test_a_collection_is_sized(vm: Vm, tree: BubblegumTree, collection: TokenMetadataCollection) -> None:
    rewrite(vm, pda.metadata(collection.mint), DETAILS_AT, b"\0")
    tree.refuse(6026, mint_into(tree, collection), signers=(collection.authority,))


def test_the_mint_is_the_token_programs(vm: Vm, tree: BubblegumTree, collection: TokenMetadataCollection) -> None:
    rewrite(vm, collection.mint, 0, b"", owner=SYSTEM_PROGRAM)
    tree.refuse(6019, mint_into(tree, collection), signers=(collection.authority,))
    rewrite(vm, collection.mint, 0, b"", owner=TOKEN)
    tree.accept(vm.send(mint_into(tree, collection), signers=(collection.authority,)))


def test_the_rules_of_every_mint_hold(vm: Vm, tree: BubblegumTree, collection: TokenMetadataCollection) -> None:
    signers = (collection.authority,)
    too_long = MetadataArgs("n" * 33, "", "", 0, collection=Collection(False, collection.mint))
    tree.refuse(6012, mint_into(tree, collection, metadata=too_long), signers=signers)
    stranger = vm.wallet()
    tree.refuse(6016, replaced(mint_into(tree, collection), 5, stranger.pubkey()), signers=(*signers, stranger))
    for _ in range(8):
        tree.accept(vm.send(mint_into(tree, collection), signers=signers))
    tree.refuse(6017, mint_into(tree, collection), signers=signers)
