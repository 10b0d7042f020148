"""What the index knows of every asset, with the ways to find one.

Used by the index (writing) and the queries (reading). Records are immutable: a change is a new record in the old one's
place, which is what makes undoing it simple.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from solders.pubkey import Pubkey

from bubblegum.leaf import LeafSchema
from bubblegum.types import Creator, MetadataArgs, MetadataArgsV2


@dataclass(frozen=True, slots=True)
class CompressedAsset:
    """A leaf. `created` and `updated` number the changes of the whole chain; `seq` is the tree's, at the last change.

    `collection` is the verified one. `metadata` is the mint's; `burnt` leaves keep their last owner.
    """

    leaf: LeafSchema
    leaf_index: int
    tree: Pubkey
    seq: int
    metadata: MetadataArgs | MetadataArgsV2
    collection: Pubkey | None
    burnt: bool
    created: int
    updated: int

    @property
    def id(self) -> Pubkey:
        """The asset id."""
        return self.leaf.id

    @property
    def owner(self) -> Pubkey:
        """Who owns it."""
        return self.leaf.owner

    @property
    def name(self) -> str:
        """The name on chain."""
        return self.metadata.name

    @property
    def uri(self) -> str:
        """Where the off-chain metadata is."""
        return self.metadata.uri

    @property
    def creators(self) -> tuple[Creator, ...]:
        """The creators on chain."""
        return self.metadata.creators

    @property
    def unverified_collection(self) -> Pubkey | None:
        """The collection that the metadata claims without proof."""
        claimed = self.metadata.collection
        if self.collection is not None or claimed is None or isinstance(claimed, Pubkey):
            return None
        return claimed.key


@dataclass(frozen=True, slots=True)
class CollectionAsset:
    """A collection itself: a token-metadata NFT, or an MPL-Core collection with `core` set."""

    id: Pubkey
    owner: Pubkey
    name: str
    symbol: str
    uri: str
    seller_fee_basis_points: int
    creators: tuple[Creator, ...]
    core: bool
    created: int
    updated: int
    burnt: bool = False
    collection: Pubkey | None = None
    unverified_collection: Pubkey | None = None


Asset: TypeAlias = CompressedAsset | CollectionAsset


class AssetTable:
    """All assets by id, by owner and by collection."""

    def __init__(self) -> None:
        self._by_id: dict[Pubkey, Asset] = {}
        # Dictionaries as sets that keep their order, so that equal histories give equal answers.
        self._by_owner: dict[Pubkey, dict[Pubkey, None]] = {}
        self._by_collection: dict[Pubkey, dict[Pubkey, None]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, asset_id: Pubkey) -> Asset | None:
        """The asset with this id."""
        return self._by_id.get(asset_id)

    def all(self) -> Iterator[Asset]:
        """Every asset, burnt ones included."""
        return iter(self._by_id.values())

    def of_owner(self, owner: Pubkey) -> Iterator[Asset]:
        """What an address owns or owned when it was burnt."""
        return self._resolve(self._by_owner.get(owner, ()))

    def of_collection(self, collection: Pubkey) -> Iterator[Asset]:
        """What is or claims to be in a collection."""
        return self._resolve(self._by_collection.get(collection, ()))

    def _resolve(self, ids: Iterable[Pubkey]) -> Iterator[Asset]:
        return (self._by_id[each] for each in ids)

    def put(self, asset: Asset) -> Asset | None:
        """Store this record in place of the one with its id, which is returned."""
        before = self.remove(asset.id)
        self._by_id[asset.id] = asset
        self._by_owner.setdefault(asset.owner, {})[asset.id] = None
        for collection in _collections(asset):
            self._by_collection.setdefault(collection, {})[asset.id] = None
        return before

    def remove(self, asset_id: Pubkey) -> Asset | None:
        """Forget an asset; returns what was known."""
        asset = self._by_id.pop(asset_id, None)
        if asset is not None:
            _discard(self._by_owner, asset.owner, asset_id)
            for collection in _collections(asset):
                _discard(self._by_collection, collection, asset_id)
        return asset


def _collections(asset: Asset) -> tuple[Pubkey, ...]:
    claimed = asset.collection or asset.unverified_collection
    return () if claimed is None else (claimed,)


def _discard(index: dict[Pubkey, dict[Pubkey, None]], key: Pubkey, asset_id: Pubkey) -> None:
    ids = index[key]
    del ids[asset_id]
    if not ids:
        del index[key]
