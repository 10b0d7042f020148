"""Fetching what an audit is made from: the log, its second copy and the tables, the chain, the content.

Used by `mintstream audit` and by the gateway. What cannot be fetched is left out, and the audit says that it does not
know; where the chain itself does not answer, `ChainUnreadable` tells whoever wants to try again instead. Not done here:
judging (`checks`), and reading the archive (whoever gives `said` does, or does not: what has left the stream is then
known from its second copy alone).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol, TypeVar
from uuid import UUID

import httpx

from audit.chain import ChainVerifier, VerificationFailed
from audit.checks import latest
from audit.evidence import Evidence, LoggedEvent, Row
from bubblegum.errors import DecodeError
from chassis.database import Row as DatabaseRow
from chassis.images import MAX_IMAGE_BYTES
from chassis.log import RawMessage
from contracts.leaving import may_leave, operation_patterns
from contracts.mint import Pinned, Requested
from contracts.registry import UndecodableMessage, decode
from contracts.streams import COLLECTION, MINT, Stream
from unixfs import UNIXFS_V1_2025, V0, V1, Cid, CidError, Importer

T = TypeVar("T")

Said = Callable[[Stream, Sequence[str]], AsyncIterator[RawMessage]]
"""Yields what was ever said on these subjects, in order; raises LogUnavailable."""

PARALLEL: Final = 8
PROFILES: Final = (V1, V0, UNIXFS_V1_2025)
"""Those under which files were ever pinned."""

_COPIES: Final = """
SELECT sequence, subject, payload, stored_at FROM event_log
WHERE stream = 'MINT' AND split_part(subject, '.', 4) = $1 ORDER BY sequence
"""
_ROWS: Final = """
SELECT item_index, status, signature, asset_id, leaf_index, ipfs_uri FROM mint_results WHERE operation_id = $1
"""
_OPERATIONS: Final[Mapping[str, str]] = {
    "asset": "SELECT DISTINCT operation_id AS id FROM mint_results WHERE asset_id = $1",
    "signature": "SELECT DISTINCT operation_id AS id FROM mint_results WHERE signature = $1",
    "recipient": "SELECT id FROM mint_operations WHERE recipient = $1 ORDER BY start_time, id",
    "range": "SELECT id FROM mint_operations WHERE start_time >= $1 AND start_time < $2 ORDER BY start_time, id",
}


class Tables(Protocol):
    """The indexer's tables; a pool is one."""

    async def fetch(self, query: str, /, *args: object) -> list[DatabaseRow]:
        """All rows; raises what whoever implements it says."""
        ...


class ChainUnreadable(Exception):
    """The node did not answer: what is on chain is not known, and asking again may tell."""


