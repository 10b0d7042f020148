"""Keccak-256 and the hashes that a leaf is made of.

Used by the leaf schemas, the merkle trees and whoever has to prove what a leaf says. Layouts are those of the official
client's `hash.ts`, to which the contract tests hold them. Keccak is not SHA3-256: `hashlib` has only the latter.
"""

from collections.abc import Iterable
from typing import Final

from Crypto.Hash import keccak as _keccak
from solders.pubkey import Pubkey

from bubblegum.borsh import Writer
from bubblegum.types import Creator, MetadataArgs, MetadataArgsV2

HASH_BYTES: Final = 32
EMPTY_NODE: Final = bytes(HASH_BYTES)
"""What a leaf position holds before the mint and after the burn."""


def keccak(*parts: bytes) -> bytes:
    """Keccak-256 of the parts one after another; 32 bytes."""
    return _keccak.new(data=b"".join(parts), digest_bits=256).digest()


def data_hash(metadata: MetadataArgs | MetadataArgsV2) -> bytes:
    """Hash of the metadata's hash and the royalty, so that a marketplace can prove the royalty alone."""
    return keccak(keccak(metadata.to_bytes()), metadata.seller_fee_basis_points.to_bytes(2, "little"))


def creator_hash(creators: Iterable[Creator]) -> bytes:
    """Hash of the creators without a count; of nothing when there are none."""
    out = Writer()
    for creator in creators:
        creator.write(out)
    return keccak(out.done())


def collection_hash(collection: Pubkey | None) -> bytes:
    """V2: hash of the core collection's address, of the default (zero) address when there is none."""
    return keccak(bytes(Pubkey.default() if collection is None else collection))


def asset_data_hash(asset_data: bytes | None) -> bytes:
    """V2: hash of the asset data, of nothing when there is none."""
    return keccak(asset_data or b"")


def leaf_hash_v1(asset_id: Pubkey, owner: Pubkey, delegate: Pubkey, nonce: int, data: bytes, creators: bytes) -> bytes:
    """The V1 leaf as the tree stores it; `data` and `creators` are the 32-byte hashes."""
    return keccak(b"\x01", bytes(asset_id), bytes(owner), bytes(delegate), nonce.to_bytes(8, "little"), data, creators)


def leaf_hash_v2(
    asset_id: Pubkey,
    owner: Pubkey,
    delegate: Pubkey,
    nonce: int,
    data: bytes,
    creators: bytes,
    collection: bytes,
    asset_data: bytes,
    flags: int,
) -> bytes:
    """The V2 leaf as the tree stores it; `data`, `creators`, `collection` and `asset_data` are the 32-byte hashes."""
    return keccak(
        b"\x02",
        bytes(asset_id),
        bytes(owner),
        bytes(delegate),
        nonce.to_bytes(8, "little"),
        data,
        creators,
        collection,
        asset_data,
        bytes([flags]),
    )
