"""From an event to the row changes that it means: pure, deterministic, without state.

Used by the projector for every message of MINT and COLLECTION, in stream order. The rows depend on the log alone:
times are the events' own and ids come from the events, so a replay into empty tables gives the same rows. Not done
here: decoding bytes (`contracts.registry`) and what a change means for a row that is already there (`rows`).
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, assert_never, cast
from uuid import uuid5

import msgspec

from contracts import collection, mint, observation, wallet
from contracts.fact import Event, Fact
from services.indexer.changes import (
    AddTree,
    CancelOperation,
    CloseOperation,
    CountCollection,
    CreateCollection,
    FailCollection,
    FailItems,
    FinalizeItems,
    FlagCollection,
    MintedItem,
    MintItems,
    ObserveLeaves,
    OpenCollection,
    OpenImport,
    OpenOperation,
    PinCollection,
    PinItems,
    PinnedItem,
    RecordDrift,
    RowChange,
    StartOperation,
    SyncCollection,
    TouchCollection,
)

MAX_NAME = 200
"""Characters of `mint_results.nft_name` (source document, section 5)."""
MAX_HASH = 64
"""Characters of `mint_results.ipfs_hash` (source document, section 5)."""
YEARS = range(2000, 2200)
"""Years that an event can be of; arithmetic on times beyond them is not safe."""

MAX_INTEGER = 2**31 - 1
MAX_BIGINT = 2**63 - 1
"""Most that columns of these types hold. What is beyond is refused here: of a batch Postgres sees only what its last
messages say, and so would take what it refuses alone."""
MAX_BASIS_POINTS = 10_000
MAX_CODE = 64
"""Characters of `nft_collections.error_code`."""

_CID = re.compile(r"ipfs://([A-Za-z0-9]+)(?:[/?#].*)?", re.DOTALL)

# Here and where they are matched the most frequent come first: finding that a value is not of a class takes longer than
# finding that it is.
MintFact = (
    mint.Confirmed
    | mint.Signed
    | mint.Finalized
    | mint.Pinned
    | mint.Requested
    | mint.Planned
    | mint.Completed
    | mint.PinFailed
    | mint.Failed
    | mint.Cancelled
)
CollectionFact = (
    collection.CollectionRequested
    | collection.CollectionPinned
    | collection.CollectionSigned
    | collection.CollectionTableCreated
    | collection.CollectionTreeAdded
    | collection.CollectionCreated
    | collection.CollectionFailed
    | collection.CollectionCounted
    | collection.CollectionUpdated
    | collection.CollectionSyncRequested
    | collection.CollectionImportRequested
)


class Unprojectable(Exception):
    """The event can be read but means nothing for the tables; retrying cannot help."""


def project(event: Event[Any], sequence: int) -> Sequence[RowChange]:
    """Return what `event`, which stands at `sequence` of its stream, changes; in order, all or nothing.

    Raises Unprojectable for an event that no version of the tables could hold.
    """
    at = _time_of(event)
    fact = cast("Fact", event.data)
    if isinstance(fact, MintFact):
        return _project_mint(fact, sequence, at)
    if isinstance(fact, CollectionFact):
        return _project_collection(fact, at)
    if isinstance(fact, observation.CollectionObserved):
        _check_numbers(MAX_BIGINT, fact.sequence, *(n for leaf in fact.leaves for n in (leaf.index, leaf.slot)))
        return [ObserveLeaves(fact.collection, fact.tree, fact.after, fact.leaves, fact.root)]
    if isinstance(fact, observation.CollectionDrift):
        differences = _storable(fact.differences)
        return [RecordDrift(fact, differences, sequence, at)]
    if isinstance(fact, wallet.Paused | wallet.Resumed):
        return []  # how wallets stand is asked of the log; no table tells it
    raise Unprojectable(f"events of type {event.type} are not projected")


def _project_mint(fact: MintFact, sequence: int, at: datetime) -> list[RowChange]:
    match fact:
        case mint.Confirmed():
            return [StartOperation(fact.operation, at), _minted(fact, sequence, at)]
        case mint.Signed() | mint.Planned():
            return [StartOperation(fact.operation, at)]
        case mint.Finalized():
            _check_numbers(MAX_BIGINT, fact.slot)
            return [FinalizeItems(fact.operation, fact.signature, fact.slot, at)]
        case mint.Pinned():
            return [StartOperation(fact.operation, at), _pinned(fact, at)]
        case mint.Requested():
            return [_opened(fact, at)]
        case mint.Completed():
            return [CloseOperation(fact.operation, at)]
        case mint.PinFailed():
            failed = [_failed(fact, failure, sequence, at) for failure in fact.failures]
            return [StartOperation(fact.operation, at), *failed]
        case mint.Failed():
            return [StartOperation(fact.operation, at), _failed(fact, fact.failure, sequence, at)]
        case mint.Cancelled():
            return [CancelOperation(fact.operation, at)]
        case _:
            assert_never(fact)


def _opened(fact: mint.Requested, at: datetime) -> OpenOperation:
    if fact.total > mint.MAX_ITEMS:
        raise Unprojectable(f"the request is for {fact.total} items, the most is {mint.MAX_ITEMS}")
    names = tuple(clean_text(fact.nfts[item.nft].name)[:MAX_NAME] for item in fact.items())
    return OpenOperation(
        operation=fact.operation,
        collection=fact.collection,
        recipient=fact.recipient,
        caller=clean_text(fact.caller),
        operation_type=fact.operation_type,
        batch_size=fact.batch_size,
        metadata=_storable({"nfts": fact.nfts}),
        names=names,
        ids=tuple(uuid5(fact.operation, str(index)) for index in range(len(names))),
        at=at,
    )


def _pinned(fact: mint.Pinned, at: datetime) -> PinItems:
    items = tuple(
        PinnedItem(item.index, clean_text(item.uri), ipfs_hash(item.uri), clean_text(item.image_uri))
        for item in fact.items
    )
    return PinItems(fact.operation, items, at)


def _minted(fact: mint.Confirmed, sequence: int, at: datetime) -> MintItems:
    _check_numbers(MAX_INTEGER, *[leaf.leaf_index for leaf in fact.leaves])
    _check_numbers(MAX_BIGINT, fact.slot, *[leaf.nonce for leaf in fact.leaves])
    items = tuple(MintedItem(leaf.item, leaf.asset_id, leaf.leaf_index, leaf.nonce) for leaf in fact.leaves)
    return MintItems(fact.operation, fact.signature, fact.tree, fact.slot, items, sequence, at)


def _failed(fact: mint.PinFailed | mint.Failed, failure: mint.ItemFailure, sequence: int, at: datetime) -> FailItems:
    dropped = fact.dropped if isinstance(fact, mint.Failed) else None
    return FailItems(fact.operation, failure.items, failure.code, clean_text(failure.reason), sequence, at, dropped)


def _project_collection(fact: CollectionFact, at: datetime) -> list[RowChange]:
    match fact:
        case collection.CollectionRequested():
            return [_collection_opened(fact, at)]
        case collection.CollectionPinned():
            return [PinCollection(fact.collection, clean_text(fact.uri), _clean_optional(fact.image_uri), at)]
        case collection.CollectionSigned() | collection.CollectionTableCreated():
            return [TouchCollection(fact.collection, at)]
        case collection.CollectionTreeAdded():
            _check_trees(fact.number + 1)
            return [AddTree(fact.collection, fact.number, fact.tree_address, fact.tree, at)]
        case collection.CollectionCreated():
            _check_trees(1 + len(fact.more_trees))
            _check_numbers(MAX_BIGINT, fact.minted_before)
            _check_numbers(MAX_BASIS_POINTS, fact.seller_fee_basis_points)
            return [_collection_created(fact, at), *_imported_trees(fact, at)]
        case collection.CollectionImportRequested():
            return [OpenImport(fact.collection, fact.collection_address, fact.is_public, fact.allow_minting, at)]
        case collection.CollectionFailed():
            return [FailCollection(fact.collection, clean_text(fact.code)[:MAX_CODE], clean_text(fact.reason), at)]
        case collection.CollectionCounted():
            _check_numbers(MAX_BIGINT, fact.minted, fact.capacity, fact.slot, *(n.minted or 0 for n in fact.trees))
            return [
                CountCollection(
                    collection=fact.collection,
                    minted=fact.minted,
                    capacity=fact.capacity,
                    has_valid_tree=fact.has_valid_tree,
                    supports_das=fact.supports_das,
                    slot=fact.slot,
                    trees=fact.trees,
                    at=at,
                )
            ]
        case collection.CollectionUpdated():
            return [FlagCollection(fact.collection, fact.is_public, fact.allow_minting, at)]
        case collection.CollectionSyncRequested():
            return [SyncCollection(fact.collection, at)]
        case _:
            assert_never(fact)


def _check_numbers(most: int, *numbers: int) -> None:
    """Raise Unprojectable for a number that its column cannot hold."""
    if numbers and max(numbers) > most:
        raise Unprojectable(f"{max(numbers)} is beyond what the tables hold")


def _check_trees(count: int) -> None:
    """Raise Unprojectable for more trees than a node is asked for at once when their collection is counted."""
    if count > collection.MAX_TREES:
        raise Unprojectable(f"the collection has {count} trees, the most is {collection.MAX_TREES}")


def _collection_opened(fact: collection.CollectionRequested, at: datetime) -> OpenCollection:
    return OpenCollection(
        collection=fact.collection,
        name=clean_text(fact.name),
        symbol=clean_text(fact.symbol),
        standard=fact.standard,
        description=clean_text(fact.description),
        image_url=clean_text(fact.image.uri) if isinstance(fact.image, mint.ImageUri) else None,
        external_url=_clean_optional(fact.external_url),
        capacity=fact.tree.capacity * fact.trees,
        seller_fee_basis_points=fact.seller_fee_basis_points,
        is_public=fact.is_public,
        allow_minting=fact.allow_minting,
        at=at,
    )


def _collection_created(fact: collection.CollectionCreated, at: datetime) -> CreateCollection:
    return CreateCollection(
        collection=fact.collection,
        name=clean_text(fact.name),
        symbol=clean_text(fact.symbol),
        standard=fact.standard,
        description=clean_text(fact.description),
        image_url=_clean_optional(fact.image_uri),
        external_url=_clean_optional(fact.external_url),
        uri=clean_text(fact.uri),
        tree_address=fact.tree_address,
        collection_address=fact.collection_address,
        creator_address=fact.creator_address,
        tree=fact.tree,
        seller_fee_basis_points=fact.seller_fee_basis_points,
        is_public=fact.is_public,
        allow_minting=fact.allow_minting,
        imported=fact.imported,
        minted_before=fact.minted_before,
        at=at,
    )


def _imported_trees(fact: collection.CollectionCreated, at: datetime) -> list[AddTree]:
    return [
        AddTree(fact.collection, number, place.tree_address, place.tree, at)
        for number, place in enumerate(fact.more_trees, 1)
    ]


def ipfs_hash(uri: str) -> str | None:
    """Return the CID of an `ipfs://` URI; None for other URIs and for what is too long to be one."""
    found = _CID.fullmatch(uri)
    return found[1] if found and len(found[1]) <= MAX_HASH else None


def clean_text(text: str) -> str:
    """Return `text` as Postgres can hold it: U+0000 has no place in its text and becomes U+FFFD."""
    return text.replace("\x00", "\ufffd")


def _clean_optional(text: str | None) -> str | None:
    return None if text is None else clean_text(text)


def _storable(value: object) -> str:
    """Return the value as JSON that Postgres can hold."""
    written = msgspec.json.encode(value)
    # In JSON a NUL is always written in this way: hardly any request has one, and walking through each costs more than
    # all the rest of its projection.
    if b"\\u0000" in written:
        written = msgspec.json.encode(_clean(msgspec.json.decode(written)))
    return written.decode()


def _clean(value: object) -> object:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in cast("dict[str, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in cast("Sequence[object]", value)]
    return value


def _time_of(event: Event[Any]) -> datetime:
    if event.time.tzinfo is None:
        raise Unprojectable("the event's time has no zone")
    if event.time.year not in YEARS:
        raise Unprojectable(f"the event is of the year {event.time.year}")
    return event.time.astimezone(UTC)
