"""`mintstream archive`: put old messages into the archive, check it, take from the log what it has, and get it back.

The indexer does the first by itself, every `ARCHIVE_INTERVAL_SECONDS`.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from archive.reading import Archive
from chassis.clock import SystemClock
from chassis.messaging import Log
from contracts.streams import MINT
from mintstream.ending import Exit, end
from mintstream.following import passing_bar
from mintstream.options import DATA, AsJson, DataDir
from mintstream.places import Places, opened_archive, opened_log, opened_tables, places
from mintstream.printing import people, print_json
from services.indexer.archiving import Archiver
from services.indexer.archiving_task import STREAMS, archive_all
from services.indexer.archiving_task import drop_copies as drop_archived
from services.indexer.archiving_task import restore_copies as restore_archived
from services.indexer.pruning import Pruned, Pruner
from services.indexer.vault import PostgresVault

MIN_DAYS: Final = 7
"""Webhooks are tried for three days and parked; until then what they tell has to be on the log."""

app = typer.Typer(
    name="archive",
    help="Old messages: archive, check, take from the log, get back.",
    no_args_is_help=True,
)

COLUMNS: Final = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TextColumn("messages"),
    TimeRemainingColumn(),
)

Told = Mapping[str, Mapping[str, int]]
"""By stream, what was done or found."""


@app.command()
def run(
    older_than_hours: Annotated[float, typer.Option(min=0, help="Only messages that are so old.")] = 24.0,
    flush: Annotated[
        bool, typer.Option("--flush", help="Also the last messages, which do not fill a segment yet.")
    ] = False,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Archive what is old enough and in the tables. DATABASE_URL, NATS_URL and ARCHIVE_URL say where.

    Example: ARCHIVE_URL=file:///srv/archive mintstream archive run --flush
    """
    work = _archive(places(data), timedelta(hours=older_than_hours), flush=flush)
    _run(work, "{archived:,} messages archived", as_json=as_json)


@app.command()
def check(as_json: AsJson = False, data: DataDir = DATA) -> None:
    """Read the whole archive and hold it to its manifests and to the log. What is wrong is named.

    Example: ARCHIVE_URL=file:///srv/archive mintstream archive check
    """
    _run(_check(places(data)), "{segments:,} segments, messages 1 to {last:,}", as_json=as_json)


