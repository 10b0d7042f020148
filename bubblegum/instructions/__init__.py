"""Bubblegum's instructions, encoded: trees, mints, transfers and burns, V1 and V2.

Used by the minter, the command line and the tests. Argument layouts and account orders are those of the official
JavaScript client, to which the contract tests hold every byte; an optional account that is absent is written as the
Bubblegum id, read-only, as that client does. Nothing is validated here (see `types`): a refused instruction is the
program's to refuse, so that tests can send bad ones.
"""

from bubblegum.instructions.discriminators import BubblegumInstruction, instruction_kind
from bubblegum.instructions.leaves import LeafProof, burn, burn_v2, transfer, transfer_v2
from bubblegum.instructions.mint import mint_to_collection_v1, mint_v1, mint_v2
from bubblegum.instructions.trees import create_tree_account, create_tree_config, create_tree_config_v2

__all__ = [
    "BubblegumInstruction",
    "LeafProof",
    "burn",
    "burn_v2",
    "create_tree_account",
    "create_tree_config",
    "create_tree_config_v2",
    "instruction_kind",
    "mint_to_collection_v1",
    "mint_v1",
    "mint_v2",
    "transfer",
    "transfer_v2",
]
