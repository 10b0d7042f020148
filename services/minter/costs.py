"""What a tree costs, before there is one: rents, fees, and the share of each NFT. Pure, without a network.

Used by the command line. Rents and fees are those of `bubblegum.rents`; how many mints share a transaction's fee is
measured by packing a chunk of NFTs as they usually are.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from solders.pubkey import Pubkey

from bubblegum.merkle import VALID_DEPTH_BUFFER_PAIRS, tree_account_size
from bubblegum.reach import least_canopy
from bubblegum.reference import reference
from bubblegum.rents import MINT_FEES, SIGNATURE_FEE, Version, tree_rents
from contracts.collection import CollectionCreated, Standard, TreeShape
from contracts.mint import Pinned, PinnedItem
from services.minter.packing import Rooms, TreeRoom, pack
from services.minter.plan import LookupTable, table_addresses

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
    version: Version = 2 if standard is Standard.V2 else 1
    rents = tree_rents(version, shape.max_depth, shape.max_buffer_size, shape.canopy_depth)
    mints = mints_per_transaction(standard, uri_bytes=uri_bytes)
    fee = SIGNATURE_FEE / mints + MINT_FEES[version]
    return TreeCost(
        standard=standard.value,
        capacity=capacity,
        leaves=shape.capacity,
        max_depth=shape.max_depth,
        max_buffer_size=shape.max_buffer_size,
        canopy_depth=shape.canopy_depth,
        proof_nodes=shape.max_depth - shape.canopy_depth,
        account_bytes=size,
        tree_rent=rents.tree,
        config_rent=rents.config,
        table_rent=rents.table,
        rent=rents.total,
        rent_sol=rents.total / LAMPORTS_PER_SOL,
        mints_per_transaction=mints,
        fee_per_nft=fee,
        rent_per_nft=rents.total / capacity,
        per_nft=rents.total / capacity + fee,
    )


def _table(standard: Standard, asset: Pubkey, tree: Pubkey, wallet: Pubkey) -> LookupTable:
    return LookupTable(reference("table"), table_addresses(standard, asset, tree, wallet))
