"""`mintstream replay`: the tables rebuilt from the log beside the live ones, compared with them, put in their place.

Reads archive and stream as one. Whatever ends it, what it has done until then stays, and is gone on from.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from chassis.lifecycle import loop_factory
from mintstream.ending import Exit
from mintstream.options import DATA, AsJson, DataDir
from mintstream.places import Places, opened_archive, opened_log, places
from mintstream.printing import people, print_json
from services.indexer.history import History
from services.indexer.rebuilding import STREAMS, Rebuild

_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def replay(
    into: Annotated[str, typer.Option(help="Schema for the rebuilt tables; one that is there is gone on with.")],
    fresh: Annotated[bool, typer.Option("--fresh", help="Empty the schema first.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Compare with the live tables, row by row.")] = False,
    exchange: Annotated[
        bool, typer.Option("--exchange", help="Make the rebuilt tables the live ones; the live ones go to the schema.")
    ] = False,
    show: Annotated[int, typer.Option(min=0, help="How many differences are shown; all are counted.")] = 20,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Rebuild every table from the log, beside the live ones.

    DATABASE_URL, NATS_URL and ARCHIVE_URL say where; without them it is the embedded stack.

    With --verify and --exchange the tables are exchanged whether or not they differ: that is what a rebuild is for.

    Example: mintstream replay --into rebuilt --verify
    """
    if not _SCHEMA.fullmatch(into):
        raise typer.BadParameter("a schema's name is 1 to 63 of a-z, 0-9 and _, no digit first", param_hint="--into")
    job = Job(into=into, fresh=fresh, verify=verify, exchange=exchange, show=show)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        found = runner.run(_replay(places(data), job, people(stderr=True)))
    if as_json:
        print_json(found)
    else:
        for difference in found.get("differences", ()):
            typer.echo(difference)
    if found.get("different"):
        raise typer.Exit(Exit.WRONG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is asked for."""

    into: str
    fresh: bool
    verify: bool
    exchange: bool
    show: int


async def _replay(settings: Places, job: Job, console: Console) -> dict[str, Any]:
    """Do what is asked for; return what a program wants to know of it."""
    found: dict[str, Any] = {"schema": job.into}
    async with opened_log(settings) as log:
        history = History(log, opened_archive(settings, log), archive_first=True)
        rebuild = Rebuild(settings.database_url, job.into, history)
        await rebuild.prepare(fresh=job.fresh)
        await _catch_up(rebuild, history, console)
        if job.verify:
            found |= await _verify(rebuild, console, job.show)
        if job.exchange:
            with console.status("Waiting for a moment in which nobody holds the tables"):
                await rebuild.exchange()
            console.print(f"The rebuilt tables are live; those from before are in schema {job.into}.")
        return found | {"exchanged": job.exchange}


async def _catch_up(rebuild: Rebuild, history: History, console: Console) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[unit]}"))
    with Progress(*columns, TimeRemainingColumn(elapsed_when_finished=True), console=console) as progress:
        bars: dict[str, TaskID] = {
            stream.name: progress.add_task(stream.name, total=await history.last_sequence(stream), unit="messages")
            for stream in STREAMS
        }
        indexes = progress.add_task("Indexes", total=None, visible=False, unit="and references")
        await rebuild.catch_up(
            lambda stream, sequence: progress.update(bars[stream], completed=sequence),
            lambda made, of: progress.update(indexes, completed=made, total=of, visible=True),
        )


async def _verify(rebuild: Rebuild, console: Console, show: int) -> dict[str, Any]:
    """Compare; return how many values differ, and the first `show` of them."""
    different, shown = 0, list[str]()
    with console.status("Comparing every row with the live tables"):
        async for difference in rebuild.verify():
            different += 1
            if different <= show:
                shown.append(str(difference))
    verdict = f"[bold red]{different} values differ[/]" if different else "[bold green]Every row is the same[/]"
    console.print(f"{verdict} in schema {rebuild.into} and in the live tables.")
    return {"different": different, "differences": shown}
