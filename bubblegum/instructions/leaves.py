"""Instructions on a leaf that is there: transfer and burn, V1 and V2.

Used by the tests and the products that move assets. The program recomputes the leaf from the hashes given here and
replaces it if the proof leads from it to a root that the tree still remembers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from bubblegum import pda
from bubblegum.borsh import Writer
from bubblegum.instructions.discriminators import (
    BubblegumInstruction,
    optional_readonly,
    optional_writable,
    readonly,
    writable,
)
from bubblegum.programs import (
    BUBBLEGUM,
    MPL_ACCOUNT_COMPRESSION,
    MPL_CORE,
    MPL_CORE_CPI_SIGNER,
    MPL_NOOP,
    SPL_ACCOUNT_COMPRESSION,
    SPL_NOOP,
    SYSTEM,
)


@dataclass(frozen=True, slots=True)
class LeafProof:
    """What proves a leaf to the program. The hashes and the root are 32 bytes; `proof` goes from the leaf upwards.

    Nodes that the tree's canopy holds are left off the end of `proof`. V2 only: `asset_data_hash` and `flags` say what
    the leaf holds where it is not the default (None).
    """

    root: bytes
    data_hash: bytes
    creator_hash: bytes
    nonce: int
    index: int
    proof: Sequence[Pubkey] = ()
    asset_data_hash: bytes | None = None
    flags: int | None = None

    def arguments_v1(self) -> bytes:
        """The arguments of the V1 instructions."""
        out = Writer().raw(self.root).raw(self.data_hash).raw(self.creator_hash)
        return out.u64(self.nonce).u32(self.index).done()

    def arguments_v2(self) -> bytes:
        """The arguments of the V2 instructions."""
        out = Writer().raw(self.root).raw(self.data_hash).raw(self.creator_hash)
        out.option(self.asset_data_hash, out.raw).option(self.flags, out.u8)
        return out.u64(self.nonce).u32(self.index).done()

    def accounts(self) -> list[AccountMeta]:
        """The proof as the remaining accounts of the instruction."""
        return [readonly(node) for node in self.proof]


def transfer(
    *,
    tree: Pubkey,
    leaf_owner: Pubkey,
    new_leaf_owner: Pubkey,
    leaf: LeafProof,
    leaf_delegate: Pubkey | None = None,
    owner_signs: bool = True,
    log_wrapper: Pubkey = SPL_NOOP,
    compression_program: Pubkey = SPL_ACCOUNT_COMPRESSION,
) -> Instruction:
    """Give a V1 leaf to `new_leaf_owner`; the owner signs, or with `owner_signs=False` the delegate does."""
    delegate = leaf_delegate or leaf_owner
    return Instruction(
        BUBBLEGUM,
        BubblegumInstruction.TRANSFER.discriminator + leaf.arguments_v1(),
        [
            readonly(pda.tree_config(tree)),
            readonly(leaf_owner, signer=owner_signs),
            readonly(delegate, signer=not owner_signs or delegate == leaf_owner),
            readonly(new_leaf_owner),
            writable(tree),
            readonly(log_wrapper),
            readonly(compression_program),
            readonly(SYSTEM),
            *leaf.accounts(),
        ],
    )


def transfer_v2(
    *,
    tree: Pubkey,
    payer: Pubkey,
    leaf_owner: Pubkey,
    new_leaf_owner: Pubkey,
    leaf: LeafProof,
    authority: Pubkey | None = None,
    leaf_delegate: Pubkey | None = None,
    core_collection: Pubkey | None = None,
    log_wrapper: Pubkey = MPL_NOOP,
    compression_program: Pubkey = MPL_ACCOUNT_COMPRESSION,
) -> Instruction:
    """Give a V2 leaf to `new_leaf_owner`; `payer` signs, and `authority` (owner, delegate) unless it is the payer."""
    return Instruction(
        BUBBLEGUM,
        BubblegumInstruction.TRANSFER_V2.discriminator + leaf.arguments_v2(),
        [
            writable(pda.tree_config(tree)),
            writable(payer, signer=True),
            optional_readonly(authority, signer=True),
            readonly(leaf_owner),
            optional_readonly(leaf_delegate),
            readonly(new_leaf_owner),
            writable(tree),
            optional_readonly(core_collection),
            readonly(log_wrapper),
            readonly(compression_program),
            readonly(SYSTEM),
            *leaf.accounts(),
        ],
    )


def burn(
    *,
    tree: Pubkey,
    leaf_owner: Pubkey,
    leaf: LeafProof,
    leaf_delegate: Pubkey | None = None,
    owner_signs: bool = True,
    log_wrapper: Pubkey = SPL_NOOP,
    compression_program: Pubkey = SPL_ACCOUNT_COMPRESSION,
) -> Instruction:
    """Empty a V1 leaf; the owner signs, or with `owner_signs=False` the delegate does."""
    delegate = leaf_delegate or leaf_owner
    return Instruction(
        BUBBLEGUM,
        BubblegumInstruction.BURN.discriminator + leaf.arguments_v1(),
        [
            readonly(pda.tree_config(tree)),
            readonly(leaf_owner, signer=owner_signs),
            readonly(delegate, signer=not owner_signs or delegate == leaf_owner),
            writable(tree),
            readonly(log_wrapper),
            readonly(compression_program),
            readonly(SYSTEM),
            *leaf.accounts(),
        ],
    )


def burn_v2(
    *,
    tree: Pubkey,
    payer: Pubkey,
    leaf_owner: Pubkey,
    leaf: LeafProof,
    authority: Pubkey | None = None,
    leaf_delegate: Pubkey | None = None,
    core_collection: Pubkey | None = None,
    log_wrapper: Pubkey = MPL_NOOP,
    compression_program: Pubkey = MPL_ACCOUNT_COMPRESSION,
) -> Instruction:
    """Empty a V2 leaf; `payer` signs, and `authority` (owner, delegate) unless it is the payer."""
    return Instruction(
        BUBBLEGUM,
        BubblegumInstruction.BURN_V2.discriminator + leaf.arguments_v2(),
        [
            writable(pda.tree_config(tree)),
            writable(payer, signer=True),
            optional_readonly(authority, signer=True),
            readonly(leaf_owner),
            optional_readonly(leaf_delegate),
            writable(tree),
            optional_writable(core_collection),
            optional_readonly(MPL_CORE_CPI_SIGNER if core_collection else None),
            readonly(log_wrapper),
            readonly(compression_program),
            readonly(MPL_CORE),
            readonly(SYSTEM),
            *leaf.accounts(),
        ],
    )
