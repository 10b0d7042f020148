"""What a tree costs, before there is one: rents, fees, and the share of each NFT. Pure, without a network.

Used by the command line. Rents follow Solana's formula, fees its base fee and the protocol's own for V2 mints; how many
mints share a transaction's fee is measured by packing a chunk of NFTs as they usually are.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from solders.pubkey import Pubkey

from bubblegum.lookup_tables import table_account_size
from bubblegum.merkle import VALID_DEPTH_BUFFER_PAIRS, tree_account_size
from bubblegum.merkle.config import TREE_CONFIG_BYTES
from bubblegum.reach import least_canopy
from contracts.collection import CollectionCreated, Standard, TreeShape
from contracts.mint import Pinned, PinnedItem
from services.minter.packing import Rooms, TreeRoom, pack
from services.minter.plan import LookupTable, reference, table_addresses

ACCOUNT_OVERHEAD_BYTES: Final = 128
LAMPORTS_PER_BYTE_YEAR: Final = 3_480
EXEMPTION_YEARS: Final = 2
"""Rent exemption: (128 + bytes) * 3,480 lamports a byte-year * 2 years (`Rent::default` of Solana's `solana-rent`)."""
SIGNATURE_FEE: Final = 5_000
"""Lamports a signature (Solana's base fee)."""
MINT_V2_FEE: Final = 90_000
"""Lamports of the protocol for each V2 mint (Bubblegum's published fee table)."""
URI_BYTES: Final = 66
"""Of `ipfs://` and a CID of version 1 in base32, as the ipfs service pins."""
LAMPORTS_PER_SOL: Final = 1_000_000_000
MAX_CANOPY_DEPTH: Final = 17
"""What `contracts.collection.TreeShape` admits."""
_SAMPLE: Final = 200
"""NFTs that are packed to see how many share a transaction."""


class NoSuchTree(ValueError):
    """No tree of the on-chain program has this capacity or shape; the sentence says what there is."""


@dataclass(frozen=True, slots=True)
class TreeCost:
    """A tree and what it costs, in lamports where nothing else is said."""

    standard: str
    capacity: int
    """NFTs that it is for."""
    leaves: int
    """NFTs that it holds."""
    max_depth: int
    max_buffer_size: int
    canopy_depth: int
    proof_nodes: int
    """Nodes that a transfer or a burn has to bring."""
    account_bytes: int
    tree_rent: int
    config_rent: int
    table_rent: int
    rent: int
    """All three."""
    rent_sol: float
    mints_per_transaction: float
    fee_per_nft: float
    """Base fee, shared by the mints of a transaction, and the protocol's fee."""
    rent_per_nft: float
    """Shared by `capacity` NFTs."""
    per_nft: float


def rent_exemption(size: int) -> int:
    """Return the lamports that exempt an account of `size` bytes from rent."""
    return (ACCOUNT_OVERHEAD_BYTES + size) * LAMPORTS_PER_BYTE_YEAR * EXEMPTION_YEARS


def shape_for(capacity: int, standard: Standard, canopy_depth: int | None = None) -> TreeShape:
    """Return the smallest tree that holds `capacity` leaves: the least buffer, and the canopy that the API gives it.

    Raises NoSuchTree when there is none, or when its leaves could never be moved with `canopy_depth`.
    """
    fitting = [pair for pair in sorted(VALID_DEPTH_BUFFER_PAIRS) if 1 << pair[0] >= capacity]
    if capacity < 1 or not fitting:
        raise NoSuchTree(f"a tree holds 1 to {1 << max(depth for depth, _ in VALID_DEPTH_BUFFER_PAIRS)} NFTs")
    depth, buffer = fitting[0]
    least = least_canopy(depth, 2 if standard is Standard.V2 else 1)
    canopy = max(least, min(TreeShape().canopy_depth, depth)) if canopy_depth is None else canopy_depth
    if not least <= canopy <= min(depth, MAX_CANOPY_DEPTH):
        raise NoSuchTree(
            f"a tree of depth {depth} has a canopy of {least} to {min(depth, MAX_CANOPY_DEPTH)} levels: with less, its "
            "NFTs could never be transferred or burned"
        )
    return TreeShape(max_depth=depth, max_buffer_size=buffer, canopy_depth=canopy)


def mints_per_transaction(standard: Standard, *, lookup_table: bool = True, uri_bytes: int = URI_BYTES) -> float:
    """Return how many mints a transaction holds on average, by packing NFTs with URIs of `uri_bytes` bytes."""
    wallet, asset, tree, owner = (reference(name) for name in ("wallet", "asset", "tree", "owner"))
    none = UUID(int=0)
    collection = CollectionCreated(
        collection=none,
        name="",
        symbol="",
        standard=standard,
        uri="",
        collection_address=str(asset),
        tree_address=str(tree),
        creator_address=str(wallet),
        tree=TreeShape(),
        signatures=(),
        slot=0,
        fee=0,
    )
    items = tuple(
        PinnedItem(index=index, name=f"Some NFT #{index}", symbol="NFT", uri="u" * uri_bytes, image_uri="")
        for index in range(_SAMPLE)
    )
    chunk = Pinned(operation=none, chunk=0, collection=none, recipient=str(owner), items=items)
    table = _table(standard, asset, tree, wallet) if lookup_table else None
    room = TreeRoom(0, str(tree), table, capacity=TreeShape().capacity, minted=0, minted_at_first=0)
    return _SAMPLE / len(pack(collection, chunk, Rooms([room]), wallet))


def tree_cost(capacity: int, shape: TreeShape, standard: Standard, *, uri_bytes: int = URI_BYTES) -> TreeCost:
    """Return what a tree of `shape` for `capacity` NFTs costs."""
    size = tree_account_size(shape.max_depth, shape.max_buffer_size, shape.canopy_depth)
    names = (reference(name) for name in ("asset", "tree", "wallet"))
    tree_rent, config_rent = rent_exemption(size), rent_exemption(TREE_CONFIG_BYTES)
    table_rent = rent_exemption(table_account_size(len(table_addresses(standard, *names))))
    mints = mints_per_transaction(standard, uri_bytes=uri_bytes)
    rent = tree_rent + config_rent + table_rent
    fee = SIGNATURE_FEE / mints + (MINT_V2_FEE if standard is Standard.V2 else 0)
    return TreeCost(
        standard=standard.value,
        capacity=capacity,
        leaves=shape.capacity,
        max_depth=shape.max_depth,
        max_buffer_size=shape.max_buffer_size,
        canopy_depth=shape.canopy_depth,
        proof_nodes=shape.max_depth - shape.canopy_depth,
        account_bytes=size,
        tree_rent=tree_rent,
        config_rent=config_rent,
        table_rent=table_rent,
        rent=rent,
        rent_sol=rent / LAMPORTS_PER_SOL,
        mints_per_transaction=mints,
        fee_per_nft=fee,
        rent_per_nft=rent / capacity,
        per_nft=rent / capacity + fee,
    )


def _table(standard: Standard, asset: Pubkey, tree: Pubkey, wallet: Pubkey) -> LookupTable:
    return LookupTable(reference("table"), table_addresses(standard, asset, tree, wallet))
