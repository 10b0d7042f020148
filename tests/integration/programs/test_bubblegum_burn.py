"""Burn and BurnV2 on the stand-ins: who may, what is left, and what a collection counts afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum import instructions, pda
from bubblegum.decode import Burned
from bubblegum.hashing import EMPTY_NODE
from bubblegum.instructions import LeafProof
from bubblegum.programs import BUBBLEGUM, MPL_ACCOUNT_COMPRESSION, MPL_CORE, MPL_NOOP, SPL_NOOP
from tests.support.bubblegum_vm import (
    LEAF_NOT_IN_TREE,
    BubblegumTree,
    CoreCollection,
    bubblegum_vm,
    flagged,
    replaced,
)
from tests.support.vm import Vm

FROZEN_BY_OWNER, FROZEN_BY_PERMANENT_DELEGATE, NON_TRANSFERABLE = 1, 2, 4
AUTHORITY, CORE_COLLECTION, CPI_SIGNER = 2, 6, 7


@pytest.fixture(scope="module")
def vm() -> Vm:
    return bubblegum_vm()


@pytest.fixture
def owner(vm: Vm) -> Keypair:
    return vm.wallet()


def burn(
    tree: BubblegumTree,
    index: int,
    *,
    leaf: LeafProof | None = None,
    authority: Pubkey | None = None,
    collection: Pubkey | None = None,
) -> Instruction:
    """Of either version. `authority`: the signer when it is not the owner."""
    schema = tree.leaves[index]
    leaf = leaf or tree.proof(index)
    if tree.version == 1:
        return instructions.burn(
            tree=tree.address,
            leaf_owner=schema.owner,
            leaf_delegate=schema.delegate,
            leaf=leaf,
            owner_signs=authority is None,
        )
    return instructions.burn_v2(
        tree=tree.address,
        payer=tree.payer,
        leaf_owner=schema.owner,
        leaf_delegate=schema.delegate,
        leaf=leaf,
        authority=authority or schema.owner,
        core_collection=collection,
    )


@pytest.mark.parametrize("version", [1, 2])
def test_the_owner_burns_once(vm: Vm, owner: Keypair, version: int) -> None:
    tree = BubblegumTree(vm, version)
    for _ in range(3):
        tree.minted(owner.pubkey())
    burning = burn(tree, 1)
    change = tree.accept(vm.send(burning, signers=(owner,)))
    assert isinstance(change, Burned)
    assert (change.asset_id, change.owner) == (pda.asset_id(tree.address, 1), owner.pubkey())
    assert tree.plain.leaf(1) == EMPTY_NODE
    again = vm.send(burning, signers=(owner,))
    assert again.error == LEAF_NOT_IN_TREE
    assert tree.minted(owner.pubkey()) == 3  # a burned place is not minted into again


@pytest.mark.parametrize("version", [1, 2])
def test_no_leaf_event_is_logged(vm: Vm, owner: Keypair, version: int) -> None:
    tree = BubblegumTree(vm, version)
    outcome = vm.send(burn(tree, tree.minted(owner.pubkey())), signers=(owner,))
    noop = SPL_NOOP if version == 1 else MPL_NOOP
    assert [program for program, _ in outcome.inner] == [tree.compression, noop]


@pytest.mark.parametrize("version", [1, 2])
def test_the_delegate_burns(vm: Vm, owner: Keypair, version: int) -> None:
    tree, delegate = BubblegumTree(vm, version), vm.wallet()
    leaf_delegate = 2 if version == 1 else 5
    tree.accept(vm.send(replaced(tree.mint(owner.pubkey()), leaf_delegate, delegate.pubkey())))
    tree.accept(vm.send(burn(tree, 0, authority=delegate.pubkey()), signers=(delegate,)))


def test_nobody_else_burns(vm: Vm, owner: Keypair) -> None:
    v1, v2, stranger = BubblegumTree(vm, 1), BubblegumTree(vm, 2), vm.wallet()
    for tree in (v1, v2):
        tree.minted(owner.pubkey())
    v1.refuse(6025, replaced(replaced(burn(v1, 0), 1, signer=False), 2, signer=False))
    v2.refuse(6047, burn(v2, 0, authority=stranger.pubkey()), signers=(stranger,))
    v2.refuse(3010, replaced(burn(v2, 0), AUTHORITY, signer=False))
    for tree in (v1, v2):
        tree.leaves[0] = replace(tree.leaves[0], owner=stranger.pubkey(), delegate=stranger.pubkey())
        outcome = vm.send(burn(tree, 0), signers=(stranger,))
        assert outcome.error == LEAF_NOT_IN_TREE
        assert tree.account().root == tree.plain.root


def test_a_root_that_never_was_does_not_matter_when_the_proof_is_right(vm: Vm, owner: Keypair) -> None:
    """As on chain: the root argument is no check."""
    tree = BubblegumTree(vm, 1)
    tree.minted(owner.pubkey())
    tree.accept(vm.send(burn(tree, 0, leaf=replace(tree.proof(0), root=b"\7" * 32)), signers=(owner,)))


def test_versions_do_not_mix(vm: Vm, owner: Keypair) -> None:
    v1, v2 = BubblegumTree(vm, 1), BubblegumTree(vm, 2)
    for tree in (v1, v2):
        tree.minted(owner.pubkey())
    as_v1 = instructions.burn(
        tree=v2.address,
        leaf_owner=owner.pubkey(),
        leaf=v2.proof(0),
        log_wrapper=MPL_NOOP,
        compression_program=MPL_ACCOUNT_COMPRESSION,
    )
    v2.refuse(6003, as_v1, signers=(owner,))
    as_v2 = instructions.burn_v2(
        tree=v1.address, payer=v1.payer, authority=owner.pubkey(), leaf_owner=owner.pubkey(), leaf=v1.proof(0)
    )
    v1.refuse(6003, as_v2, signers=(owner,))


# ---- V2: flags and collections ----


@pytest.mark.parametrize(
    ("flags", "error"),
    [(FROZEN_BY_OWNER, 6045), (FROZEN_BY_PERMANENT_DELEGATE, 6045), (NON_TRANSFERABLE, None)],
)
def test_a_frozen_leaf_stays_and_a_bound_one_goes(vm: Vm, owner: Keypair, flags: int, error: int | None) -> None:
    tree = BubblegumTree(vm, 2)
    index = tree.plant(flagged(tree.leaves[tree.minted(owner.pubkey())], flags))
    if error is not None:
        tree.refuse(error, burn(tree, index), signers=(owner,))
    else:
        tree.accept(vm.send(burn(tree, index), signers=(owner,)))


def test_the_collection_counts_what_is_left(vm: Vm, owner: Keypair) -> None:
    tree, collection = BubblegumTree(vm, 2), CoreCollection.create(vm)
    for _ in range(2):
        tree.minted_into(collection, owner.pubkey())
    outcome = vm.send(burn(tree, 0, collection=collection.address), signers=(owner,))
    tree.accept(outcome)
    assert collection.counts(vm) == (2, 1)
    assert [program for program, _ in outcome.inner] == [tree.compression, MPL_NOOP, MPL_CORE]
    tree.accept(vm.send(burn(tree, 1, collection=collection.address), signers=(owner,)))
    assert collection.counts(vm) == (2, 0)


def test_a_leaf_of_a_collection_needs_its_accounts(vm: Vm, owner: Keypair) -> None:
    tree, collection = BubblegumTree(vm, 2), CoreCollection.create(vm)
    index = tree.minted_into(collection, owner.pubkey())
    burning = burn(tree, index, collection=collection.address)
    tree.refuse(6055, replaced(burning, CPI_SIGNER, BUBBLEGUM), signers=(owner,))
    tree.refuse(2006, replaced(burning, CPI_SIGNER, owner.pubkey()), signers=(owner,))
    tree.refuse(2000, replaced(burning, CORE_COLLECTION, writable=False), signers=(owner,))
    other = CoreCollection.create(vm)
    tree.minted_into(other, owner.pubkey())
    for wrong in (burn(tree, index), burn(tree, index, collection=other.address)):
        assert vm.send(wrong, signers=(owner,)).error == LEAF_NOT_IN_TREE
    assert (collection.counts(vm), other.counts(vm)) == ((1, 1), (1, 1))
    assert tree.account().root == tree.plain.root


def test_the_collections_permanent_delegate_burns_even_what_is_frozen(vm: Vm, owner: Keypair) -> None:
    delegate, stranger = vm.wallet(), vm.wallet()
    plugins = (b"\x0f\0", b"\x08\1\3" + bytes(delegate.pubkey()), b"\5\1\0")
    tree, collection = BubblegumTree(vm, 2), CoreCollection.create(vm, plugins)
    minted = tree.leaves[tree.minted_into(collection, owner.pubkey())]
    index = tree.plant(flagged(minted, FROZEN_BY_PERMANENT_DELEGATE))
    as_delegate = burn(tree, index, authority=delegate.pubkey(), collection=collection.address)
    tree.refuse(6047, replaced(as_delegate, AUTHORITY, stranger.pubkey()), signers=(stranger,))
    tree.refuse(6045, burn(tree, index, collection=collection.address), signers=(owner,))
    tree.accept(vm.send(as_delegate, signers=(delegate,)))
    assert collection.counts(vm) == (1, 0)


def test_a_frozen_collection(vm: Vm, owner: Keypair) -> None:
    tree, collection = BubblegumTree(vm, 2), CoreCollection.create(vm, (b"\x0f\0", b"\5\1\0"))
    index = tree.minted_into(collection, owner.pubkey())
    tree.refuse(6048, burn(tree, index, collection=collection.address), signers=(owner,))
