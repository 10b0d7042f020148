"""Collections found in a transaction: the NFTs and MPL-Core accounts that compressed assets are minted into.

Used by the index, so that a collection answers `getAsset` as well. Read from the creating instructions' own data, with
the layouts that `bubblegum.collections` writes and the official client too; whatever cannot be read is no collection.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from solders.pubkey import Pubkey

from bubblegum.borsh import Reader
from bubblegum.errors import DecodeError
from bubblegum.programs import MPL_CORE, TOKEN_METADATA
from bubblegum.transaction import ExecutedInstruction, ExecutedTransaction
from bubblegum.types import Collection, Creator, Uses

_CREATE_METADATA_ACCOUNT_V3: Final = 33
_CREATE_COLLECTION_V1: Final = 1
_CREATE_COLLECTION_V2: Final = 21


@dataclass(frozen=True, slots=True)
class CollectionFounded:
    """A new collection; `authority` may change it, `core` tells MPL-Core from token metadata."""

    address: Pubkey
    authority: Pubkey
    name: str
    symbol: str
    uri: str
    seller_fee_basis_points: int
    creators: tuple[Creator, ...]
    core: bool


def collections_founded(tx: ExecutedTransaction) -> Iterator[CollectionFounded]:
    """The collections that a transaction created, in order of execution; none when it failed."""
    if tx.err is not None:
        return
    for instruction in tx.walk():
        try:
            founded = _read(instruction)
        except (DecodeError, ValueError):
            # Another layout of a program that this index does not serve: its accounts are not our collections.
            continue
        if founded is not None:
            yield founded


def _read(instruction: ExecutedInstruction) -> CollectionFounded | None:
    opening = instruction.data[0] if instruction.data else None
    if instruction.program_id == TOKEN_METADATA and opening == _CREATE_METADATA_ACCOUNT_V3:
        return _read_token_metadata(instruction)
    if instruction.program_id == MPL_CORE and opening in (_CREATE_COLLECTION_V1, _CREATE_COLLECTION_V2):
        return _read_core(instruction)
    return None


def _read_token_metadata(instruction: ExecutedInstruction) -> CollectionFounded | None:
    source = Reader(instruction.data, 1)
    name, symbol, uri, basis_points = source.string(), source.string(), source.string(), source.u16()
    creators = source.option(lambda: source.vector(lambda: Creator.read(source)))
    source.option(lambda: Collection.read(source))
    source.option(lambda: Uses.read(source))
    source.boolean()
    if not source.boolean():
        return None  # without collection details it is an NFT, not a collection
    _metadata, mint, _mint_authority, _payer, authority = instruction.accounts[:5]
    return CollectionFounded(mint, authority, name, symbol, uri, basis_points, creators or (), core=False)


def _read_core(instruction: ExecutedInstruction) -> CollectionFounded:
    source = Reader(instruction.data, 1)
    name, uri = source.string(), source.string()
    address, authority, payer = instruction.accounts[:3]
    return CollectionFounded(address, payer if authority == MPL_CORE else authority, name, "", uri, 0, (), core=True)
