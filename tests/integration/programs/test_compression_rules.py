"""What the account compression stand-ins accept, refuse and say, rule by rule."""

from __future__ import annotations

import struct

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from bubblegum.hashing import EMPTY_NODE
from bubblegum.merkle import VALID_DEPTH_BUFFER_PAIRS, MerkleTree, empty_node, tree_account_size
from bubblegum.merkle.geometry import root_from_proof
from tests.support.compression import (
    MPL,
    SPL,
    TREE_ERROR,
    Family,
    TreeAccount,
    discriminator,
    grown,
    leaf,
    proof_of,
    replace,
    says,
)

FAMILIES = pytest.mark.parametrize("family", [SPL, MPL], ids=lambda family: family.name)


# ---- the event ------------------------------------------------------------------------------------------------------


def change_log_event(chain: TreeAccount, plain: MerkleTree, index: int, sequence: int) -> bytes:
    """AccountCompressionEvent::ChangeLog(V1) as the IDL has it, from the plain tree."""
    node, path = plain.leaf(index) if len(plain) else EMPTY_NODE, b""
    siblings = plain.proof(index) if len(plain) else [empty_node(level) for level in range(plain.depth)]
    for level in range(plain.depth):
        path += node + struct.pack("<I", (1 << (plain.depth - level)) + (index >> level))
        node = root_from_proof(node, siblings[level : level + 1], index >> level)
    path += node + struct.pack("<I", 1)
    return (
        bytes([0, 0])
        + bytes(chain.address)
        + struct.pack("<I", plain.depth + 1)
        + path
        + struct.pack("<QI", sequence, index)
    )


@FAMILIES
def test_every_change_is_told_through_noop(family: Family) -> None:
    chain, plain = TreeAccount(family, family.vm(), (14, 64, 0)), MerkleTree(14)
    assert chain.initialize().calls_to(family.noop) == [change_log_event(chain, plain, 0, 0)]
    for number in range(3):
        outcome = chain.append(leaf(number + 1))
        plain.append(leaf(number + 1))
        assert outcome.calls_to(family.noop) == [change_log_event(chain, plain, number, number + 1)]
    proof = proof_of(plain, 1)
    plain.set_leaf(1, leaf(9))
    assert chain.replace(proof, leaf(9)).calls_to(family.noop) == [change_log_event(chain, plain, 1, 4)]


def test_the_logs_name_the_instruction_and_the_stand_in() -> None:
    chain, _ = grown(0)
    outcome = chain.append(leaf(1))
    assert says(outcome, "Program log: Instruction: Append")
    assert outcome.logs.count("Program log: local stand-in") == 2


def test_an_append_is_as_cheap_as_on_the_real_program() -> None:
    chain, _ = grown(0, (20, 64, 10))
    costs = [chain.append(leaf(number)).compute_units for number in range(1, 20)]
    assert max(costs) < 20_000


# ---- initializing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", VALID_DEPTH_BUFFER_PAIRS, ids=str)
def test_every_published_shape_can_be_made(pair: tuple[int, int]) -> None:
    chain = TreeAccount(SPL, SPL.vm(), (*pair, 0))
    chain.vm.svm.warp_to_slot(77)
    assert chain.initialize().error is None
    state = chain.state()
    assert (state.max_depth, state.max_buffer_size) == pair
    assert (state.creation_slot, state.authority) == (77, chain.authority.pubkey())
    assert (state.root, state.buffer_size, state.sequence_number) == (empty_node(pair[0]), 1, 0)


@pytest.mark.parametrize("pair", [(4, 8), (3, 16), (14, 128), (31, 2048), (0, 0)], ids=str)
def test_another_shape_is_refused(pair: tuple[int, int]) -> None:
    chain = TreeAccount(SPL, SPL.vm(), (30, 2048, 0))
    chain.depth, chain.buffer_size = pair
    assert chain.initialize().error == 6003


def test_a_tree_is_made_only_once() -> None:
    chain, _ = grown(1)
    assert chain.initialize().error == 2013


@pytest.mark.parametrize(("extra", "code"), [(-8, 6002), (31, 6004), (32, 6004), (3 * 32, 6004), (64, None)])
def test_the_account_must_have_room_for_the_tree_and_a_whole_canopy(extra: int, code: int | None) -> None:
    chain = TreeAccount(SPL, SPL.vm(), (3, 8, 0))
    chain.vm.set_account(chain.address, bytes(tree_account_size(3, 8) + extra), SPL.compression)
    assert chain.initialize().error == code


