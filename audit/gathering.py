"""Fetching what an audit is made from: the log, its second copy and the tables, the chain, the content.

Used by `mintstream audit` and by the gateway. What cannot be fetched is left out with its reason, and the audit says
that it does not know; where the chain itself does not answer, `ChainUnavailable` tells whoever wants to try again
instead. The tables are read before the log, so that the log is never the older one. Not done here: judging (`checks`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar
from uuid import UUID

from audit.chain import UNKNOWN, Landing, VerificationFailed
from audit.content import Contents
from audit.evidence import Evidence, LoggedEvent, OperationRow, Row
from audit.history import WholeLog
from audit.nodes import Nodes, NodesDiffer
from audit.standing import attempted, facts, latest
from bubblegum.errors import DecodeError
from chassis.chain import ChainUnavailable
from chassis.database import Row as DatabaseRow
from chassis.log import RawMessage
from contracts.collection import (
    CollectionCreated,
    CollectionFailed,
    CollectionImportRequested,
    CollectionPinned,
    CollectionRequested,
    CollectionSigned,
    CollectionTableCreated,
    CollectionTreeAdded,
    CollectionUpdated,
)
from contracts.fact import Fact
from contracts.leaving import may_leave, operation_patterns
from contracts.mint import MAX_ITEMS, Pinned, Requested, Signed, transaction_label
from contracts.registry import UndecodableMessage, decode
from contracts.streams import COLLECTION, MINT

T = TypeVar("T")

PARALLEL: Final = 8
CLOCKS: Final = timedelta(hours=1)
"""How far the clocks of the gateway, which tells when a request came, and of the log may be apart."""
CAUSES: Final[Sequence[type[Fact]]] = (
    CollectionRequested,
    CollectionImportRequested,
    CollectionPinned,
    CollectionSigned,
    CollectionTableCreated,
    CollectionTreeAdded,
    CollectionCreated,
    CollectionFailed,
    CollectionUpdated,
)
"""What is said of a collection and may be why something is said of a mint; what is observed of its trees is not."""

# One statement, so that rows and watermark are of one moment. Copies are dropped by whole partitions of a million, and
# restored from the oldest on: only before a partition that begins behind a gap may there be none.
_TABLES: Final = """
SELECT w.sequence AS projected,
       (SELECT max(e.sequence) FROM event_log AS e
        WHERE e.stream = 'MINT' AND e.sequence = ANY(ARRAY(SELECT generate_series(1, w.sequence, 1000000)))
          AND NOT EXISTS (SELECT FROM event_log AS b WHERE b.stream = 'MINT' AND b.sequence = e.sequence - 1)
       ) AS copied_from,
       o.id AS operation, o.collection_id, o.recipient, o.total_nfts, o.completed_nfts,
       o.failed_nfts + o.cancelled_nfts AS failed, o.end_time IS NOT NULL AS ended,
       r.item_index, r.status, r.signature, r.asset_id, r.leaf_index, r.ipfs_uri
FROM watermarks AS w
LEFT JOIN mint_operations AS o ON o.id = $1
LEFT JOIN mint_results AS r ON r.operation_id = o.id
WHERE w.stream = 'MINT'
"""
_COPIES: Final = """
SELECT sequence, subject, payload, stored_at FROM event_log
WHERE stream = 'MINT' AND split_part(subject, '.', 4) = $1 ORDER BY sequence
"""
_OPERATIONS: Final[Mapping[str, str]] = {
    "asset": "SELECT DISTINCT operation_id AS id FROM mint_results WHERE asset_id = $1",
    "signature": "SELECT DISTINCT operation_id AS id FROM mint_results WHERE signature = $1",
    "recipient": "SELECT id FROM mint_operations WHERE recipient = $1 ORDER BY start_time, id",
}
_RANGE: Final = "SELECT id, start_time FROM mint_operations WHERE start_time >= $1 AND start_time < $2"


class Tables(Protocol):
    """The indexer's tables; a pool is one."""

    async def fetch(self, query: str, /, *args: object) -> list[DatabaseRow]:
        """All rows; raises what whoever implements it says."""
        ...