@dataclass(frozen=True, slots=True)
class Gatherer:
    """Everything that an audit asks; all of it belongs to the caller."""

    said: Said
    database: Tables
    chain: ChainVerifier
    ipfs: httpx.AsyncClient
    needs_chain: bool = False
    """Raise ChainUnreadable where the node does not answer, instead of leaving it out."""
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PARALLEL))

    async def operations(self, by: str, *values: object) -> list[UUID]:
        """Return the operations `by` asset, signature, recipient or range (of the time of the request)."""
        return [row["id"] for row in await self.database.fetch(_OPERATIONS[by], *values)]

    async def evidence(self, operation: UUID) -> Evidence:
        """Return all that there is of an operation.

        Raises LogUnavailable, ChainUnreadable where the chain is needed, and what the tables raise.
        """
        logged, unreadable = _read([raw async for raw in self.said(MINT, operation_patterns(operation))])
        copies = [_copy(row) for row in await self.database.fetch(_COPIES, str(operation))]
        rows = await self.database.fetch(_ROWS, operation)
        left = may_leave((raw.sequence, raw.subject) for raw in copies)
        left -= {each.sequence for each in logged} | unreadable.keys()
        copied, unreadable_copies = _read([raw for raw in copies if raw.sequence in left])
        events = sorted((*logged, *copied), key=lambda each: each.sequence)
        said = Evidence(
            operation=operation,
            events=events,
            unreadable=unreadable | unreadable_copies,
            elsewhere=await self._of_collection(events),
            copies={raw.sequence: raw.payload for raw in copies},
            copied=left,
            rows={row["item_index"]: _row(row) for row in rows},
        )
        confirmed = latest(said).values()
        signatures = {fact.signature for fact in confirmed}
        assets = {leaf.asset_id for fact in confirmed for leaf in fact.leaves}
        pinned = (each.fact for each in events if isinstance(each.fact, Pinned))
        uris = {uri for fact in pinned for item in fact.items for uri in (item.uri, item.image_uri)}
        transactions, proofs, contents = await asyncio.gather(
            self._each(signatures, self.chain.transaction, needed=self.needs_chain),
            self._each(assets, self.chain.leads_to_root, needed=self.needs_chain),
            self._each(uris, self._has_its_cid),
        )
        return replace(said, transactions=transactions, proofs=proofs, contents=contents)

    async def _of_collection(self, events: Iterable[LoggedEvent]) -> frozenset[UUID]:
        """Return the ids of what was said of the operation's collection."""
        requested = next((each.fact for each in events if isinstance(each.fact, Requested)), None)
        if requested is None:
            return frozenset()
        patterns = (f"collection.*.v1.{requested.collection}", f"collection.*.v1.{requested.collection}.>")
        others, _ = _read([raw async for raw in self.said(COLLECTION, patterns)])
        return frozenset(each.event.id for each in others)

    async def _each(
        self, things: Iterable[str], ask: Callable[[str], Awaitable[T]], *, needed: bool = False
    ) -> dict[str, T]:
        """Ask about each thing; what there is no answer about is missing, unless an answer is `needed`."""
        silent: list[httpx.HTTPError] = []

        async def one(thing: str) -> tuple[str, T] | None:
            async with self.slots:
                if needed and silent:
                    return None  # stop: nothing more has to be asked of a node that is away
                try:
                    return thing, await ask(thing)
                except httpx.HTTPError as error:  # stop: it is not known, or the caller may ask again
                    silent.append(error)
                except (VerificationFailed, DecodeError, CidError, ValueError):
                    pass  # stop: the report says that it is not known
                return None

        answers = await asyncio.gather(*map(one, things))
        if needed and silent:
            raise ChainUnreadable(type(silent[0]).__name__)  # never its text, which may hold the node's URL
        return dict(each for each in answers if each is not None)

    async def _has_its_cid(self, uri: str) -> bool | None:
        """Whether the bytes behind an `ipfs://` URI have its CID; None when the gateway has none.

        Raises ValueError for what cannot be told from a file's bytes alone: a path in a directory, another kind of URI.
        """
        scheme, _, rest = uri.partition("://")
        if scheme != "ipfs" or "/" in rest:
            raise ValueError("not a file by its CID")
        cid = Cid.parse(rest)
        importers = [Importer(profile) for profile in PROFILES]
        size = 0
        async with self.ipfs.stream("GET", f"/ipfs/{rest}") as response:
            if response.status_code in (404, 410, 504):
                return None
            response.raise_for_status()
            async for piece in response.aiter_bytes():
                if (size := size + len(piece)) > MAX_IMAGE_BYTES:
                    return False  # nothing so large was ever pinned
                for importer in importers:
                    importer.update(piece)
        return any(importer.finish().cid == cid for importer in importers)


def _row(row: DatabaseRow) -> Row:
    return Row(row["status"], row["signature"], row["asset_id"], row["leaf_index"], row["ipfs_uri"])


def _copy(row: DatabaseRow) -> RawMessage:
    return RawMessage(row["subject"], row["sequence"], row["stored_at"], row["payload"], {})


def _read(messages: Iterable[RawMessage]) -> tuple[list[LoggedEvent], dict[int, str]]:
    """Return the messages as events, and by sequence why those that cannot be read cannot be."""
    events: list[LoggedEvent] = []
    unreadable: dict[int, str] = {}
    for raw in messages:
        try:
            event = decode(raw.subject, raw.payload)
        except UndecodableMessage as error:  # stop: it is told in the report
            unreadable[raw.sequence] = str(error)
        else:
            events.append(LoggedEvent(raw.sequence, raw.subject, raw.stored_at, raw.payload, event))
    return events, unreadable
