"""Transfer and TransferV2 on the stand-ins: who may, what holds a leaf back, and which proofs are accepted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum import instructions, pda
from bubblegum.decode import Minted, Transferred
from bubblegum.instructions import LeafProof
from bubblegum.programs import MPL_ACCOUNT_COMPRESSION, MPL_NOOP, SPL_ACCOUNT_COMPRESSION, SPL_NOOP, SYSTEM
from tests.support.bubblegum_vm import (
    LEAF_NOT_IN_TREE,
    BubblegumTree,
    CoreCollection,
    bubblegum_vm,
    flagged,
    replaced,
    with_data,
)
from tests.support.vm import Vm

TRANSFER_FEE = 6_000
"""Lamports, by the protocol's published fee table."""
NEW_OWNER = Keypair().pubkey()
FROZEN_BY_OWNER, FROZEN_BY_PERMANENT_DELEGATE, NON_TRANSFERABLE = 1, 2, 4
COLLECTION_IN_V2 = 7


@pytest.fixture(scope="module")
def vm() -> Vm:
    return bubblegum_vm()


@pytest.fixture
def owner(vm: Vm) -> Keypair:
    return vm.wallet()


def transfer(
    tree: BubblegumTree,
    index: int,
    *,
    leaf: LeafProof | None = None,
    new_owner: Pubkey = NEW_OWNER,
    authority: Pubkey | None = None,
    collection: Pubkey | None = None,
) -> Instruction:
    """Of either version. `authority`: the signer when it is not the owner."""
    schema = tree.leaves[index]
    leaf = leaf or tree.proof(index)
    if tree.version == 1:
        return instructions.transfer(
            tree=tree.address,
            leaf_owner=schema.owner,
            leaf_delegate=schema.delegate,
            new_leaf_owner=new_owner,
            leaf=leaf,
            owner_signs=authority is None,
        )
    return instructions.transfer_v2(
        tree=tree.address,
        payer=tree.payer,
        leaf_owner=schema.owner,
        leaf_delegate=schema.delegate,
        new_leaf_owner=new_owner,
        leaf=leaf,
        authority=authority or schema.owner,
        core_collection=collection,
    )


def minted_with_delegate(tree: BubblegumTree, owner: Pubkey, delegate: Pubkey) -> int:
    leaf_delegate = 2 if tree.version == 1 else 5
    change = tree.accept(tree.vm.send(replaced(tree.mint(owner), leaf_delegate, delegate)))
    assert isinstance(change, Minted)
    return change.leaf_index


@pytest.mark.parametrize("version", [1, 2])
def test_the_owner_transfers_and_loses_it(vm: Vm, owner: Keypair, version: int) -> None:
    tree, second = BubblegumTree(vm, version), vm.wallet()
    for _ in range(4):
        tree.minted(owner.pubkey())
    change = tree.accept(vm.send(transfer(tree, 2, new_owner=second.pubkey()), signers=(owner,)))
    assert isinstance(change, Transferred)
    assert (change.leaf_index, change.previous_owner) == (2, owner.pubkey())
    assert change.leaf.schema.owner == change.leaf.schema.delegate == second.pubkey()
    back = transfer(tree, 2, new_owner=owner.pubkey())
    tree.accept(vm.send(back, signers=(second,)))
    assert tree.leaves[2].owner == owner.pubkey()


@pytest.mark.parametrize("version", [1, 2])
def test_inner_instructions_are_leaf_event_then_replacement(vm: Vm, owner: Keypair, version: int) -> None:
    tree = BubblegumTree(vm, version)
    outcome = vm.send(transfer(tree, tree.minted(owner.pubkey())), signers=(owner,))
    family = (SPL_NOOP, SPL_ACCOUNT_COMPRESSION) if version == 1 else (MPL_NOOP, MPL_ACCOUNT_COMPRESSION)
    fee = () if version == 1 else (SYSTEM,)
    assert tuple(program for program, _ in outcome.inner) == (*family, family[0], *fee)


@pytest.mark.parametrize("version", [1, 2])
def test_the_delegate_transfers(vm: Vm, owner: Keypair, version: int) -> None:
    tree, delegate = BubblegumTree(vm, version), vm.wallet()
    index = minted_with_delegate(tree, owner.pubkey(), delegate.pubkey())
    tree.accept(vm.send(transfer(tree, index, authority=delegate.pubkey()), signers=(delegate,)))
    assert tree.leaves[index].delegate == NEW_OWNER