@dataclass(frozen=True, slots=True)
class Gatherer:
    """Everything that an audit asks; all of it belongs to the caller."""

    log: WholeLog
    database: Tables
    nodes: Nodes
    contents: Contents
    needs_chain: bool = False
    """Raise ChainUnavailable where no node answers, instead of leaving it out."""
    content_seconds: float | None = None
    """How long the content is looked at; what takes longer is left out."""
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PARALLEL))

    async def operations(self, by: str, value: object) -> list[UUID]:
        """Return the operations `by` asset, signature or recipient, as the tables have them."""
        return [row["id"] for row in await self.database.fetch(_OPERATIONS[by], value)]

    async def operations_between(self, since: datetime, until: datetime) -> list[UUID]:
        """Return the operations that were asked for in a period, the oldest first.

        Those that the log tells of and those that the tables have: one that is in either alone is to be audited too.
        """
        found = {row["id"]: row["start_time"] for row in await self.database.fetch(_RANGE, since, until)}
        async for requested in self.log.held(MINT, Requested, since - CLOCKS):
            if since <= requested.time < until:
                found[requested.data.operation] = requested.time
        return sorted(found, key=lambda operation: (found[operation], operation))

    async def evidence(self, operation: UUID) -> Evidence:
        """Return all that there is of an operation.

        Raises LogUnavailable, ChainUnavailable where the chain is needed, and what the tables raise.
        """
        said = await self._told(operation)
        confirmed = latest(said).values()
        places = attempted(said)
        signatures = {signature for each in places.values() for signature in each}
        labels = [transaction_label(operation, chunk, tx) for chunk, tx in places]
        assets = {leaf.asset_id for fact in confirmed for leaf in fact.leaves}
        pinned = [each.fact for each in said.events if isinstance(each.fact, Pinned)]
        uris = {uri for fact in pinned for item in fact.items for uri in (item.uri, item.image_uri)}
        landings = _landings(said)
        silences: dict[str, str] = {}
        transactions, marked, proofs, contents = await asyncio.gather(
            self._each(signatures, lambda each: self.nodes.transaction(each, landings.get(each, UNKNOWN)), silences),
            self._each(labels, self.nodes.marked, silences),
            self._each(assets, self.nodes.leads_to_root, silences),
            self.contents.check(uris, self.content_seconds),
        )
        strangers = {signature for each in marked.values() for signature in each} - signatures
        return replace(
            said,
            transactions=transactions | await self._each(strangers, self.nodes.transaction, silences),
            marked=marked,
            proofs=proofs,
            contents=contents.has_its_cid,
            silences={**silences, **contents.silences},
        )

    async def _told(self, operation: UUID) -> Evidence:
        """Return what tables and log tell of an operation."""
        tables = await self.database.fetch(_TABLES, operation)
        copies = [_copy(row) for row in await self.database.fetch(_COPIES, str(operation))]
        said = await self.log.said(MINT, operation_patterns(operation))
        logged, unreadable = _read(said.messages)
        left = may_leave((raw.sequence, raw.subject) for raw in copies)
        left -= {each.sequence for each in logged} | unreadable.keys()
        copied, unreadable_copies = _read([raw for raw in copies if raw.sequence in left])
        events = sorted((*logged, *copied), key=lambda each: each.sequence)
        first = tables[0] if tables else None
        elsewhere, address = await self._of_collection(events)
        return Evidence(
            operation=operation,
            events=events,
            unreadable=unreadable | unreadable_copies,
            elsewhere=elsewhere,
            collection_address=address,
            copies={raw.sequence: raw.payload for raw in copies},
            copied=left,
            lost=said.left - may_leave((raw.sequence, raw.subject) for raw in said.messages),
            archived=said.archived,
            archive=said.archive,
            projected=first["projected"] if first else None,
            copied_from=(first["copied_from"] if first else None) or 1,
            row=_operation_row(first) if first and first["operation"] is not None else None,
            rows={row["item_index"]: _row(row) for row in tables if row["item_index"] is not None},
        )

    async def _of_collection(self, events: Sequence[LoggedEvent]) -> tuple[frozenset[UUID], str | None]:
        """Return the ids of what was said of the operation's collection, and the collection's address.

        If the operation's own events cause each other, only what tells the address is read.
        """
        requested = next((each.fact for each in events if isinstance(each.fact, Requested)), None)
        if requested is None:
            return frozenset(), None
        causes = {each.event.causation_id for each in events} - {None}
        kinds = (CollectionCreated,) if causes <= {each.event.id for each in events} else CAUSES
        others = await self.log.said(COLLECTION, [_pattern(fact, requested.collection) for fact in kinds])
        said = _read(others.messages)[0]
        created = (each.fact.collection_address for each in said if isinstance(each.fact, CollectionCreated))
        return frozenset(each.event.id for each in said), next(created, None)

    async def _each(
        self, things: Iterable[str], ask: Callable[[str], Awaitable[T]], silences: dict[str, str]
    ) -> dict[str, T]:
        """Ask about each thing; why there is no answer about one is added to `silences`."""
        answers: dict[str, T] = {}
        silent = False

        async def one(thing: str) -> None:
            nonlocal silent
            async with self.slots:
                if self.needs_chain and silent:
                    return  # stop: nothing more has to be asked of nodes that are away
                try:
                    answers[thing] = await ask(thing)
                except ChainUnavailable as error:  # stop: it is not known, or the caller may ask again
                    silent, silences[thing] = True, str(error)
                except (NodesDiffer, VerificationFailed, DecodeError) as error:  # stop: the report says it is not known
                    silences[thing] = str(error)

        await asyncio.gather(*map(one, things))
        if self.needs_chain and silent:
            raise ChainUnavailable("no node answers")
        return answers