def test_the_account_must_be_ours() -> None:
    chain = TreeAccount(SPL, SPL.vm(), (3, 8, 0))
    chain.vm.set_account(chain.address, bytes(tree_account_size(3, 8)), MPL.compression)
    assert chain.initialize().error == 6006
    assert chain.append(leaf(1)).error == 6006


# ---- who may --------------------------------------------------------------------------------------------------------


def test_only_the_authority_changes_a_tree() -> None:
    chain, plain = grown(2)
    stranger = chain.vm.wallet()
    outcome = chain.vm.send(chain.instruction("append", leaf(3), authority=stranger), signers=(stranger,))
    assert outcome.error == 6005
    assert says(outcome, "Error Code: IncorrectAuthority. Error Number: 6005.")
    unsigned = chain.instruction("append", leaf(3), authority=stranger, authority_signs=False)
    outcome = chain.vm.send(unsigned)
    assert outcome.error == 3010
    assert says(outcome, "AnchorError caused by account: authority. Error Code: AccountNotSigner.")
    assert chain.state().root == plain.root


def test_authority_moves_to_whom_it_is_given() -> None:
    chain, _ = grown(1)
    heir = chain.vm.wallet()
    assert chain.vm.send(chain.instruction("transfer_authority", bytes(heir.pubkey()))).error is None
    assert chain.state().authority == heir.pubkey()
    assert chain.append(leaf(2)).error == 6005
    chain.authority = heir
    outcome = chain.vm.send(chain.instruction("append", leaf(2)), signers=(heir,))
    assert outcome.error is None


def test_the_noop_program_must_be_the_right_one() -> None:
    chain, _ = grown(1)
    wrong = AccountMeta(MPL.noop, is_signer=False, is_writable=False)
    assert chain.vm.send(chain.instruction("append", leaf(2), third=wrong)).error == 3008


# ---- appending ------------------------------------------------------------------------------------------------------


def test_a_full_tree_takes_no_more() -> None:
    chain, plain = grown(8, (3, 8, 0))
    outcome = chain.append(leaf(9))
    assert outcome.error == TREE_ERROR
    assert says(outcome, "Error using concurrent merkle tree: Tree is full, cannot append")
    assert chain.state().root == plain.root


def test_an_empty_leaf_cannot_be_appended() -> None:
    chain, _ = grown(1)
    assert chain.append(EMPTY_NODE).error == TREE_ERROR


# ---- closing --------------------------------------------------------------------------------------------------------


@FAMILIES
def test_only_an_empty_tree_is_closed_and_its_rent_returned(family: Family) -> None:
    chain, plain = grown(3, (3, 8, 0), family)
    recipient = chain.vm.wallet(1_000_000).pubkey()
    outcome = chain.close(recipient)
    assert outcome.error == TREE_ERROR
    assert says(outcome, "Tree is not empty")
    for index in range(3):
        replace(chain, plain, index, EMPTY_NODE)
    rent = chain.vm.lamports(chain.address)
    assert chain.close(recipient).error is None
    assert chain.vm.lamports(recipient) == 1_000_000 + rent
    assert chain.vm.lamports(chain.address) == 0


# ---- malformed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "accounts", "code"),
    [
        (b"", 3, 100),
        (b"1234567", 3, 100),
        (b"12345678", 3, 101),
        (discriminator("append") + bytes(31), 3, 102),
        (discriminator("replace_leaf") + bytes(99), 3, 102),
        (discriminator("append") + leaf(1), 2, 3005),
    ],
)
def test_malformed_instructions_get_anchors_errors(data: bytes, accounts: int, code: int) -> None:
    chain, _ = grown(1)
    whole = chain.instruction("append", leaf(1))
    assert chain.vm.send(Instruction(SPL.compression, data, whole.accounts[:accounts])).error == code


def test_an_account_that_is_no_tree_is_refused() -> None:
    chain, _ = grown(1)
    chain.address = Pubkey.new_unique()
    chain.vm.set_account(chain.address, bytes(tree_account_size(5, 8)), SPL.compression)
    assert chain.append(leaf(1)).error == 6007
    chain.vm.set_account(chain.address, bytes(10), SPL.compression)
    assert chain.append(leaf(1)).error == 6002


def test_a_read_only_tree_is_refused() -> None:
    chain, _ = grown(1)
    writable = chain.instruction("append", leaf(2))
    accounts = [AccountMeta(chain.address, is_signer=False, is_writable=False), *writable.accounts[1:]]
    assert chain.vm.send(Instruction(SPL.compression, bytes(writable.data), accounts)).error == 2000
