"""Instructions that make a tree: its account, then Bubblegum's config of it.

Used by whoever creates collections. Both instructions belong into one transaction: a tree account without a config
can be taken by anyone.
"""

from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account

from bubblegum import pda
from bubblegum.borsh import Writer
from bubblegum.instructions.discriminators import BubblegumInstruction, optional_readonly, readonly, writable
from bubblegum.merkle import tree_account_size
from bubblegum.programs import (
    BUBBLEGUM,
    MPL_ACCOUNT_COMPRESSION,
    MPL_NOOP,
    SPL_ACCOUNT_COMPRESSION,
    SPL_NOOP,
    SYSTEM,
)


def create_tree_account(
    *,
    payer: Pubkey,
    tree: Pubkey,
    lamports: int,
    max_depth: int,
    max_buffer_size: int,
    canopy_depth: int = 0,
    compression_program: Pubkey = SPL_ACCOUNT_COMPRESSION,
) -> Instruction:
    """Create the account that will hold the tree; `payer` and `tree` sign.

    `lamports` must be the rent exemption of `tree_account_size(...)` bytes. V2 trees belong to MPL_ACCOUNT_COMPRESSION.
    """
    return create_account(
        CreateAccountParams(
            from_pubkey=payer,
            to_pubkey=tree,
            lamports=lamports,
            space=tree_account_size(max_depth, max_buffer_size, canopy_depth),
            owner=compression_program,
        )
    )


def _tree_arguments(kind: BubblegumInstruction, max_depth: int, max_buffer_size: int, public: bool | None) -> bytes:
    out = Writer().raw(kind.discriminator).u32(max_depth).u32(max_buffer_size)
    return out.option(public, out.boolean).done()


def create_tree_config(
    *,
    payer: Pubkey,
    tree: Pubkey,
    tree_creator: Pubkey,
    max_depth: int,
    max_buffer_size: int,
    public: bool | None = None,
    log_wrapper: Pubkey = SPL_NOOP,
    compression_program: Pubkey = SPL_ACCOUNT_COMPRESSION,
) -> Instruction:
    """Make the V1 tree empty and ready; `payer` and `tree_creator` sign. `public`: anyone may mint (None: no)."""
    return Instruction(
        BUBBLEGUM,
        _tree_arguments(BubblegumInstruction.CREATE_TREE, max_depth, max_buffer_size, public),
        [
            writable(pda.tree_config(tree)),
            writable(tree),
            writable(payer, signer=True),
            readonly(tree_creator, signer=True),
            readonly(log_wrapper),
            readonly(compression_program),
            readonly(SYSTEM),
        ],
    )


def create_tree_config_v2(
    *,
    payer: Pubkey,
    tree: Pubkey,
    max_depth: int,
    max_buffer_size: int,
    tree_creator: Pubkey | None = None,
    public: bool | None = None,
    log_wrapper: Pubkey = MPL_NOOP,
    compression_program: Pubkey = MPL_ACCOUNT_COMPRESSION,
) -> Instruction:
    """Make the V2 tree empty and ready; `payer` signs and is the creator unless `tree_creator` signs too."""
    return Instruction(
        BUBBLEGUM,
        _tree_arguments(BubblegumInstruction.CREATE_TREE_V2, max_depth, max_buffer_size, public),
        [
            writable(pda.tree_config(tree)),
            writable(tree),
            writable(payer, signer=True),
            optional_readonly(tree_creator, signer=True),
            readonly(log_wrapper),
            readonly(compression_program),
            readonly(SYSTEM),
        ],
    )
