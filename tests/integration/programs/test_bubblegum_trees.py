"""Creating Bubblegum trees on the stand-ins: what is written, and what is refused with which code."""

from __future__ import annotations

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair

from bubblegum import pda
from bubblegum.programs import (
    BUBBLEGUM,
    MPL_ACCOUNT_COMPRESSION,
    MPL_NOOP,
    SPL_ACCOUNT_COMPRESSION,
    SPL_NOOP,
)
from tests.support.bubblegum_vm import BubblegumTree, bubblegum_vm, replaced, with_data
from tests.support.vm import SYSTEM_PROGRAM, Vm

TREE_CONFIG, MERKLE_TREE, PAYER, TREE_CREATOR, LOG_WRAPPER, COMPRESSION, SYSTEM = range(7)


class Blank(BubblegumTree):
    """A tree of which neither account was created yet."""

    def __init__(self, vm: Vm, version: int, shape: tuple[int, int, int]) -> None:
        self.vm, self.version, self.shape = vm, version, shape
        self.keypair = Keypair()
        self.address = self.keypair.pubkey()
        self.payer = vm.payer.pubkey()

    def attempt(self, config: Instruction, *others: Keypair) -> int | str | None:
        return self.vm.send(self.account_instruction(), config, signers=(self.keypair, *others)).error


@pytest.fixture
def vm() -> Vm:
    return bubblegum_vm()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("public", "is_public"), [(None, False), (False, False), (True, True)])
def test_a_new_tree_is_empty_and_its_creators(vm: Vm, version: int, public: bool | None, is_public: bool) -> None:
    tree = BubblegumTree(vm, version, (14, 64, 5), public=public)
    config = tree.config()
    assert config.tree_creator == config.tree_delegate == vm.payer.pubkey()
    assert (config.total_mint_capacity, config.num_minted) == (1 << 14, 0)
    assert (config.is_public, config.is_decompressible, config.version) == (is_public, False, version)
    account = tree.account()
    assert account.authority == pda.tree_config(tree.address)
    assert (account.max_depth, account.max_buffer_size, account.canopy_depth) == (14, 64, 5)
    assert account.root == tree.plain.root
    config_account = vm.svm.get_account(pda.tree_config(tree.address))
    assert config_account is not None
    assert config_account.owner == BUBBLEGUM
    assert len(config_account.data) == 96
    assert config_account.lamports == vm.svm.minimum_balance_for_rent_exemption(96)


@pytest.mark.parametrize("version", [1, 2])
def test_the_creator_may_be_another_signer_than_the_payer(vm: Vm, version: int) -> None:
    tree, creator = Blank(vm, version, (3, 8, 0)), Keypair()
    config = replaced(tree.config_instruction(), TREE_CREATOR, creator.pubkey(), signer=True)
    assert tree.attempt(config, creator) is None
    assert tree.config().tree_creator == creator.pubkey()


def test_a_config_address_that_has_money_already_is_no_obstacle(vm: Vm) -> None:
    tree = Blank(vm, 1, (3, 8, 0))
    vm.svm.airdrop(pda.tree_config(tree.address), 900_000)
    assert tree.attempt(tree.config_instruction()) is None
    assert tree.config().num_minted == 0


def test_v1_trees_may_belong_to_either_family_of_programs(vm: Vm) -> None:
    tree = Blank(vm, 2, (3, 8, 0))  # the account is the mpl family's
    v1 = BubblegumTree(vm, 1)
    config = with_data(tree.config_instruction(), bytes(v1.config_instruction().data))
    config = replaced(config, TREE_CREATOR, vm.payer.pubkey(), signer=True)
    assert tree.attempt(config) is None
    assert tree.config().version == 1


@pytest.mark.parametrize("version", [1, 2])
def test_accounts_that_are_not_what_they_should_be(vm: Vm, version: int) -> None:
    tree = Blank(vm, version, (3, 8, 0))
    config = tree.config_instruction()
    stranger = Keypair().pubkey()
    other_compression = MPL_ACCOUNT_COMPRESSION if version == 1 else SPL_ACCOUNT_COMPRESSION
    other_noop = MPL_NOOP if version == 1 else SPL_NOOP
    wrong_programs = (6042, 6043) if version == 1 else (3008, 3008)
    assert tree.attempt(replaced(config, TREE_CONFIG, stranger)) == 2006
    assert tree.attempt(replaced(config, TREE_CREATOR, stranger, signer=False)) == 3010
    assert tree.attempt(replaced(config, LOG_WRAPPER, other_noop)) == wrong_programs[0]
    assert tree.attempt(replaced(config, COMPRESSION, other_compression)) == wrong_programs[1]
    assert tree.attempt(replaced(config, SYSTEM, stranger)) == 3008
    assert tree.attempt(Instruction(BUBBLEGUM, bytes(config.data), list(config.accounts)[:6])) == 3005
    assert vm.svm.get_account(tree.address) is None


def test_a_tree_account_of_no_compression_program(vm: Vm) -> None:
    tree = Blank(vm, 1, (3, 8, 0))
    vm.set_account(tree.address, bytes(1000), SYSTEM_PROGRAM)
    assert vm.send(tree.config_instruction()).error == 6019


@pytest.mark.parametrize("version", [1, 2])
def test_a_tree_is_created_once(vm: Vm, version: int) -> None:
    tree = BubblegumTree(vm, version)
    tree.refuse(2013, tree.config_instruction())


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("shape", "error"),
    [((18, 64, 0), 6041), ((18, 64, 1), None), ((20, 64, 2), 6041), ((20, 64, 3), None), ((17, 64, 0), None)],
)
def test_a_proof_must_fit_a_transaction(vm: Vm, version: int, shape: tuple[int, int, int], error: int | None) -> None:
    tree = Blank(vm, version, shape)
    assert tree.attempt(tree.config_instruction()) == error


@pytest.mark.parametrize("version", [1, 2])
def test_only_the_shapes_that_compression_knows(vm: Vm, version: int) -> None:
    tree = Blank(vm, version, (4, 8, 0))
    error = tree.attempt(tree.config_instruction())
    assert isinstance(error, int)
    assert 6000 <= error < 6020  # account compression's own


def test_data_that_is_no_instruction(vm: Vm) -> None:
    tree = Blank(vm, 1, (3, 8, 0))
    config = tree.config_instruction()
    set_tree_delegate = bytes([253, 118, 66, 37, 190, 49, 154, 102])
    outcome = vm.send(with_data(config, set_tree_delegate))
    assert outcome.error == 101
    assert any("stand-in does not implement" in line for line in outcome.logs)
    assert vm.send(with_data(config, bytes(config.data)[:7])).error == 100
    assert vm.send(with_data(config, bytes(config.data)[:12])).error == 102
    assert vm.send(with_data(config, bytes(config.data)[:16] + b"\2")).error == 102
    assert "Program log: Bubblegum local stand-in" in outcome.logs
