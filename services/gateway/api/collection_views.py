"""The bodies about one collection: as it stands with its trees, how it compares with the chain, what it would cost."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from contracts.collection import CollectionImportRequested
from contracts.observation import DriftKind
from contracts.wallet import LAMPORTS_PER_SOL
from services.gateway import ports
from services.gateway.api.responses import Answer, CollectionView
from services.gateway.estimates import Estimate
from services.gateway.ports import Stage


class TreeView(Answer):
    """The size of one merkle tree, with what was left out filled in."""

    max_depth: int
    max_buffer_size: int
    canopy_depth: int


class CollectionTreeView(Answer):
    """One merkle tree of a collection."""

    number: int
    """0 is the first one, which `treeAddress` names."""
    address: str
    max_depth: int
    max_buffer_size: int | None = None
    """Left out, like `canopyDepth`, where that is not known."""
    canopy_depth: int | None = None
    capacity: int
    minted: int | None = None
    """As the chain was last counted; left out until it was."""
    left: int | None = None
    """NFTs that it still has room for."""
    state: Literal["open", "full", "invalid", "uncounted"]
    """`invalid`: its accounts on chain are gone, cannot be read or do not agree."""

    @classmethod
    def of(cls, tree: ports.CollectionTree) -> "CollectionTreeView":
        """Return the view of `tree`."""
        values = msgspec.structs.asdict(tree)
        valid = values.pop("valid")
        left = None if tree.minted is None else tree.capacity - tree.minted
        state = "uncounted" if valid is None else "invalid" if not valid else "open" if left else "full"
        return cls(**values, left=left, state=state)


class CollectionDetailView(CollectionView):
    """A collection at whatever stage of its making, with the reason when that failed."""

    standard: Literal["v1", "v2"] | None = None
    """Left out while an import was not read yet."""
    stage: Stage
    error_code: str | None = None
    error: str | None = None
    trees: list[CollectionTreeView] | None = None
    """All of them; left out where the log alone was asked, as after a change or while the database is away."""

    @classmethod
    def of(cls, collection: ports.Collection) -> "CollectionDetailView":
        """Return the view of `collection`."""
        return cls(
            **CollectionView.of(collection).model_dump(),
            standard=collection.standard,
            stage=collection.stage,
            error_code=collection.error_code,
            error=collection.error_message,
            trees=None if collection.trees is None else [CollectionTreeView.of(tree) for tree in collection.trees],
        )


class DifferenceView(Answer):
    """One explained difference; `examples` are asset ids, or what `explanation` says they are."""

    kind: DriftKind
    count: int
    alarm: bool
    """Whether this must never be."""
    explanation: str
    examples: list[str]


class ComparisonView(Answer):
    """The counts of a collection at one slot of the finalized chain, and every difference between them."""

    time: datetime
    slot: int
    log: int
    """NFTs that the log says were confirmed."""
    projection: int
    """Items that the tables show as minted."""
    chain: int
    """NFTs that the trees' own accounts tell."""
    observed: int
    """NFTs whose mint was read from the chain's transactions."""
    living: int
    """Of these, those that are in their tree."""
    das: int | None = None
    """Living NFTs that DAS shows; left out when it was not asked or did not answer."""
    differences: list[DifferenceView]

    @classmethod
    def of(cls, drift: ports.Drift) -> "ComparisonView":
        """Return the view of `drift`."""
        return cls.model_validate(drift, from_attributes=True)


class DriftView(Answer):
    """What comparisons of a collection with the chain came to, the newest first.

    One is told when it came out differently from the one before: the first says what holds now.
    """

    comparisons: list[ComparisonView]

    @classmethod
    def of(cls, drifts: Sequence[ports.Drift]) -> "DriftView":
        """Return the view of the comparisons."""
        return cls(comparisons=[ComparisonView.of(drift) for drift in drifts])


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
