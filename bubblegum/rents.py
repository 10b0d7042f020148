"""What the accounts of a collection and its trees cost, by their sizes. Pure, without a network.

Used by the gateway, which tells the cost before anything is made, and by the minter's own estimates. Rents follow
Solana's formula, sizes the programs' public account definitions, fees the published fee tables.
"""

from dataclasses import dataclass
from typing import Final, Literal

from bubblegum.collections import MINT_ACCOUNT_BYTES
from bubblegum.lookup_tables import table_account_size
from bubblegum.merkle import tree_account_size
from bubblegum.merkle.config import TREE_CONFIG_BYTES

Version = Literal[1, 2]

ACCOUNT_OVERHEAD_BYTES: Final = 128
LAMPORTS_PER_BYTE_YEAR: Final = 3_480
EXEMPTION_YEARS: Final = 2
"""Rent exemption: (128 + bytes) * 3,480 lamports a byte-year * 2 years (`Rent::default` of Solana's `solana-rent`)."""
SIGNATURE_FEE: Final = 5_000
"""Lamports a signature (Solana's base fee)."""
MINT_FEES: Final[dict[Version, int]] = {1: 0, 2: 90_000}
"""Lamports of the protocol for each mint (Bubblegum's published fee table)."""
COLLECTION_FEES: Final[dict[Version, int]] = {1: 10_000_000, 2: 0}
"""Lamports of the protocol for a collection: token metadata asks 0.01 SOL for new metadata (its published fee)."""
TABLE_ADDRESSES: Final[dict[Version, int]] = {1: 10, 2: 8}
"""Addresses that the lookup table of a tree holds: what every mint into it names, but the wallet and Bubblegum."""

_TOKEN_ACCOUNT_BYTES: Final = 165
_METADATA_BYTES: Final = 607
_MASTER_EDITION_BYTES: Final = 20
_CORE_COLLECTION_BYTES: Final = 1 + 32 + 4 + 4 + 4 + 4
"""Key, authority, lengths of name and URI, two counts."""
_CORE_PLUGIN_BYTES: Final = 9 + 1 + 1 + 4 + (1 + 1 + 8) + 4
"""Header, the plugin BubblegumV2, and the registry with its one record."""


def rent_exemption(size: int) -> int:
    """Return the lamports that exempt an account of `size` bytes from rent."""
    return (ACCOUNT_OVERHEAD_BYTES + size) * LAMPORTS_PER_BYTE_YEAR * EXEMPTION_YEARS


@dataclass(frozen=True, slots=True)
class TreeRents:
    """Lamports of rent of one tree's accounts: the tree, Bubblegum's config of it, its lookup table."""

    tree: int
    config: int
    table: int

    @property
    def total(self) -> int:
        """All three."""
        return self.tree + self.config + self.table


def tree_rents(version: Version, max_depth: int, max_buffer_size: int, canopy_depth: int) -> TreeRents:
    """Return the rents of one tree of this shape."""
    return TreeRents(
        tree=rent_exemption(tree_account_size(max_depth, max_buffer_size, canopy_depth)),
        config=rent_exemption(TREE_CONFIG_BYTES),
        table=rent_exemption(table_account_size(TABLE_ADDRESSES[version])),
    )


def collection_rent(version: Version, name: str, uri_bytes: int) -> int:
    """Return the rent of the collection's own accounts; those of V2 grow with its name and URI."""
    if version == 2:
        return rent_exemption(_CORE_COLLECTION_BYTES + len(name.encode()) + uri_bytes + _CORE_PLUGIN_BYTES)
    sizes = (MINT_ACCOUNT_BYTES, _TOKEN_ACCOUNT_BYTES, _METADATA_BYTES, _MASTER_EDITION_BYTES)
    return sum(rent_exemption(size) for size in sizes)
