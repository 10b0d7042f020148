"""What an operation is judged by. Whoever fetches it says of each thing whether it is there, is not, or is unknown."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from bubblegum.transaction import ExecutedTransaction
from contracts.fact import Event, Fact


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One message of the operation, as it stands on the stream; `payload` are its bytes."""

    sequence: int
    subject: str
    stored_at: datetime
    payload: bytes
    event: Event[Any]

    @property
    def fact(self) -> Fact:
        """What was said."""
        return self.event.data


@dataclass(frozen=True, slots=True)
class Row:
    """An item as the tables have it."""

    status: str
    signature: str | None = None
    asset_id: str | None = None
    leaf_index: int | None = None
    ipfs_uri: str | None = None


@dataclass(frozen=True, slots=True)
class OperationRow:
    """The operation itself as the tables have it."""

    collection: UUID
    recipient: str
    total: int
    completed: int
    failed: int
    """Cancelled ones too."""
    ended: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything about one operation. A key that is missing was not asked for, or there was no answer."""

    operation: UUID
    events: Sequence[LoggedEvent]
    """In the stream's order."""
    unreadable: Mapping[int, str] = field(default_factory=dict[int, str])
    """Messages of the operation that cannot be read, by sequence, with the reason."""
    elsewhere: Set[UUID] = frozenset()
    """Ids of events of other things that may be causes: those of the operation's collection."""
    copies: Mapping[int, bytes] = field(default_factory=dict[int, bytes])
    """The second copy of each message, by sequence."""
    copied: Set[int] = frozenset()
    """Messages that have left the stream and are known from their second copy alone, by sequence."""
    lost: Set[int] = frozenset()
    """Messages that the stream has no more although it must, and the archive has, by sequence."""
    archived: Mapping[int, bytes] = field(default_factory=dict[int, bytes])
    """What the archive has of each message, by sequence, if it was read."""
    archive: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    """What was read of the archive, and what is wrong with it; None: it is what was archived."""
    projected: int | None = None
    """The sequence up to which the tables tell what the log says; None: the tables were not read."""
    copied_from: int = 1
    """The first sequence whose copy was not dropped; older ones may have been."""
    row: OperationRow | None = None
    rows: Mapping[int, Row] = field(default_factory=dict[int, Row])
    """By item."""
    transactions: Mapping[str, ExecutedTransaction | None] = field(
        default_factory=dict[str, ExecutedTransaction | None]
    )
    """By signature, of every attempt that the log tells of and of `marked`; None: the node knows of no such one."""
    marked: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """By the label of a transaction (`contracts.mint.transaction_label`): the signatures that bear its mark, of
    transactions without an error."""
    collection_address: str | None = None
    """The collection's address on chain, by the log."""
    contents: Mapping[str, bool | None] = field(default_factory=dict[str, bool | None])
    """By URI: whether the bytes have its CID; None: nobody has the bytes."""
    proofs: Mapping[str, bool] = field(default_factory=dict[str, bool])
    """By asset id: whether its proof leads to a root of its tree on chain."""
    silences: Mapping[str, str] = field(default_factory=dict[str, str])
    """By signature, label, asset id or URI: why there is no answer about it."""
