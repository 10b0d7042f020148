"""What the accounts of real trees say, as the programs wrote them."""

from dataclasses import replace

import pytest
from solders.pubkey import Pubkey

from bubblegum.programs import BUBBLEGUM
from services.indexer.ports import Account
from services.indexer.trees import TreeCount, config_address, count_tree
from tests.support.bubblegum_vm import BubblegumTree, bubblegum_vm


def account(tree: BubblegumTree, address: str) -> Account:
    found = tree.vm.svm.get_account(Pubkey.from_string(address))
    assert found is not None
    return Account(str(found.owner), bytes(found.data))


def accounts(tree: BubblegumTree) -> tuple[Account, Account]:
    """The config account and the tree account."""
    config = config_address(str(tree.address))
    assert config is not None
    return account(tree, config), account(tree, str(tree.address))


@pytest.fixture(scope="module", params=[1, 2])
def tree(request: pytest.FixtureRequest) -> BubblegumTree:
    """A tree of eight leaves with two minted."""
    made = BubblegumTree(bubblegum_vm(), request.param)
    for _ in range(2):
        made.minted(made.payer)
    return made


def test_a_tree_counts_what_was_minted_into_it(tree: BubblegumTree) -> None:
    config, account_of_tree = accounts(tree)
    assert count_tree(f"v{tree.version}", config, account_of_tree) == TreeCount(2, 8, valid=True)


def test_a_tree_of_the_other_standard_is_not_the_collections(tree: BubblegumTree) -> None:
    other = "v1" if tree.version == 2 else "v2"
    assert count_tree(other, *accounts(tree)) == TreeCount(2, 8, valid=False)


def test_without_both_accounts_there_is_no_valid_tree(tree: BubblegumTree) -> None:
    config, account_of_tree = accounts(tree)
    standard = f"v{tree.version}"
    assert count_tree(standard, None, account_of_tree) == TreeCount(None, None, valid=False)
    assert count_tree(standard, config, None) == TreeCount(2, 8, valid=False)


def test_accounts_of_strangers_are_not_believed(tree: BubblegumTree) -> None:
    config, account_of_tree = accounts(tree)
    standard = f"v{tree.version}"
    stranger = str(Pubkey.new_unique())
    assert count_tree(standard, replace(config, owner=stranger), account_of_tree).minted is None
    assert not count_tree(standard, config, replace(account_of_tree, owner=stranger)).valid
    assert not count_tree(standard, config, replace(account_of_tree, owner=str(BUBBLEGUM))).valid


def test_damaged_accounts_are_not_believed(tree: BubblegumTree) -> None:
    config, account_of_tree = accounts(tree)
    standard = f"v{tree.version}"
    assert count_tree(standard, replace(config, data=config.data[:40]), account_of_tree).minted is None
    assert not count_tree(standard, config, replace(account_of_tree, data=account_of_tree.data[:-1])).valid


def test_a_config_that_counts_more_than_its_tree_holds_is_not_valid(tree: BubblegumTree) -> None:
    config, _ = accounts(tree)
    empty = BubblegumTree(tree.vm, tree.version)
    assert not count_tree(f"v{tree.version}", config, accounts(empty)[1]).valid


def test_what_is_no_address_has_no_config() -> None:
    assert config_address("1" * 44) is None
