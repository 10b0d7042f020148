"""The bodies that tell what a collection would cost, and that one is being imported."""

from typing import Literal

from contracts.collection import CollectionImportRequested
from contracts.wallet import LAMPORTS_PER_SOL
from services.gateway.api.responses import Answer
from services.gateway.estimates import Estimate


class TreeView(Answer):
    """The size of one merkle tree, with what was left out filled in."""

    max_depth: int
    max_buffer_size: int
    canopy_depth: int


class LamportsView(Answer):
    """What the making costs, in lamports. Rents are kept in the accounts; fees are gone. `total` is the sum."""

    collection_rent: int
    tree_rent: int
    tree_config_rent: int
    lookup_table_rent: int
    network_fee: int
    """Without priority fees, which follow the market."""
    protocol_fee: int
    total: int


class PerNftView(Answer):
    """What each NFT costs, in lamports, beside its share of its transaction's fee."""

    creation: float
    """Its share of `total` when every leaf is used."""
    protocol_fee: int


class EstimateView(Answer):
    """What a collection with its trees costs to make, computed without asking the chain."""

    standard: Literal["v1", "v2"]
    tree: TreeView
    trees: int
    capacity: int
    """NFTs that all trees hold."""
    proof_nodes: int
    """Nodes of a proof that a transfer or a burn has to bring."""
    transactions: int
    lamports: LamportsView
    total_sol: float
    per_nft: PerNftView

    @classmethod
    def of(cls, estimate: Estimate) -> "EstimateView":
        """Return the view of an estimate."""
        shape, rents, trees = estimate.shape, estimate.rents, estimate.trees
        return cls(
            standard="v2" if estimate.version == 2 else "v1",
            tree=TreeView(
                max_depth=shape.max_depth, max_buffer_size=shape.max_buffer_size, canopy_depth=shape.canopy_depth
            ),
            trees=trees,
            capacity=estimate.capacity,
            proof_nodes=shape.max_depth - shape.canopy_depth,
            transactions=estimate.transactions,
            lamports=LamportsView(
                collection_rent=estimate.collection_rent,
                tree_rent=trees * rents.tree,
                tree_config_rent=trees * rents.config,
                lookup_table_rent=trees * rents.table,
                network_fee=estimate.network_fee,
                protocol_fee=estimate.protocol_fee,
                total=estimate.total,
            ),
            total_sol=estimate.total / LAMPORTS_PER_SOL,
            per_nft=PerNftView(creation=estimate.total / estimate.capacity, protocol_fee=estimate.mint_fee),
        )


class ImportRequestedView(Answer):
    """A collection that is being taken over; `GET /api/collections/{id}` tells when it is, or why it is not."""

    id: str
    collection_address: str
    status: Literal["queued"] = "queued"

    @classmethod
    def of(cls, requested: CollectionImportRequested) -> "ImportRequestedView":
        """Return the view of a request on the log."""
        return cls(id=str(requested.collection), collection_address=requested.collection_address)
