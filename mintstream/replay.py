"""`mintstream replay`: the tables rebuilt from the log beside the live ones, compared with them, put in their place.

Reads archive and stream as one. Exit status 1 when the tables differ, or when the job failed.
"""

import asyncio
from pathlib import Path
from typing import Annotated, Final

import asyncpg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from chassis.log import LogUnavailable
from mintstream.places import Places, opened_archive, opened_log, places
from services.indexer.archive import ArchiveBroken
from services.indexer.archiving import ArchiveUnavailable
from services.indexer.comparing import Difference, Incomparable
from services.indexer.history import History, HistoryIncomplete
from services.indexer.ports import Fenced, StoreUnavailable
from services.indexer.rebuilding import STREAMS, Busy, Rebuild, RebuildRefused

EXIT_FAILED: Final = 1
FAILURES: Final = (
    ArchiveBroken,
    ArchiveUnavailable,
    Busy,
    Fenced,
    HistoryIncomplete,
    Incomparable,
    LogUnavailable,
    OSError,
    RebuildRefused,
    StoreUnavailable,
    asyncpg.PostgresError,
)
"""What ends a replay with a sentence; what it has done until then stays and is gone on from."""


def replay(
    into: Annotated[str, typer.Option(help="Schema for the rebuilt tables; one that is there is gone on with.")],
    fresh: Annotated[bool, typer.Option("--fresh", help="Empty the schema first.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Compare with the live tables, row by row.")] = False,
    exchange: Annotated[
        bool, typer.Option("--exchange", help="Make the rebuilt tables the live ones; the live ones go to the schema.")
    ] = False,
    show: Annotated[int, typer.Option(min=0, help="How many differences are shown; all are counted.")] = 20,
    data: Annotated[
        Path, typer.Option("--data", envvar="MINTSTREAM_DATA", help="Data directory of the embedded stack.")
    ] = Path(".data"),
) -> None:
    """Rebuild every table from the log, beside the live ones. DATABASE_URL, NATS_URL and ARCHIVE_URL say where.

    With --verify and --exchange the tables are exchanged whether or not they differ: that is what a rebuild is for.

    Example: mintstream replay --into rebuilt --verify
    """
    settings = places(data)
    console = Console(stderr=True)
    try:
        different = asyncio.run(_replay(settings, console, into, fresh, verify, exchange, show))
    except FAILURES as error:
        # Stop: the sentence says what is wrong; the same command goes on from where this one came.
        console.print(f"[bold red]The replay failed:[/] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(EXIT_FAILED) from None
    if different:
        raise typer.Exit(EXIT_FAILED)


async def _replay(
    settings: Places, console: Console, into: str, fresh: bool, verify: bool, exchange: bool, show: int
) -> int:
    """Do what is asked for; return how many values differ."""
    async with opened_log(settings) as log:
        history = History(log, opened_archive(settings, log), archive_first=True)
        rebuild = Rebuild(settings.database_url, into, history)
        await rebuild.prepare(fresh=fresh)
        await _catch_up(rebuild, history, console)
        different = await _verify(rebuild, console, show) if verify else 0
        if exchange:
            with console.status("Waiting for a moment in which nobody holds the tables"):
                await rebuild.exchange()
            console.print(f"The rebuilt tables are live; those from before are in schema {into}.", highlight=False)
    return different


async def _catch_up(rebuild: Rebuild, history: History, console: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("messages"))
    with Progress(*columns, TimeRemainingColumn(elapsed_when_finished=True), console=console) as progress:
        bars: dict[str, TaskID] = {
            stream.name: progress.add_task(stream.name, total=await history.last_sequence(stream)) for stream in STREAMS
        }
        await rebuild.catch_up(lambda stream, sequence: progress.update(bars[stream], completed=sequence))


async def _verify(rebuild: Rebuild, console: Console, show: int) -> int:
    found = 0
    with console.status("Comparing every row with the live tables"):
        async for difference in rebuild.verify():
            found += 1
            if found <= show:
                _tell(difference)
    if found > show:
        console.print(f"... and {found - show} more", highlight=False)
    verdict = f"[bold red]{found} values differ[/]" if found else "[bold green]Every row is the same[/]"
    console.print(f"{verdict} in schema {rebuild.into} and in the live tables.", highlight=False)
    return found


def _tell(difference: Difference) -> None:
    """Print to stdout, each on a line of its own, for whoever collects them."""
    typer.echo(str(difference))
