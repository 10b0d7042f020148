"""The eight bytes that open each Bubblegum instruction, and the account helpers that all encoders share.

Used by the encoders beside this file and by `bubblegum.decode`. A discriminator is the first eight bytes of
SHA-256("global:" + the instruction's name in snake case), Anchor's rule, so names are all that is written down here.
"""

import hashlib
from enum import Enum
from typing import Final

from solders.instruction import AccountMeta
from solders.pubkey import Pubkey

from bubblegum.programs import BUBBLEGUM

DISCRIMINATOR_BYTES: Final = 8


class BubblegumInstruction(Enum):
    """Every instruction of the program's public interface, by its name there."""

    BURN = "burn"
    BURN_V2 = "burn_v2"
    CANCEL_REDEEM = "cancel_redeem"
    CLOSE_TREE_V2 = "close_tree_v2"
    COLLECT_V2 = "collect_v2"
    CREATE_TREE = "create_tree"
    CREATE_TREE_V2 = "create_tree_v2"
    DECOMPRESS_V1 = "decompress_v1"
    DELEGATE = "delegate"
    DELEGATE_AND_FREEZE_V2 = "delegate_and_freeze_v2"
    DELEGATE_V2 = "delegate_v2"
    FREEZE_V2 = "freeze_v2"
    MINT_TO_COLLECTION_V1 = "mint_to_collection_v1"
    MINT_V1 = "mint_v1"
    MINT_V2 = "mint_v2"
    REDEEM = "redeem"
    SET_AND_VERIFY_COLLECTION = "set_and_verify_collection"
    SET_COLLECTION_V2 = "set_collection_v2"
    SET_DECOMPRESSIBLE_STATE = "set_decompressible_state"
    SET_NON_TRANSFERABLE_V2 = "set_non_transferable_v2"
    SET_TREE_DELEGATE = "set_tree_delegate"
    THAW_AND_REVOKE_V2 = "thaw_and_revoke_v2"
    THAW_V2 = "thaw_v2"
    TRANSFER = "transfer"
    TRANSFER_V2 = "transfer_v2"
    UNVERIFY_COLLECTION = "unverify_collection"
    UNVERIFY_CREATOR = "unverify_creator"
    UNVERIFY_CREATOR_V2 = "unverify_creator_v2"
    UPDATE_ASSET_DATA_V2 = "update_asset_data_v2"
    UPDATE_METADATA = "update_metadata"
    UPDATE_METADATA_V2 = "update_metadata_v2"
    VERIFY_COLLECTION = "verify_collection"
    VERIFY_CREATOR = "verify_creator"
    VERIFY_CREATOR_V2 = "verify_creator_v2"

    @property
    def discriminator(self) -> bytes:
        """The eight bytes that open the instruction's data."""
        return _DISCRIMINATORS[self]


_DISCRIMINATORS: Final = {
    kind: hashlib.sha256(f"global:{kind.value}".encode()).digest()[:DISCRIMINATOR_BYTES]
    for kind in BubblegumInstruction
}
_KINDS: Final = {discriminator: kind for kind, discriminator in _DISCRIMINATORS.items()}


def instruction_kind(data: bytes) -> BubblegumInstruction | None:
    """Which instruction this data opens; None when the interface has no such one."""
    return _KINDS.get(data[:DISCRIMINATOR_BYTES])


def readonly(key: Pubkey, signer: bool = False) -> AccountMeta:
    """An account that the instruction only reads."""
    return AccountMeta(key, is_signer=signer, is_writable=False)


def writable(key: Pubkey, signer: bool = False) -> AccountMeta:
    """An account that the instruction may change."""
    return AccountMeta(key, is_signer=signer, is_writable=True)


def optional_readonly(key: Pubkey | None, signer: bool = False) -> AccountMeta:
    """An optional account; absent is the program's own id, Anchor's convention."""
    return readonly(BUBBLEGUM) if key is None else readonly(key, signer)


def optional_writable(key: Pubkey | None) -> AccountMeta:
    """An optional account that the instruction may change; absent is the program's own id, read-only."""
    return readonly(BUBBLEGUM) if key is None else writable(key)
