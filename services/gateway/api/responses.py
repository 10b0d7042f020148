"""The bodies that callers get, field by field in the source document's names: those of its interfaces and its routes.

Used by the routers and by the OpenAPI document. A field that does not apply is left out, never null.
"""

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from contracts.collection import CollectionRequested
from contracts.mint import Requested
from services.gateway import ports
from services.gateway.domain import estimated_seconds
from services.gateway.ports import CollectionState, OperationState
from services.gateway.status import percentage, seconds_left

T = TypeVar("T")


class Answer(BaseModel):
    """What all bodies have in common: camelCase names."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, use_attribute_docstrings=True
    )


class Success(Answer, Generic[T]):
    """The frame of every answer that is no error."""

    success: Literal[True] = True
    data: T
    message: str | None = None


class Done(Answer):
    """What was asked for is done, and there is nothing to tell of it."""

    success: Literal[True] = True
    message: str


class ProblemView(Answer):
    """One thing that is wrong with a request, and where."""

    field: str
    message: str


class Failure(Answer):
    """The frame of every error. `code` is stable; `error` and `details` are for people."""

    success: Literal[False] = False
    error: str
    details: list[ProblemView]
    code: str
    request_id: str
    data: dict[str, str] | None = None
    """Present when the request may yet be carried out: the id to ask for."""


class MintSingleView(Answer):
    """A single mint that was taken on. The lists are those of minted items; without `Prefer: wait=N` they are empty."""

    transaction_id: str
    status: Literal["queued", OperationState] = "queued"
    """`queued`, or how the operation ended when the request said `Prefer: wait=N` and it did within that time."""
    estimated_time: int
    """Seconds."""
    signatures: list[str] = []
    leaf_indexes: list[int] = []
    asset_ids: list[str] = []
    ipfs_uris: list[str] = []

    @classmethod
    def of(cls, requested: Requested, ended: ports.Operation | None = None) -> "MintSingleView":
        """Return the view of a request on the log, with its result when that was waited for and came."""
        return cls(
            transaction_id=str(requested.operation),
            estimated_time=estimated_seconds(requested),
            # Said here, because pydantic makes deep copies of defaults that are lists.
            **(_results(ended) or {"signatures": [], "leaf_indexes": [], "asset_ids": [], "ipfs_uris": []}),
        )


class MintBatchView(Answer):
    """A batch that was taken on. The lists are there when `Prefer: wait=N` was said and the result came in time."""

    transaction_id: str
    status: Literal["queued", OperationState] = "queued"
    total_nfts: int
    estimated_time: int
    """Seconds."""
    batch_count: int
    signatures: list[str] | None = None
    leaf_indexes: list[int] | None = None
    asset_ids: list[str] | None = None
    ipfs_uris: list[str] | None = None

    @classmethod
    def of(cls, requested: Requested, ended: ports.Operation | None = None) -> "MintBatchView":
        """Return the view of a request on the log, with its result when that was waited for and came."""
        return cls(
            transaction_id=str(requested.operation),
            total_nfts=requested.total,
            estimated_time=estimated_seconds(requested),
            batch_count=requested.chunk_count,
            **_results(ended),
        )


def _results(ended: ports.Operation | None) -> dict[str, Any]:
    """Return the fields of a result: of every minted item in order, its transaction once."""
    if ended is None:
        return {}
    minted = [one for one in ended.results if one.status == "success"]
    return {
        "status": ended.status,
        "signatures": list(dict.fromkeys(one.signature for one in minted)),
        "leaf_indexes": [one.leaf_index for one in minted],
        "asset_ids": [one.asset_id for one in minted],
        "ipfs_uris": [one.ipfs_uri for one in minted],
    }


class ProgressView(Answer):
    """How far an operation is, in items. `percentage` is that of minted items."""

    total: int
    completed: int
    failed: int
    cancelled: int | None = None
    """Items that ended because the operation was cancelled, when there are any; not among `failed`."""
    percentage: int
    current_item: str | None = None
    estimated_time_left: int | None = None
    """Seconds."""


class ResultView(Answer):
    """One settled item."""

    signature: str | None = None
    leaf_index: int | None = None
    asset_id: str | None = None
    error: str | None = None
    status: Literal["success", "failed"]


class StatusView(Answer):
    """An operation as it stands."""

    transaction_id: str
    status: OperationState
    progress: ProgressView
    results: list[ResultView]
    start_time: datetime
    end_time: datetime | None = None
    error: str | None = None

    @classmethod
    def of(cls, operation: ports.Operation, now: datetime) -> "StatusView":
        """Return the view of `operation` at `now`."""
        running = operation.status in ("pending", "processing")
        return cls(
            transaction_id=str(operation.id),
            status=operation.status,
            progress=ProgressView(
                total=operation.total,
                completed=operation.completed,
                failed=operation.failed,
                cancelled=operation.cancelled or None,
                percentage=percentage(operation),
                current_item=operation.current_item if running else None,
                estimated_time_left=seconds_left(operation, now),
            ),
            results=[
                ResultView(
                    signature=one.signature,
                    leaf_index=one.leaf_index,
                    asset_id=one.asset_id,
                    error=one.error,
                    status=one.status,
                )
                for one in operation.results
            ],
            start_time=operation.start_time,
            end_time=operation.end_time,
            error=operation.error,
        )


class CollectionView(Answer):
    """A collection on chain."""

    id: str
    name: str
    description: str
    symbol: str
    tree_address: str | None = None
    collection_address: str | None = None
    creator_address: str | None = None
    capacity: int
    minted: int
    image_url: str | None = None
    external_url: str | None = None
    has_valid_tree: bool
    supports_das: bool = Field(alias="supportsDAS")
    status: CollectionState
    is_public: bool
    allow_minting: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, collection: ports.Collection) -> "CollectionView":
        """Return the view of `collection`."""
        values: dict[str, Any] = {name: getattr(collection, name) for name in CollectionView.model_fields}
        values["id"] = str(collection.id)
        return cls(**values)


class PaginationView(Answer):
    """Where in the list a page is."""

    total: int
    page: int
    limit: int
    total_pages: int


class CollectionListView(Answer):
    """One page of collections."""

    collections: list[CollectionView]
    pagination: PaginationView

    @classmethod
    def of(cls, page: ports.CollectionPage, query: ports.CollectionQuery) -> "CollectionListView":
        """Return the view of `page`."""
        return cls(
            collections=[CollectionView.of(one) for one in page.collections],
            pagination=PaginationView(
                total=page.total, page=query.page, limit=query.limit, total_pages=-(-page.total // query.limit)
            ),
        )


class CollectionRequestedView(Answer):
    """A collection that was asked for; `GET /api/collections/{id}` tells when it is made."""

    id: str
    status: Literal["queued"] = "queued"

    @classmethod
    def of(cls, requested: CollectionRequested) -> "CollectionRequestedView":
        """Return the view of a request on the log: the same for every repetition of the request."""
        return cls(id=str(requested.collection))


class CheckView(Answer):
    """Whether one thing that this service needs answers, and how long that took."""

    ok: bool
    latency_ms: float


class HealthView(Answer):
    """How the things that this service needs answer now. No reasons and no addresses: this is served without a key."""

    success: bool
    status: Literal["ok", "degraded", "unavailable"]
    checks: dict[str, CheckView]
