"""What the chain's own accounts say of a collection's tree: pure.

Used by the counter. A tree is valid when both its accounts are there, belong to the programs of the collection's
standard, can be read, and agree with each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from solders.pubkey import Pubkey

from bubblegum import pda
from bubblegum.errors import DecodeError
from bubblegum.merkle import ConcurrentMerkleTree, TreeConfig
from bubblegum.programs import BUBBLEGUM, MPL_ACCOUNT_COMPRESSION, SPL_ACCOUNT_COMPRESSION
from services.indexer.ports import Account

_COMPRESSION = {"v1": str(SPL_ACCOUNT_COMPRESSION), "v2": str(MPL_ACCOUNT_COMPRESSION)}


@dataclass(frozen=True, slots=True)
class TreeCount:
    """Leaves minted and leaves possible; None where the chain has no readable config."""

    minted: int | None
    capacity: int | None
    valid: bool


def config_address(tree_address: str) -> str | None:
    """Return the address of Bubblegum's config account of a tree; None when `tree_address` is no 32-byte key."""
    try:
        return str(pda.tree_config(Pubkey.from_string(tree_address)))
    except ValueError:  # stop: base58 that is not 32 bytes names no account
        return None


def count_tree(standard: str, config: Account | None, tree: Account | None) -> TreeCount:
    """Return what the two accounts of a tree of collection standard `standard` ("v1" or "v2") say."""
    parsed = _config(config)
    if parsed is None:
        return TreeCount(None, None, valid=False)
    valid = parsed.num_minted <= parsed.total_mint_capacity and _holds(standard, tree, parsed)
    return TreeCount(parsed.num_minted, parsed.total_mint_capacity, valid)


def sum_counts(counts: Sequence[TreeCount]) -> TreeCount:
    """Return what the trees of one collection hold together.

    Unknown when one of them cannot be read: a sum that leaves a tree out would count backwards.
    """
    minted = [count.minted for count in counts if count.minted is not None]
    capacities = [count.capacity for count in counts if count.capacity is not None]
    if len(minted) != len(counts) or len(capacities) != len(counts):
        return TreeCount(None, None, valid=False)
    return TreeCount(sum(minted), sum(capacities), all(count.valid for count in counts))


def _config(account: Account | None) -> TreeConfig | None:
    if account is None or account.owner != str(BUBBLEGUM):
        return None
    try:
        return TreeConfig.parse(account.data)
    except DecodeError:  # stop: another kind of account is no config
        return None


def _holds(standard: str, account: Account | None, config: TreeConfig) -> bool:
    """Whether the tree account is one of `standard` and has room for all that the config allows."""
    if account is None or account.owner != _COMPRESSION.get(standard):
        return False
    try:
        tree = ConcurrentMerkleTree.parse(account.data)
    except DecodeError:  # stop: not an initialised tree
        return False
    return tree.capacity >= config.total_mint_capacity and tree.num_leaves >= config.num_minted
