"""What the gateway's handlers need of the outside, beyond the log and the object store of `chassis.log`.

Implemented by `adapters/` and `api/form.py`; the tests have twins in memory.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from contracts.observation import Difference

OperationState = Literal["pending", "processing", "completed", "failed", "cancelled"]
CollectionState = Literal["active", "paused", "completed"]
Stage = Literal["requested", "pinned", "created", "failed"]
"""How far the making of a collection is."""


class ProjectionUnavailable(Exception):
    """The database does not answer, or not as expected; the log still knows."""


class NotAnImage(Exception):
    """The bytes are no image that this service takes; the text says why, in words for the caller."""


class File(Protocol):
    """One uploaded file."""

    @property
    def field(self) -> str:
        """The form field that it came in."""
        ...

    @property
    def filename(self) -> str:
        """The caller's name for it, cleaned; may be empty."""
        ...

    async def read(self) -> bytes:
        """Return all of its bytes."""
        ...


InspectImage = Callable[[bytes], str]
"""Returns the media type of an image, judged by its content; raises NotAnImage. Blocking and CPU-bound."""


class Result(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One settled item of an operation."""

    status: Literal["success", "failed"]
    signature: str | None = None
    leaf_index: int | None = None
    asset_id: str | None = None
    error: str | None = None
    ipfs_uri: str | None = None


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one operation at one moment."""

    id: UUID
    status: OperationState
    total: int
    completed: int
    failed: int
    start_time: datetime
    end_time: datetime | None = None
    error: str | None = None
    current_item: str | None = None
    """Name of the first item that is not settled."""
    results: tuple[Result, ...] = ()
    cancelled: int = 0
    """Items that ended because the operation was cancelled; not among `failed`."""
    caller: str = ""
    """Whose it is."""


class OperationSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One operation as a list shows it."""

    id: UUID
    caller: str
    collection: UUID
    recipient: str
    operation_type: Literal["mint", "batch_mint"]
    status: OperationState
    total: int
    completed: int
    failed: int
    cancelled: int
    start_time: datetime
    end_time: datetime | None = None
    error: str | None = None


class OperationQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which operations to list, the newest first; None means no condition. `before` is where the last page ended."""

    caller: str | None = None
    status: OperationState | None = None
    collection: UUID | None = None
    recipient: str | None = None
    asset: str | None = None
    """The operation that minted it."""
    signature: str | None = None
    """The operation whose items this transaction minted."""
    before: tuple[datetime, UUID] | None = None
    limit: int = 20


class LoggedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the log about an operation, as bytes."""

    sequence: int
    subject: str
    payload: bytes


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one operation in order, and how far the copy of the log reaches that they were read from."""

    events: tuple[LoggedEvent, ...]
    position: int


class FailedItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item that can never be minted by its operation. `image_uri` is there when its image was pinned."""

    index: int
    image_uri: str | None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Totals over everything, and over what happened since a moment (`recent_`)."""

    collections: int
    minted: int
    capacity: int
    active_operations: int
    recent_minted: int
    recent_failed: int
    recent_operations: int


class CollectionTree(msgspec.Struct, frozen=True, kw_only=True):
    """One tree of a collection. `minted` and `valid` are as the chain was last counted, None before that."""

    number: int
    """0 is the first one."""
    address: str
    max_depth: int
    max_buffer_size: int | None
    """None, like `canopy_depth`: not known before a replay."""
    canopy_depth: int | None
    capacity: int
    minted: int | None
    valid: bool | None


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison of a collection's counts came to; see `contracts.observation.CollectionDrift`."""

    time: datetime
    slot: int
    log: int
    projection: int
    chain: int
    observed: int
    living: int
    das: int | None
    differences: tuple[Difference, ...]


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in one stretch of time, in items."""

    at: datetime
    """Where it begins."""
    accepted: int = 0
    confirmed: int = 0
    failed: int = 0
    """Without items that were cancelled."""
    latencies: tuple[tuple[int, int], ...] = ()
    """Of the confirmed ones, by how long that took: up to so many milliseconds, and how many more than up to the one
    before; rising.
    """


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one collection; addresses exist from stage `created` on."""

    id: UUID
    name: str
    description: str
    symbol: str
    standard: Literal["v1", "v2"] | None
    """None: an import whose account was not read yet."""
    capacity: int
    minted: int
    has_valid_tree: bool
    supports_das: bool
    status: CollectionState
    stage: Stage
    is_public: bool
    allow_minting: bool
    created_at: datetime
    updated_at: datetime
    tree_address: str | None = None
    collection_address: str | None = None
    creator_address: str | None = None
    image_url: str | None = None
    external_url: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    trees: tuple[CollectionTree, ...] | None = None
    """All of them, by number; None in lists, and where the log alone was asked."""


class CollectionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which created collections to list; None means no condition. `page` counts from 1."""

    status: CollectionState | None = None
    allow_minting: bool | None = None
    page: int = 1
    limit: int = 20


class CollectionPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list, and how many there are in all."""

    collections: Sequence[Collection]
    total: int


class Projection(Protocol):
    """The indexer's tables, read-only. Every method raises ProjectionUnavailable."""

    async def operation(self, operation: UUID) -> Operation | None:
        """Return the operation, or None when the projection does not have it (yet)."""
        ...

    async def collection(self, collection: UUID) -> Collection | None:
        """Return the collection at whatever stage, or None when the projection does not have it (yet)."""
        ...

    async def collections(self, query: CollectionQuery) -> CollectionPage:
        """Return one page of created collections, the newest first."""
        ...

    async def drifts(self, collection: UUID, limit: int) -> Sequence[Drift]:
        """Return what the collection's last comparisons came to, where that was another than before; newest first."""
        ...

    async def collection_at(self, address: str) -> UUID | None:
        """Return the created collection with this address on chain, or None."""
        ...

    async def operations(self, query: OperationQuery) -> Sequence[OperationSummary]:
        """Return up to `query.limit` operations, the newest first."""
        ...

    async def history(self, operation: UUID, after: int, limit: int) -> History:
        """Return up to `limit` events of the operation with a MINT sequence beyond `after`, in order."""
        ...

    async def failed_items(self, operation: UUID) -> Sequence[FailedItem]:
        """Return the operation's items that failed for another reason than being cancelled, in order."""
        ...

    async def series(self, since: datetime, step: timedelta) -> Sequence[Interval]:
        """Return what happened in each stretch of `step` from `since` on, in order, without those that have nothing.

        Both are whole minutes.
        """
        ...

    async def watermarks(self) -> Mapping[str, int]:
        """Return the last sequence of each projected stream that the tables show."""
        ...

    async def overview(self, since: datetime) -> Overview:
        """Return the totals."""
        ...

    async def check(self) -> None:
        """Return when the database answers."""
        ...


class WalletUnavailable(Exception):
    """The wallet's balance cannot be told now."""


class Wallet(Protocol):
    """The wallet that pays for minting."""

    async def balance(self) -> int:
        """Return its balance in lamports at commitment `confirmed`; raises WalletUnavailable."""
        ...

    async def check(self) -> None:
        """Return when the node that tells it is healthy; raises WalletUnavailable."""
        ...
