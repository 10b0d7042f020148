"""Instructions that mint one leaf: V1, V1 into a token-metadata collection, and V2 (into an MPL-Core collection).

Used by the minter. The asset id is not known from the instruction: it follows from the nonce that the program gives
the leaf, so it is decoded from what landed (`bubblegum.decode`).
"""

from functools import lru_cache

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
    TOKEN_METADATA,
)
from bubblegum.types import AssetDataSchema, MetadataArgs, MetadataArgsV2


def mint_v1(
    *,
    tree: Pubkey,
    payer: Pubkey,
    tree_creator_or_delegate: Pubkey,
    leaf_owner: Pubkey,
    metadata: MetadataArgs,
    leaf_delegate: Pubkey | None = None,
    log_wrapper: Pubkey = SPL_NOOP,
    compression_program: Pubkey = SPL_ACCOUNT_COMPRESSION,
) -> Instruction:
    """Mint a V1 leaf without a verified collection; `payer` and `tree_creator_or_delegate` sign."""
    return Instruction(
        BUBBLEGUM,
        BubblegumInstruction.MINT_V1.discriminator + metadata.to_bytes(),
        [
            writable(pda.tree_config(tree)),
            readonly(leaf_owner),
            readonly(leaf_delegate or leaf_owner),
            writable(tree),
            readonly(payer, signer=True),
            readonly(tree_creator_or_delegate, signer=True),
            readonly(log_wrapper),
            readonly(compression_program),
            readonly(SYSTEM),
        ],
    )


def mint_to_collection_v1(
    *,
    tree: Pubkey,
    payer: Pubkey,
    tree_creator_or_delegate: Pubkey,
    collection_authority: Pubkey,
    collection_mint: Pubkey,
    leaf_owner: Pubkey,
    metadata: MetadataArgs,
    leaf_delegate: Pubkey | None = None,
    collection_authority_record: Pubkey | None = None,
    bubblegum_signer: Pubkey | None = None,
    token_metadata_program: Pubkey = TOKEN_METADATA,
    log_wrapper: Pubkey = SPL_NOOP,
    compression_program: Pubkey = SPL_ACCOUNT_COMPRESSION,
) -> Instruction:
    """Mint a V1 leaf into a token-metadata collection; payer, tree authority and `collection_authority` sign.

    `metadata.collection` names the mint, unverified: the program verifies it and hashes it as verified.
    `collection_authority_record` is for a delegated authority. The official client writes the Bubblegum id for
    `bubblegum_signer` and `token_metadata_program`; the defaults here are the interface's real ones, which older
    versions of the program need.
    """
    accounts = _mint_to_collection_v1_accounts(
        tree,
        payer,
        tree_creator_or_delegate,
        collection_authority,
        collection_mint,
        leaf_owner,
        leaf_delegate,
        collection_authority_record,
        bubblegum_signer,
        token_metadata_program,
        log_wrapper,
        compression_program,
    )
    data = BubblegumInstruction.MINT_TO_COLLECTION_V1.discriminator + metadata.to_bytes()
    return Instruction(BUBBLEGUM, data, accounts)


@lru_cache(maxsize=256)
def _mint_to_collection_v1_accounts(
    tree: Pubkey,
    payer: Pubkey,
    tree_creator_or_delegate: Pubkey,
    collection_authority: Pubkey,
    collection_mint: Pubkey,
    leaf_owner: Pubkey,
    leaf_delegate: Pubkey | None,
    collection_authority_record: Pubkey | None,
    bubblegum_signer: Pubkey | None,
    token_metadata_program: Pubkey,
    log_wrapper: Pubkey,
    compression_program: Pubkey,
) -> tuple[AccountMeta, ...]:
    """The accounts of `mint_to_collection_v1`, kept: mints of one request differ in their metadata only."""
    return (
        writable(pda.tree_config(tree)),
        readonly(leaf_owner),
        readonly(leaf_delegate or leaf_owner),
        writable(tree),
        readonly(payer, signer=True),
        readonly(tree_creator_or_delegate, signer=True),
        readonly(collection_authority, signer=True),
        optional_readonly(collection_authority_record),
        readonly(collection_mint),
        writable(pda.metadata(collection_mint)),
        readonly(pda.master_edition(collection_mint)),
        readonly(bubblegum_signer or pda.bubblegum_signer()),
        readonly(log_wrapper),
        readonly(compression_program),
        readonly(token_metadata_program),
        readonly(SYSTEM),
    )


def mint_v2(
    *,
    tree: Pubkey,
    payer: Pubkey,
    leaf_owner: Pubkey,
    metadata: MetadataArgsV2,
    tree_creator_or_delegate: Pubkey | None = None,
    collection_authority: Pubkey | None = None,
    leaf_delegate: Pubkey | None = None,
    core_collection: Pubkey | None = None,
    asset_data: bytes | None = None,
    asset_data_schema: AssetDataSchema | None = None,
    log_wrapper: Pubkey = MPL_NOOP,
    compression_program: Pubkey = MPL_ACCOUNT_COMPRESSION,
) -> Instruction:
    """Mint a V2 leaf; `payer` signs, and so do the authorities that are given.

    An absent tree authority is the payer, an absent collection authority the tree authority, an absent delegate the
    owner. `core_collection` must equal `metadata.collection`.
    """
    out = Writer().raw(BubblegumInstruction.MINT_V2.discriminator).raw(metadata.to_bytes())
    out.option(asset_data, out.sized).option(asset_data_schema, out.u8)
    accounts = _mint_v2_accounts(
        tree,
        payer,
        tree_creator_or_delegate,
        collection_authority,
        leaf_owner,
        leaf_delegate,
        core_collection,
        log_wrapper,
        compression_program,
    )
    return Instruction(BUBBLEGUM, out.done(), accounts)


@lru_cache(maxsize=256)
def _mint_v2_accounts(
    tree: Pubkey,
    payer: Pubkey,
    tree_creator_or_delegate: Pubkey | None,
    collection_authority: Pubkey | None,
    leaf_owner: Pubkey,
    leaf_delegate: Pubkey | None,
    core_collection: Pubkey | None,
    log_wrapper: Pubkey,
    compression_program: Pubkey,
) -> tuple[AccountMeta, ...]:
    """The accounts of `mint_v2`, kept: mints of one request differ in their metadata only."""
    return (
        writable(pda.tree_config(tree)),
        writable(payer, signer=True),
        optional_readonly(tree_creator_or_delegate, signer=True),
        optional_readonly(collection_authority, signer=True),
        readonly(leaf_owner),
        optional_readonly(leaf_delegate),
        writable(tree),
        optional_writable(core_collection),
        optional_readonly(MPL_CORE_CPI_SIGNER if core_collection else None),
        readonly(log_wrapper),
        readonly(compression_program),
        readonly(MPL_CORE),
        readonly(SYSTEM),
    )