def _landings(said: Evidence) -> Mapping[str, Landing]:
    """Return by signature what the log knows of where it landed, or when it can have."""
    attempts = (each for fact in facts(said, Signed) for each in (*fact.earlier, fact.attempt))
    landings = {each.signature: Landing(height=each.last_valid_block_height) for each in attempts}
    return landings | {fact.signature: Landing(slot=fact.slot) for fact in latest(said).values()}


def _pattern(fact: type[Fact], collection: UUID) -> str:
    """Return the subjects of what is said of this kind about a collection."""
    return fact.subject_of(**{**dict.fromkeys(fact.tokens(), "*"), "collection": collection})


def _operation_row(row: DatabaseRow) -> OperationRow:
    return OperationRow(
        collection=row["collection_id"],
        recipient=row["recipient"],
        total=row["total_nfts"],
        completed=row["completed_nfts"],
        failed=row["failed"],
        ended=row["ended"],
    )


def _row(row: DatabaseRow) -> Row:
    return Row(row["status"], row["signature"], row["asset_id"], row["leaf_index"], row["ipfs_uri"])


def _copy(row: DatabaseRow) -> RawMessage:
    return RawMessage(row["subject"], row["sequence"], row["stored_at"], row["payload"], {})


def logged_event(raw: RawMessage) -> LoggedEvent:
    """Return a message with what it says; raises UndecodableMessage."""
    return LoggedEvent(raw.sequence, raw.subject, raw.stored_at, raw.payload, decode(raw.subject, raw.payload))


def _read(messages: Iterable[RawMessage]) -> tuple[list[LoggedEvent], dict[int, str]]:
    """Return the messages as events, and by sequence why those that cannot be read cannot be."""
    events: list[LoggedEvent] = []
    unreadable: dict[int, str] = {}
    for raw in messages:
        try:
            logged = logged_event(raw)
        except UndecodableMessage as error:  # stop: it is told in the report
            unreadable[raw.sequence] = str(error)
            continue
        if isinstance(logged.fact, Requested) and logged.fact.total > MAX_ITEMS:
            # Nothing of ours asks for so many, and every item of it would be looked at.
            unreadable[raw.sequence] = f"it asks for {logged.fact.total} items, the most is {MAX_ITEMS}"
        else:
            events.append(logged)
    return events, unreadable