def test_nobody_else_transfers(vm: Vm, owner: Keypair) -> None:
    v1, v2, stranger = BubblegumTree(vm, 1), BubblegumTree(vm, 2), vm.wallet()
    for tree in (v1, v2):
        tree.minted(owner.pubkey())
    unsigned = replaced(replaced(transfer(v1, 0), 1, signer=False), 2, signer=False)
    v1.refuse(6025, unsigned)
    v2.refuse(6047, transfer(v2, 0, authority=stranger.pubkey()), signers=(stranger,))
    v2.refuse(3010, replaced(transfer(v2, 0), 2, signer=False))


def test_the_wrong_owner_is_another_leaf(vm: Vm, owner: Keypair) -> None:
    """A thief who calls himself the owner proves a leaf that is not in the tree."""
    thief = vm.wallet()
    for version in (1, 2):
        tree = BubblegumTree(vm, version)
        tree.minted(owner.pubkey())
        tree.leaves[0] = replace(tree.leaves[0], owner=thief.pubkey(), delegate=thief.pubkey())
        outcome = vm.send(transfer(tree, 0), signers=(thief,))
        assert outcome.error == LEAF_NOT_IN_TREE


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("field", ["data_hash", "creator_hash"])
def test_hashes_that_are_not_the_leafs(vm: Vm, owner: Keypair, version: int, field: str) -> None:
    tree = BubblegumTree(vm, version)
    tree.minted(owner.pubkey())
    wrong = replace(tree.proof(0), **{field: bytes(32)})  # pyright: ignore[reportArgumentType] - both are 32 bytes
    outcome = vm.send(transfer(tree, 0, leaf=wrong), signers=(owner,))
    assert outcome.error == LEAF_NOT_IN_TREE
    assert tree.account().root == tree.plain.root


@pytest.mark.parametrize("version", [1, 2])
def test_a_proof_from_before_other_changes_is_brought_forward(vm: Vm, owner: Keypair, version: int) -> None:
    tree = BubblegumTree(vm, version)
    for _ in range(4):
        tree.minted(owner.pubkey())
    stale = tree.proof(1)
    tree.accept(vm.send(transfer(tree, 0), signers=(owner,)))
    tree.minted(owner.pubkey())
    tree.accept(vm.send(transfer(tree, 1, leaf=stale), signers=(owner,)))


def test_a_canopy_shortens_the_proof(vm: Vm, owner: Keypair) -> None:
    tree = BubblegumTree(vm, 1, (5, 8, 3))
    for _ in range(3):
        tree.minted(owner.pubkey())
    full = tree.proof(1)
    tree.accept(vm.send(transfer(tree, 1, leaf=replace(full, proof=full.proof[:2])), signers=(owner,)))


def test_versions_do_not_mix(vm: Vm, owner: Keypair) -> None:
    v1, v2 = BubblegumTree(vm, 1), BubblegumTree(vm, 2)
    for tree in (v1, v2):
        tree.minted(owner.pubkey())
    as_v1 = instructions.transfer(
        tree=v2.address,
        leaf_owner=owner.pubkey(),
        new_leaf_owner=NEW_OWNER,
        leaf=v2.proof(0),
        log_wrapper=MPL_NOOP,
        compression_program=MPL_ACCOUNT_COMPRESSION,
    )
    v2.refuse(6003, as_v1, signers=(owner,))
    as_v2 = instructions.transfer_v2(
        tree=v1.address,
        payer=v1.payer,
        authority=owner.pubkey(),
        leaf_owner=owner.pubkey(),
        new_leaf_owner=NEW_OWNER,
        leaf=v1.proof(0),
    )
    v1.refuse(6003, as_v2, signers=(owner,))


