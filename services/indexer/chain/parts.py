"""What a comparison needs of nodes, DAS providers and the tables: `reconciling`'s own ports. No I/O here.

Implemented by `adapters.solana_rpc`, `adapters.das`, `following` and `asset_store`; in-memory twins serve the tests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from services.indexer.chain.assets import ObservedTree
from services.indexer.chain.differences import Told
from services.indexer.chain.proofs import AssetProof
from services.indexer.chain.reading import Followed
from services.indexer.ports import Accounts, CreatedCollections


class FinalizedAccounts(Protocol):
    """Accounts as they were finalized."""

    async def accounts(self, addresses: Sequence[str], commitment: str, *, min_slot: int = 0) -> Accounts:
        """Return the accounts at a commitment, all as of one slot, `min_slot` or later; raises ChainUnavailable."""
        ...


class Follower(Protocol):
    """Observes trees."""

    async def catch_up(self, collection: UUID, tree: str, up_to: int) -> Followed:
        """Say what is new of a tree, which had `up_to` changes before; raises ChainUnavailable and LogUnavailable."""
        ...


class ShownByOne(Protocol):
    """What one provider shows."""

    @property
    def ids(self) -> frozenset[str]:
        """Living assets in the trees that were asked for."""
        ...

    @property
    def slot(self) -> int | None:
        """How far the provider says that it has read."""
        ...


class Providers(Protocol):
    """DAS. Every method may raise ChainUnavailable."""

    async def shown(self, collection_address: str, trees: frozenset[str], most: int) -> Sequence[ShownByOne]:
        """Return what each provider shows of a collection in these trees, which hold at most `most` assets."""
        ...

    async def proof(self, asset_id: str) -> AssetProof:
        """Return a proof that is still to be checked."""
        ...


class Comparisons(Protocol):
    """What the tables say. Every method may raise StoreUnavailable."""

    async def observed_tree(self, tree: str) -> ObservedTree | None:
        """Return how far a tree was observed."""
        ...

    async def leaf_hashes(self, tree: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Return the leaves of a tree beyond an index, in their order."""
        ...

    async def living_assets(
        self, collection: UUID, collection_address: str, after: str, limit: int
    ) -> list[tuple[str, str, bytes]]:
        """Return id, tree and leaf of the assets in their trees and in the collection, beyond an id."""
        ...

    async def told(self, collection: UUID, slot: int, unseen_after: Mapping[str, int]) -> Told:
        """Return the counts; items that were confirmed after `slot` are not looked for on chain.

        Neither are those of a tree in `unseen_after` that were confirmed after the slot there.
        """
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """What a reconciler works with."""

    accounts: FinalizedAccounts
    follower: Follower
    providers: Providers
    comparisons: Comparisons
    collections: CreatedCollections
    witnesses: Sequence[FinalizedAccounts] = ()
    """Nodes, each of which is asked for the trees' roots as well."""
