"""What the indexer's parts need of the world outside, and the values and errors that pass through.

Implemented by `store` (Postgres) and `adapters.solana_rpc`; in-memory twins serve the tests. No I/O here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from chassis.chain import ChainUnavailable as ChainUnavailable
from services.indexer.entries import Entry


class StoreUnavailable(Exception):
    """Postgres cannot be reached or gave up the transaction. What was committed is told by the watermark alone."""


class Fenced(Exception):
    """Another projector has moved the watermark. Stop: this process is no longer the one that writes."""


class Refused(Exception):
    """The tables cannot hold what the batch says. Nothing was committed; find the message and park it."""


class TablesChanged(Exception):
    """The tables refuse a batch, and a newer program has migrated them. Stop: it is the one that knows what they hold.

    Parked, the messages would be lost to the tables for good, although nothing is wrong with them.
    """


@dataclass(frozen=True, slots=True)
class Committed:
    """What a committed batch did that others wait for."""

    settled: frozenset[UUID] = frozenset()
    """Operations whose last item was settled."""
    to_count: frozenset[UUID] = frozenset()
    """Collections whose numbers on chain have moved."""
    parked: Sequence[Entry] = ()
    to_sync: frozenset[UUID] = frozenset()
    """Collections that a caller wants counted."""
    started: Mapping[UUID, datetime] = field(default_factory=dict[UUID, datetime])
    """When the operations that the batch speaks of were asked for."""
    unheard: bool = False
    """Something else was committed before, whose answer was lost: nobody was told what it did."""


class Store(Protocol):
    """The tables, as the projector writes them."""

    async def watermark(self, stream: str) -> int:
        """Return the last applied sequence of `stream`, 0 at first; raises StoreUnavailable."""
        ...

    async def apply(self, stream: str, after: int, entries: Sequence[Entry]) -> Committed:
        """Commit entries, rows and watermark in one transaction; the watermark must be at `after`.

        Raises Fenced, Refused, TablesChanged and StoreUnavailable, and then has changed nothing that is known.
        """
        ...


@dataclass(frozen=True, slots=True)
class SettledOperation:
    """An operation whose items are all settled and whose end has not come back from the log."""

    id: UUID
    total: int
    minted: int
    failed: int
    cancelled: int
    sequence: int
    """MINT sequence of the message that settled it."""
    subject: str
    payload: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of that message: they carry its trace."""


class SettledOperations(Protocol):
    """Which operations are to be declared completed."""

    async def settled_operations(self, after: int, limit: int) -> list[SettledOperation]:
        """Return those settled after MINT sequence `after`, in that order; raises StoreUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class CreatedCollection:
    """A collection on chain. `capacity` is the last known one, in leaves; `more_trees` follow on the first one."""

    id: UUID
    standard: str
    tree_address: str
    collection_address: str
    capacity: int
    more_trees: tuple[str, ...] = ()

    @property
    def trees(self) -> tuple[str, ...]:
        """The addresses of all its trees, the first one first."""
        return (self.tree_address, *self.more_trees)


class CreatedCollections(Protocol):
    """Which collections are to be counted."""

    async def created_collections(
        self, after: UUID, limit: int, among: frozenset[UUID] | None
    ) -> list[CreatedCollection]:
        """Return those with an id beyond `after`, in the order of ids; raises StoreUnavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Account:
    """An account's owner program (base58) and data."""

    owner: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Accounts:
    """Accounts by address as of one slot; an address that has none is missing."""

    slot: int
    by_address: dict[str, Account] = field(default_factory=dict[str, Account])


class Chain(Protocol):
    """What the indexer asks a node of the chain."""

    async def accounts(self, addresses: Sequence[str], *, min_slot: int = 0) -> Accounts:
        """Return the accounts at commitment `confirmed`, all as of one slot, `min_slot` or later.

        Raises ChainUnavailable, also when no node is so far.
        """
        ...

    async def answers_das(self, collection_address: str) -> bool:
        """Whether the node answers DAS queries about the collection; raises ChainUnavailable when it cannot say."""
        ...
