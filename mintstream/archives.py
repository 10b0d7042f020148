"""`mintstream archive`: put old messages into the archive now, check all that is in it, and get them back out of it.

The indexer does the first by itself, every `ARCHIVE_INTERVAL_SECONDS`.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import asyncpg
import typer

from chassis import postgres
from chassis.clock import SystemClock
from chassis.log import LogUnavailable
from chassis.messaging import Log
from mintstream.places import NAME, Places, opened_archive, opened_log, places
from services.indexer.archive import ArchiveBroken
from services.indexer.archiving import Archive, Archiver, ArchiveUnavailable
from services.indexer.archiving_task import STREAMS, AlreadyArchiving, archive_all
from services.indexer.archiving_task import drop_copies as drop_archived
from services.indexer.archiving_task import restore_copies as restore_archived
from services.indexer.ports import StoreUnavailable

EXIT_FAILED: Final = 1
FAILURES: Final = (
    AlreadyArchiving,
    ArchiveBroken,
    ArchiveUnavailable,
    LogUnavailable,
    OSError,
    StoreUnavailable,
    asyncpg.PostgresError,
    postgres.DatabaseUnavailable,
)

app = typer.Typer(name="archive", help="The archive of old messages.", no_args_is_help=True)

DataDir = Annotated[
    Path, typer.Option("--data", envvar="MINTSTREAM_DATA", help="Data directory of the embedded stack.")
]


@app.command()
def run(
    older_than_hours: Annotated[float, typer.Option(min=0, help="Only messages that are so old.")] = 24.0,
    flush: Annotated[
        bool, typer.Option("--flush", help="Also the last messages, which do not fill a segment yet.")
    ] = False,
    data: DataDir = Path(".data"),
) -> None:
    """Archive what is old enough and in the tables. DATABASE_URL, NATS_URL and ARCHIVE_URL say where.

    Example: ARCHIVE_URL=file:///srv/archive mintstream archive run --flush
    """
    _run(_archive(places(data), timedelta(hours=older_than_hours), flush=flush))


@app.command()
def check(data: DataDir = Path(".data")) -> None:
    """Read the whole archive and hold it to its manifests and to the log. Exit status 1 names what is wrong.

    Example: ARCHIVE_URL=file:///srv/archive mintstream archive check
    """
    _run(_check(places(data)))


@app.command("drop-copies")
def drop_copies(
    older_than_days: Annotated[float, typer.Option(min=0, help="Only messages that are so old.")],
    data: DataDir = Path(".data"),
) -> None:
    """Drop from Postgres the copies of messages that are archived and older, a million messages at a time.

    The tables keep every row; what the API tells of the events of an operation begins with the messages that are left.

    Example: mintstream archive drop-copies --older-than-days 365
    """
    _run(_drop(places(data), timedelta(days=older_than_days)))


@app.command("restore-copies")
def restore_copies(
    unanchored: Annotated[
        bool,
        typer.Option(
            "--unanchored", help="The log was lost with what it said of the archive: hold it to itself alone."
        ),
    ] = False,
    data: DataDir = Path(".data"),
) -> None:
    """Put archived messages back into Postgres where it lacks them: the guard restores a lost log from there.

    Example: ARCHIVE_URL=file:///srv/archive mintstream archive restore-copies --unanchored
    """
    _run(_restore(places(data), unanchored=unanchored))


def _run(work: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(work)
    except FAILURES as error:
        # Stop: the sentence says what is wrong; what was archived until then stays.
        typer.echo(str(error), err=True)
        raise typer.Exit(EXIT_FAILED) from None


async def _archive(settings: Places, age: timedelta, *, flush: bool) -> None:
    async with (
        opened_log(settings) as log,
        postgres.pool(settings.database_url, application_name=NAME, max_size=2) as pool,
    ):
        archiver = Archiver(log, _archive_of(settings, log))
        for stream, count in (await archive_all(archiver, pool, SystemClock(), age, flush=flush)).items():
            typer.echo(f"{stream}: {count} messages archived")


async def _drop(settings: Places, age: timedelta) -> None:
    async with (
        opened_log(settings) as log,
        postgres.pool(settings.database_url, application_name=NAME, max_size=1) as pool,
    ):
        archive = _archive_of(settings, log)
        for stream in STREAMS:
            newest = await archive.last(stream)
            until = SystemClock().now() - age
            dropped = await drop_archived(pool, stream, newest.last, until) if newest else 0
            typer.echo(f"{stream.name}: {dropped} partitions dropped")


async def _restore(settings: Places, *, unanchored: bool) -> None:
    async with AsyncExitStack() as resources:
        log = None if unanchored else await resources.enter_async_context(opened_log(settings))
        archive = _archive_of(settings, log)
        pool = await resources.enter_async_context(
            postgres.pool(settings.database_url, application_name=NAME, max_size=2)
        )
        for stream in STREAMS:
            typer.echo(f"{stream.name}: {await restore_archived(pool, archive, stream)} copies restored")


async def _check(settings: Places) -> None:
    async with opened_log(settings) as log:
        archive = _archive_of(settings, log)
        for stream in STREAMS:
            segments, last = 0, 0
            async for manifest in archive.manifests(stream):
                await archive.segment(manifest)
                segments, last = manifest.number, manifest.last
            typer.echo(
                f"{stream.name}: {segments} segments, messages 1 to {last}" if last else f"{stream.name}: nothing"
            )


def _archive_of(settings: Places, log: Log | None) -> Archive:
    archive = opened_archive(settings, log)
    if archive is None:
        raise ArchiveUnavailable("ARCHIVE_URL is not set: it names the archive's folder or bucket")
    return archive
