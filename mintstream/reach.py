"""What the commands that talk to the API share: where it is, how they print, and how they end.

MINTSTREAM_URL and MINTSTREAM_API_KEY name the gateway and the key; without them it is the embedded stack of the data
directory. Not done here: HTTP, which `api` speaks.
"""

import asyncio
import json
import os
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import httpx
import typer
from rich.console import Console
from rich.table import Table

from chassis.log import LogUnavailable
from mintstream.api import ApiError, GatewayClient
from mintstream.drop import DropUnreadable
from mintstream.embedded import embedded

T = TypeVar("T")


class Exit(IntEnum):
    """How a command ends: its exit status."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    STACK = 3
    UNREACHABLE = 4
    KEY = 5
    MISSING = 6
    UNFINISHED = 7
    INTERRUPTED = 130


MEANING: Final[Mapping[Exit, str]] = {
    Exit.DONE: "Done.",
    Exit.FAILED: "The job failed, or the API refused it; the sentence on stderr says why.",
    Exit.USAGE: "Wrong usage: an option, a file or a setting has to be corrected.",
    Exit.STACK: "The embedded stack could not start.",
    Exit.UNREACHABLE: "The API or the log does not answer. Nothing is known to be wrong with the request: try again.",
    Exit.KEY: "The API key is missing, unknown, or may not do this.",
    Exit.MISSING: "There is no such operation, collection, webhook or dead letter.",
    Exit.UNFINISHED: "It was taken on and has not ended in the time that was given; it goes on.",
    Exit.INTERRUPTED: "Interrupted with Ctrl-C. What was taken on goes on.",
}
"""Every exit status, for docs/cli.md."""
_NEXT: Final[Mapping[Exit, str]] = {
    Exit.UNREACHABLE: "Start it with `mintstream up`, or name the API in MINTSTREAM_URL; `mintstream doctor` looks.",
    Exit.KEY: "Set MINTSTREAM_API_KEY; `mintstream keys create` makes a key, and `keys list` shows what each may do.",
}

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, for programs.")]
DataDir = Annotated[
    Path, typer.Option("--data", envvar="MINTSTREAM_DATA", help="Data directory of the embedded stack.")
]
DATA: Final = Path(".data")


@dataclass(frozen=True, slots=True)
class Target:
    """A gateway and a key for it."""

    url: str
    key: str

    @classmethod
    def find(cls, data: Path, environ: Mapping[str, str] = os.environ) -> "Target":
        """Return what the environment names, else the embedded stack of `data`."""
        url, key = environ.get("MINTSTREAM_URL"), environ.get("MINTSTREAM_API_KEY")
        found = embedded(data)
        # The embedded stack's key is for the embedded stack: it is not sent to a gateway that somebody names.
        own = found.api_key if url is None or url.rstrip("/") == found.api else None
        return cls((url or found.api).rstrip("/"), key or own or "")


def gateway(context: typer.Context, data: Path) -> GatewayClient:
    """Return a client of the gateway. A transport in the context's `obj` takes the network's place (tests)."""
    target = Target.find(data)
    return GatewayClient(target.url, target.key, transport=context.find_object(httpx.AsyncBaseTransport))


def carry_out(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work to its end; whatever stops it becomes a sentence and an exit status."""
    try:
        return asyncio.run(work)
    except ApiError as error:
        end(exit_of(error), str(error))
    except LogUnavailable as error:
        end(Exit.UNREACHABLE, str(error))
    except DropUnreadable as error:
        end(Exit.USAGE, str(error))
    except TimeoutError as error:
        end(Exit.UNFINISHED, str(error) or "it has not ended in time")
    except KeyboardInterrupt:
        end(Exit.INTERRUPTED, "Interrupted. What was taken on goes on; the same command goes on from there.")


def asked(context: typer.Context, data: Path, method: str, path: str, **request: Any) -> dict[str, Any]:
    """Return the answer to one request; whatever stops it becomes a sentence and an exit status."""

    async def work() -> dict[str, Any]:
        async with gateway(context, data) as api:
            return await api.call(method, path, **request)

    return carry_out(work())


def tell(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing as it was asked for."""
    print_json(found) if as_json else print_fields(found)


def end(status: Exit, sentence: str) -> NoReturn:
    """Print what is wrong and what comes next on stderr, and end with `status`."""
    typer.echo(sentence, err=True)
    if status in _NEXT:
        typer.echo(_NEXT[status], err=True)
    raise typer.Exit(status) from None


def exit_of(error: ApiError) -> Exit:
    """Return the exit status for what the API said."""
    match error.status:
        case 0 | HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.BAD_GATEWAY | HTTPStatus.SERVICE_UNAVAILABLE:
            return Exit.UNREACHABLE
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return Exit.KEY
        case HTTPStatus.NOT_FOUND:
            return Exit.MISSING
        case HTTPStatus.BAD_REQUEST | HTTPStatus.REQUEST_ENTITY_TOO_LARGE | HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            return Exit.USAGE
        case _:
            return Exit.FAILED


def print_json(value: object) -> None:
    """Print a JSON document on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_fields(fields: Mapping[str, object]) -> None:
    """Print one thing, a field on each line; what is absent is left out."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        if value not in (None, "", [], {}):
            typer.echo(f"{name:<{width}}  {_text(value)}")


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], nothing: str) -> None:
    """Print many things, each on a line; `nothing` when there are none."""
    if not rows:
        typer.echo(nothing)
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_text(row.get(column, "")) for column in columns))
    Console(markup=False).print(table)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
