"""The rows of `nft_collections` as the changes that introduce a collection make them: pure.

Used by `rows` alone, which carries out what changes a row that is there.
"""

from services.indexer.changes import CreateCollection, OpenCollection, OpenImport
from services.indexer.tables import Collection


def opened(change: OpenCollection) -> Collection:
    """Return the row of a collection that is asked for."""
    return Collection(
        id=change.collection,
        name=change.name,
        symbol=change.symbol,
        standard=change.standard,
        description=change.description,
        image_url=change.image_url,
        external_url=change.external_url,
        capacity=change.capacity,
        seller_fee_basis_points=change.seller_fee_basis_points,
        is_public=change.is_public,
        allow_minting=change.allow_minting,
        created_at=change.at,
        updated_at=change.at,
    )


def import_opened(change: OpenImport, before: Collection | None) -> Collection:
    """Return the row of a collection of which nothing is read yet, or not again."""
    return Collection(
        id=change.collection,
        name=change.address,
        symbol="",
        standard=None,
        description="",
        image_url=None,
        external_url=None,
        capacity=0,
        seller_fee_basis_points=0,
        is_public=change.is_public,
        allow_minting=change.allow_minting,
        created_at=before.created_at if before else change.at,
        updated_at=max(before.updated_at, change.at) if before else change.at,
        imported=True,
    )


def created(change: CreateCollection, before: Collection | None) -> Collection:
    """Return the row of a collection on chain: as the event tells it.

    What was counted before stays, and so do the flags of one that was on chain already: the event is then said again
    (a replayed dead letter), and callers may have set them since.
    """
    row = Collection(
        id=change.collection,
        name=change.name,
        symbol=change.symbol,
        standard=change.standard,
        description=change.description,
        image_url=change.image_url or (before.image_url if before else None),
        external_url=change.external_url,
        capacity=change.tree.capacity,
        seller_fee_basis_points=change.seller_fee_basis_points,
        is_public=change.is_public,
        allow_minting=change.allow_minting,
        created_at=before.created_at if before else change.at,
        updated_at=max(before.updated_at, change.at) if before else change.at,
        stage="created",
        uri=change.uri,
        tree_address=change.tree_address,
        collection_address=change.collection_address,
        creator_address=change.creator_address,
        imported=change.imported,
        minted_before=change.minted_before,
    )
    if before is not None and before.stage == "created":
        row.is_public, row.allow_minting = before.is_public, before.allow_minting
    if before is not None and before.counted_slot is not None:
        row.minted, row.capacity, row.counted_slot = before.minted, before.capacity, before.counted_slot
        row.has_valid_tree, row.supports_das = before.has_valid_tree, before.supports_das
    row.status = status_of(row)
    return row


def status_of(row: Collection) -> str:
    """Return whether the collection is open for minting, full, or neither."""
    if row.stage != "created":
        return "paused"
    if row.minted >= row.capacity:
        return "completed"
    return "active" if row.allow_minting else "paused"
