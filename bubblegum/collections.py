"""Instructions that create the collection an asset is minted into: token metadata's for V1, MPL-Core's for V2.

Used by the command line and the tests. Layouts are those of the official JavaScript clients, to which the contract
tests hold every byte. Collections are created only; verifying an asset into one is the mint instruction's work.
"""

from collections.abc import Sequence
from typing import Final

from solders.instruction import Instruction
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account

from bubblegum import pda
from bubblegum.borsh import Writer
from bubblegum.instructions.discriminators import readonly, writable
from bubblegum.programs import ASSOCIATED_TOKEN, MPL_CORE, SYSTEM, TOKEN, TOKEN_METADATA
from bubblegum.types import Creator

MINT_ACCOUNT_BYTES: Final = 82

_INITIALIZE_MINT_2: Final = 20
_MINT_TO: Final = 7
_CREATE_METADATA_ACCOUNT_V3: Final = 33
_CREATE_MASTER_EDITION_V3: Final = 17
_CREATE_COLLECTION_V2: Final = 21
_PLUGIN_BUBBLEGUM_V2: Final = 15


def create_token_metadata_collection(
    *,
    payer: Pubkey,
    mint: Pubkey,
    authority: Pubkey,
    mint_lamports: int,
    name: str,
    symbol: str,
    uri: str,
    seller_fee_basis_points: int,
    creators: Sequence[Creator] = (),
) -> list[Instruction]:
    """The instructions of one transaction that makes `mint` a sized collection NFT of `authority`.

    `payer`, `mint` and `authority` sign. `mint_lamports` is the rent exemption of MINT_ACCOUNT_BYTES. The collection is
    sized, starting at 0, because the program refuses to mint into one that is not (error 6026); the token goes to
    `authority`, and the master edition, which makes the token one of a kind, is checked by every mint.
    """
    return [
        create_account(
            CreateAccountParams(
                from_pubkey=payer,
                to_pubkey=mint,
                lamports=mint_lamports,
                space=MINT_ACCOUNT_BYTES,
                owner=TOKEN,
            )
        ),
        initialize_mint(mint=mint, authority=authority),
        create_associated_token(payer=payer, owner=authority, mint=mint),
        mint_token(mint=mint, owner=authority, authority=authority, amount=1),
        create_metadata_account_v3(
            payer=payer,
            mint=mint,
            authority=authority,
            name=name,
            symbol=symbol,
            uri=uri,
            seller_fee_basis_points=seller_fee_basis_points,
            creators=creators,
        ),
        create_master_edition_v3(payer=payer, mint=mint, authority=authority),
    ]


def initialize_mint(*, mint: Pubkey, authority: Pubkey) -> Instruction:
    """Make the account a mint without decimals that `authority` may mint from and freeze."""
    out = Writer().u8(_INITIALIZE_MINT_2).u8(0).pubkey(authority).boolean(True).pubkey(authority)
    return Instruction(TOKEN, out.done(), [writable(mint)])


def create_associated_token(*, payer: Pubkey, owner: Pubkey, mint: Pubkey) -> Instruction:
    """Create the owner's token account of this mint."""
    return Instruction(
        ASSOCIATED_TOKEN,
        b"",
        [
            writable(payer, signer=True),
            writable(pda.associated_token(owner, mint)),
            readonly(owner),
            readonly(mint),
            readonly(SYSTEM),
            readonly(TOKEN),
        ],
    )


def mint_token(*, mint: Pubkey, owner: Pubkey, authority: Pubkey, amount: int) -> Instruction:
    """Mint `amount` tokens into the owner's associated account."""
    return Instruction(
        TOKEN,
        Writer().u8(_MINT_TO).u64(amount).done(),
        [writable(mint), writable(pda.associated_token(owner, mint)), readonly(authority, signer=True)],
    )


def create_metadata_account_v3(
    *,
    payer: Pubkey,
    mint: Pubkey,
    authority: Pubkey,
    name: str,
    symbol: str,
    uri: str,
    seller_fee_basis_points: int,
    creators: Sequence[Creator] = (),
) -> Instruction:
    """Give the mint its metadata: mutable, and a sized collection of size 0."""
    out = Writer().u8(_CREATE_METADATA_ACCOUNT_V3)
    out.string(name).string(symbol).string(uri).u16(seller_fee_basis_points)
    out.option(list(creators) or None, lambda items: out.vector(items, lambda creator: creator.write(out)))
    out.boolean(False).boolean(False)  # no collection of its own, no uses
    out.boolean(True)  # mutable
    out.boolean(True).u8(0).u64(0)  # collection details V1, size 0
    return Instruction(
        TOKEN_METADATA,
        out.done(),
        [
            writable(pda.metadata(mint)),
            readonly(mint),
            readonly(authority, signer=True),
            writable(payer, signer=True),
            readonly(authority, signer=True),
            readonly(SYSTEM),
        ],
    )


def create_master_edition_v3(*, payer: Pubkey, mint: Pubkey, authority: Pubkey) -> Instruction:
    """Make the mint's one token a master edition that allows no prints; mint authority passes to the edition."""
    return Instruction(
        TOKEN_METADATA,
        Writer().u8(_CREATE_MASTER_EDITION_V3).boolean(True).u64(0).done(),
        [
            writable(pda.master_edition(mint)),
            writable(mint),
            readonly(authority, signer=True),
            readonly(authority, signer=True),
            writable(payer, signer=True),
            writable(pda.metadata(mint)),
            readonly(TOKEN),
            readonly(SYSTEM),
        ],
    )


def create_core_collection(
    *,
    payer: Pubkey,
    collection: Pubkey,
    name: str,
    uri: str,
    update_authority: Pubkey | None = None,
) -> Instruction:
    """Create an MPL-Core collection that V2 leaves can be minted into; `payer` and `collection` sign.

    It carries the BubblegumV2 plugin, without which the program refuses it (error 6049). The update authority is the
    payer unless one is given.
    """
    out = Writer().u8(_CREATE_COLLECTION_V2).string(name).string(uri)
    out.boolean(True).u32(1).u8(_PLUGIN_BUBBLEGUM_V2).boolean(False)  # one plugin, its authority the default
    out.boolean(True).u32(0)  # no external plugin adapters
    return Instruction(
        MPL_CORE,
        out.done(),
        [
            writable(collection, signer=True),
            readonly(update_authority or MPL_CORE),
            writable(payer, signer=True),
            readonly(SYSTEM),
        ],
    )
