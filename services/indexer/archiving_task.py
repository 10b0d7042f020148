"""The indexer's archiving: again and again, whatever has become old enough since; and what follows for event_log.

One process at a time, by an advisory lock, whether a replica of the indexer or `mintstream archive`. Not done here: how
(`archiving`).
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import asyncpg

from archive.reading import Archive, HistoryIncomplete
from archive.segments import ArchiveBroken, Manifest
from chassis.clock import Clock
from chassis.database import Pool
from chassis.log import LogUnavailable, RawMessage
from chassis.telemetry import get_logger
from contracts.streams import COLLECTION, MINT, Stream
from services.indexer.archiving import Archiver, Bounds
from services.indexer.columns import as_columns
from services.indexer.event_log import header_text, keepable
from services.indexer.pauses import pause_after
from services.indexer.ports import StoreUnavailable
from services.indexer.truncation import PARTITION
from services.indexer.vault import PostgresVault

STREAMS: Final = (MINT, COLLECTION)
"""Those that are projected: what has no second copy is not archived either."""
# Any constant serves, as long as nothing else in the database uses it.
LOCK_KEY: Final = 0x6D696E74_00000004

# Up to the last partition's end whose message is old enough, and not beyond what has to be told from it still.
_DROPPABLE: Final = """
SELECT least(
    (SELECT coalesce(max(e.sequence), 0) FROM event_log AS e
     WHERE e.stream = $1 AND e.stored_at < $3
       AND e.sequence = ANY(ARRAY(SELECT generate_series(1000000, $2::bigint, 1000000)))),
    (SELECT coalesce(min(o.settled_sequence) - 1, 9223372036854775807) FROM mint_operations AS o
     WHERE $1 = 'MINT' AND o.settled_sequence IS NOT NULL AND o.end_time IS NULL)
)
"""

_COUNT: Final = "SELECT count(*) FROM event_log WHERE stream = $1 AND sequence BETWEEN $2 AND $3"
# A copy that is there stays: the guard may have stored its message anew, with other headers.
_RESTORE: Final = """
INSERT INTO event_log (stream, sequence, subject, payload, headers, stored_at)
SELECT $1, t.* FROM unnest($2::bigint[], $3::text[], $4::bytea[], $5::text[]::json[], $6::timestamptz[]) AS t
ON CONFLICT DO NOTHING
"""

_log = get_logger(__name__)


class AlreadyArchiving(Exception):
    """Another process is at it."""


async def archive_all(
    archiver: Archiver, pool: Pool, clock: Clock, age: timedelta, *, flush: bool = False
) -> Mapping[str, int]:
    """Archive what is older than `age` of every stream; return how many messages that were, by stream.

    Raises AlreadyArchiving, ArchiveBroken, HistoryIncomplete, LogUnavailable and StoreUnavailable.
    """
    vault, until = PostgresVault(pool), clock.now() - age
    async with _alone(pool):
        return {
            stream.name: await archiver.archive(
                stream, Bounds(watermark=await vault.watermark(stream.name), until=until), flush=flush
            )
            for stream in STREAMS
        }


async def drop_copies(pool: Pool, archive: Archive, stream: Stream, until: datetime) -> int:
    """Drop the partitions of event_log that are older than `until`, once the archive was read and says the same.

    Of what has left the stream the archive is then all that there is. Not those that somebody still reads: the end of
    an operation is told from the message that settled it. Returns how many partitions were dropped; raises
    ArchiveBroken, LogUnavailable and StoreUnavailable, and then nothing was dropped.
    """
    manifests = [manifest async for manifest in archive.manifests(stream)]
    archived = manifests[-1].last if manifests else 0
    try:
        end = int(await pool.fetchval(_DROPPABLE, stream.name, archived, until)) // PARTITION * PARTITION
        for manifest in manifests:
            if manifest.first <= end:
                await _hold_to_copies(PostgresVault(pool), archive, stream, manifest, end)
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '2s'")
            return int(await connection.fetchval("SELECT shorten_event_log($1, $2)", stream.name, end))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # Retry, by the caller: nothing was dropped.
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


async def _hold_to_copies(vault: PostgresVault, archive: Archive, stream: Stream, manifest: Manifest, end: int) -> None:
    """Raise ArchiveBroken unless the segment has every copy that there is of its messages up to sequence `end`."""
    copies = await vault.messages(stream.name, manifest.first, min(manifest.last, end))
    if not copies:
        return  # dropped before
    await archive.ids(manifest)
    archived = {raw.sequence: (raw.subject, raw.payload) for raw in await archive.segment(manifest)}
    for raw in copies:
        if archived.get(raw.sequence) != (raw.subject, raw.payload):
            raise ArchiveBroken(stream.name, manifest.number, f"event_log has another message {raw.sequence}")


async def restore_copies(pool: Pool, archive: Archive, stream: Stream) -> int:
    """Put archived messages back into event_log, wherever it lacks them up to the watermark; return how many that were.

    From there the truncation guard can give them back to a log that was lost. A segment is one transaction: whatever
    dies goes on with the segment that was not finished. Raises AlreadyArchiving, ArchiveBroken, LogUnavailable and
    StoreUnavailable.
    """
    restored, vault = 0, PostgresVault(pool)
    async with _alone(pool):
        async for manifest in archive.manifests(stream):
            end = min(manifest.last, await vault.watermark(stream.name))
            kept = await pool.fetchval(_COUNT, stream.name, manifest.first, end)
            if kept < end - manifest.first + 1:
                segment = await archive.segment(manifest)
                messages = [raw for raw in segment if raw.sequence <= end and keepable(raw)]
                async with pool.acquire() as connection, connection.transaction():
                    await connection.fetchval(
                        "SELECT reach_event_log($1, $2, $3)", stream.name, manifest.first, manifest.last
                    )
                    await connection.execute(_RESTORE, stream.name, *as_columns(messages, _row, 5))
                restored += len(messages) - kept
    return restored


def _row(raw: RawMessage) -> tuple[object, ...]:
    """The columns of `_RESTORE`."""
    return raw.sequence, raw.subject, raw.payload, header_text(raw.headers), raw.stored_at


@asynccontextmanager
async def _alone(pool: Pool) -> AsyncGenerator[None]:
    try:
        async with pool.acquire() as connection:
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
                raise AlreadyArchiving("another process is archiving")
            try:
                yield
            finally:
                if not connection.is_closed():  # a closed connection has given the lock back
                    await connection.execute("SELECT pg_advisory_unlock($1)", LOCK_KEY)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # Retry, by the caller: what was archived is on the log.
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class Archiving:
    """Archives every `interval` seconds what is older than `age`."""

    archiver: Archiver
    pool: Pool
    clock: Clock
    interval: float
    age: timedelta

    async def run(self) -> None:
        """Archive until cancelled."""
        failures = 0
        while True:
            try:
                await archive_all(self.archiver, self.pool, self.clock, self.age)
                failures = 0
                await self.clock.sleep(self.interval)
            except AlreadyArchiving:  # stop: what there is to do is done by another
                await self.clock.sleep(self.interval)
            except ArchiveBroken as error:
                # Retry, seldom: nothing is appended to an archive that was changed, until somebody has mended it.
                _log.critical("THE ARCHIVE WAS CHANGED: nothing is archived", reason=str(error))
                await self.clock.sleep(self.interval)
            except HistoryIncomplete as error:
                # Retry, seldom: the stream has a hole, and an archive has none; nothing behind it is archived.
                _log.error("cannot archive", reason=str(error))
                await self.clock.sleep(self.interval)
            except (LogUnavailable, StoreUnavailable) as error:  # retry: what was archived is on the log
                failures += 1
                _log.warning("cannot archive", reason=str(error), again_in=pause_after(failures))
                await self.clock.sleep(pause_after(failures))