def test_accounts_and_arguments_that_are_not_what_they_should_be(vm: Vm, owner: Keypair) -> None:
    v1, v2 = BubblegumTree(vm, 1), BubblegumTree(vm, 2)
    for tree in (v1, v2):
        tree.minted(owner.pubkey())
    first, second = transfer(v1, 0), transfer(v2, 0)
    signers = (owner,)
    v1.refuse(6042, replaced(first, 5, MPL_NOOP), signers=signers)
    v1.refuse(6043, replaced(first, 6, MPL_ACCOUNT_COMPRESSION), signers=signers)
    v2.refuse(3008, replaced(second, 8, SPL_NOOP), signers=signers)
    v2.refuse(3008, replaced(second, 9, SPL_ACCOUNT_COMPRESSION), signers=signers)
    for tree, instruction in ((v1, first), (v2, second)):
        tree.refuse(102, with_data(instruction, bytes(instruction.data)[:-1]), signers=signers)
        other = pda.tree_config(BubblegumTree(vm, tree.version).address)
        tree.refuse(2006, replaced(instruction, 0, other), signers=signers)


# ---- V2: fee, flags, collections ----


def test_the_payer_pays_the_protocols_fee_to_the_tree(vm: Vm, owner: Keypair) -> None:
    tree = BubblegumTree(vm, 2)
    tree.minted(owner.pubkey())
    before = vm.lamports(pda.tree_config(tree.address))
    tree.accept(vm.send(transfer(tree, 0), signers=(owner,)))
    assert vm.lamports(pda.tree_config(tree.address)) == before + TRANSFER_FEE


@pytest.mark.parametrize(
    ("flags", "error"),
    [(FROZEN_BY_OWNER, 6045), (FROZEN_BY_PERMANENT_DELEGATE, 6045), (NON_TRANSFERABLE, 6046)],
)
def test_a_leaf_that_is_held_back(vm: Vm, owner: Keypair, flags: int, error: int) -> None:
    tree = BubblegumTree(vm, 2)
    index = tree.plant(flagged(tree.leaves[tree.minted(owner.pubkey())], flags))
    tree.refuse(error, transfer(tree, index), signers=(owner,))
    hidden = vm.send(transfer(tree, index, leaf=replace(tree.proof(index), flags=None)), signers=(owner,))
    assert hidden.error == LEAF_NOT_IN_TREE  # without its flags it is not the leaf in the tree
    assert tree.account().root == tree.plain.root


def test_a_leaf_of_a_collection_needs_its_account(vm: Vm, owner: Keypair) -> None:
    tree, collection = BubblegumTree(vm, 2), CoreCollection.create(vm)
    index = tree.minted_into(collection, owner.pubkey())
    without = vm.send(transfer(tree, index), signers=(owner,))
    assert without.error == LEAF_NOT_IN_TREE  # another collection hash makes another leaf
    tree.accept(vm.send(transfer(tree, index, collection=collection.address), signers=(owner,)))
    assert collection.counts(vm) == (1, 1)


def test_the_collections_permanent_delegate_transfers(vm: Vm, owner: Keypair) -> None:
    delegate, stranger = vm.wallet(), vm.wallet()
    plugin = b"\7\1\3" + bytes(delegate.pubkey())
    tree, collection = BubblegumTree(vm, 2), CoreCollection.create(vm, (b"\x0f\0", plugin))
    index = tree.minted_into(collection, owner.pubkey())
    moved = transfer(tree, index, authority=delegate.pubkey(), collection=collection.address)
    tree.refuse(6047, replaced(moved, 2, stranger.pubkey()), signers=(stranger,))
    tree.accept(vm.send(moved, signers=(delegate,)))


def test_a_frozen_collection(vm: Vm, owner: Keypair) -> None:
    for frozen in (1, 0):
        plugin = bytes([5, frozen, 0])
        tree, collection = BubblegumTree(vm, 2), CoreCollection.create(vm, (b"\x0f\0", plugin))
        moved = transfer(tree, tree.minted_into(collection, owner.pubkey()), collection=collection.address)
        if frozen:
            tree.refuse(6048, moved, signers=(owner,))
        else:
            tree.accept(vm.send(moved, signers=(owner,)))


def test_royalty_rule_sets_are_refused_rather_than_ignored(vm: Vm, owner: Keypair) -> None:
    for rule_set, error in ((b"\0", None), (b"\1\0\0\0\0", 6050)):
        royalties = b"\0\xf4\1\1\0\0\0" + bytes(owner.pubkey()) + b"\x64" + rule_set + b"\0"
        tree, collection = BubblegumTree(vm, 2), CoreCollection.create(vm, (royalties, b"\x0f\0"))
        index = tree.minted_into(collection, owner.pubkey())
        assert vm.send(transfer(tree, index, collection=collection.address), signers=(owner,)).error == error
