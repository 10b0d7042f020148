"""Bubblegum's own account of a tree.

Used by the minter and the indexer (capacity, count, who may mint). Layout: the program's public interface, account
`TreeConfig`. Accounts made before version 2 existed hold a zero where the version now is: they read as version 1.
"""

from dataclasses import dataclass
from typing import Final

from solders.pubkey import Pubkey

from bubblegum.borsh import Reader, Writer
from bubblegum.errors import DecodeError

TREE_CONFIG_DISCRIMINATOR: Final = bytes([122, 245, 175, 248, 171, 34, 0, 207])
TREE_CONFIG_BYTES: Final = 96
"""Bytes of the account, trailing padding included."""


@dataclass(frozen=True, slots=True)
class TreeConfig:
    """Who made the tree, who may mint into it, how many leaves it holds and may hold; `version` is 1 or 2."""

    tree_creator: Pubkey
    tree_delegate: Pubkey
    total_mint_capacity: int
    num_minted: int
    is_public: bool
    is_decompressible: bool
    version: int

    @classmethod
    def parse(cls, data: bytes) -> "TreeConfig":
        """Read the account's data; DecodeError when it is not a tree config."""
        source = Reader(data)
        if source.raw(8) != TREE_CONFIG_DISCRIMINATOR:
            raise DecodeError("not a tree config: wrong discriminator")
        creator, delegate = source.pubkey(), source.pubkey()
        capacity, minted, public = source.u64(), source.u64(), source.boolean()
        decompressible, version = source.u8(), source.u8()
        if decompressible > 1 or version > 1:
            raise DecodeError(f"not a tree config: decompressible state {decompressible}, version {version}")
        return cls(creator, delegate, capacity, minted, public, decompressible == 0, version + 1)

    def to_bytes(self) -> bytes:
        """The account's data, padded to its size."""
        out = Writer().raw(TREE_CONFIG_DISCRIMINATOR).pubkey(self.tree_creator).pubkey(self.tree_delegate)
        out.u64(self.total_mint_capacity).u64(self.num_minted).boolean(self.is_public)
        out.u8(0 if self.is_decompressible else 1).u8(self.version - 1)
        return out.done().ljust(TREE_CONFIG_BYTES, b"\0")