@app.command()
def prune(
    older_than_days: Annotated[
        float, typer.Option(min=MIN_DAYS, help="Only operations of which nothing was said for so long.")
    ],
    at_most: Annotated[
        int | None, typer.Option(min=1, help="Only so many operations, the oldest first; the next run goes on.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would leave, and take nothing.")] = False,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Take the attempts of operations that are over from the log, once the archive and the tables have them.

    Nothing else deletes from the log, and only the operator's NATS user may. It tells which operations stay, and why.

    Example: ARCHIVE_URL=s3://archive mintstream archive prune --older-than-days 90 --dry-run
    """
    done = asyncio.run(_prune(places(data), timedelta(days=older_than_days), most=at_most, dry_run=dry_run))
    if as_json:
        print_json(pruned_figures(done))
        return
    verb = "would leave" if dry_run else "have left"
    typer.echo(
        f"{MINT.name}: {done.messages:,} messages ({done.bytes:,} bytes) of {done.operations:,} operations {verb}"
    )
    for reason, count in sorted(done.staying.items()):
        typer.echo(f"{MINT.name}: {count:,} operations stay: {reason}")


@app.command("drop-copies")
def drop_copies(
    older_than_days: Annotated[float, typer.Option(min=0, help="Only messages that are so old.")],
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Drop from Postgres the copies of messages that are archived and older, a million messages at a time.

    The tables keep every row; what the API tells of the events of an operation begins with the messages that are left.

    Example: mintstream archive drop-copies --older-than-days 365
    """
    work = _drop(places(data), timedelta(days=older_than_days))
    _run(work, "{dropped:,} partitions dropped", as_json=as_json)


@app.command("restore-copies")
def restore_copies(
    unanchored: Annotated[
        bool,
        typer.Option(
            "--unanchored", help="The log was lost with what it said of the archive: hold it to itself alone."
        ),
    ] = False,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Put archived messages back into Postgres where it lacks them: the guard restores a lost log from there.

    Example: ARCHIVE_URL=file:///srv/archive mintstream archive restore-copies --unanchored
    """
    _run(_restore(places(data), unanchored=unanchored), "{restored:,} copies restored", as_json=as_json)


def _run(work: Coroutine[Any, Any, Told], sentence: str, *, as_json: bool) -> None:
    """Do it and tell it, a line for each stream. What was done before an error stays."""
    with people(stderr=True).status("Reading the log and its archive"):
        told = asyncio.run(work)
    if as_json:
        print_json(told)
        return
    for stream, figures in told.items():
        typer.echo(f"{stream}: {sentence.format(**figures) if any(figures.values()) else 'nothing'}")


async def _archive(settings: Places, age: timedelta, *, flush: bool) -> Told:
    async with (
        opened_log(settings) as log,
        opened_tables(settings, 2) as pool,
    ):
        archiver = Archiver(log, _archive_of(settings, log))
        counts = await archive_all(archiver, pool, SystemClock(), age, flush=flush)
        return {stream: {"archived": count} for stream, count in counts.items()}


def pruned_figures(done: Pruned) -> dict[str, dict[str, Any]]:
    """Return what was pruned, by stream."""
    staying = {reason.name.lower(): count for reason, count in sorted(done.staying.items())}
    figures = {"operations": done.operations, "messages": done.messages, "bytes": done.bytes, "staying": staying}
    return {MINT.name: figures}


async def _prune(settings: Places, age: timedelta, *, most: int | None, dry_run: bool) -> Pruned:
    async with (
        opened_log(settings) as log,
        opened_tables(settings) as pool,
    ):
        pruner = Pruner(log, log.repair(), PostgresVault(pool), _archive_of(settings, log))
        until = SystemClock().now() - age
        with passing_bar(people(stderr=True), *COLUMNS) as bars:
            bar = bars.add_task(MINT.name, total=await log.last_sequence(MINT))
            return await pruner.prune(
                until, rehearse=dry_run, most=most, progress=lambda sequence: bars.update(bar, completed=sequence)
            )


async def _drop(settings: Places, age: timedelta) -> Told:
    told: dict[str, dict[str, int]] = {}
    async with (
        opened_log(settings) as log,
        opened_tables(settings) as pool,
    ):
        archive = _archive_of(settings, log)
        for stream in STREAMS:
            until = SystemClock().now() - age
            told[stream.name] = {"dropped": await drop_archived(pool, archive, stream, until)}
    return told


async def _restore(settings: Places, *, unanchored: bool) -> Told:
    async with AsyncExitStack() as resources:
        log = None if unanchored else await resources.enter_async_context(opened_log(settings))
        archive = _archive_of(settings, log)
        pool = await resources.enter_async_context(opened_tables(settings, 2))
        return {stream.name: {"restored": await restore_archived(pool, archive, stream)} for stream in STREAMS}


async def _check(settings: Places) -> Told:
    told: dict[str, dict[str, int]] = {}
    async with opened_log(settings) as log:
        archive = _archive_of(settings, log)
        for stream in STREAMS:
            segments, last = 0, 0
            async for manifest in archive.checked(stream):
                segments, last = manifest.number, manifest.last
            told[stream.name] = {"segments": segments, "last": last}
    return told


def _archive_of(settings: Places, log: Log | None) -> Archive:
    archive = opened_archive(settings, log)
    if archive is None:
        end(Exit.USAGE, "ARCHIVE_URL is not set: it names the archive's folder or bucket")
    return archive
