"""What the commands share: where the API is, which options are everybody's, and how they print.

MINTSTREAM_URL and MINTSTREAM_API_KEY name the gateway and the key; without them it is the embedded stack of the data
directory. Not done here: HTTP, which `api` speaks, and how a command ends (`ending`).
"""

import asyncio
import json
import os
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import httpx
import typer
from rich.console import Console
from rich.table import Table

from mintstream.api import GatewayClient
from mintstream.embedded import embedded
from mintstream.ending import Exit, end

T = TypeVar("T")

JSON_FLAG: Final = "--json"
AsJson = Annotated[bool, typer.Option(JSON_FLAG, help="Print JSON on stdout, for programs.")]
DataDir = Annotated[
    Path, typer.Option("--data", envvar="MINTSTREAM_DATA", help="Data directory of the embedded stack.")
]
DATA: Final = Path(".data")
_UNFOLDED: Final = 10_000
"""Columns of characters that no row of a table needs."""


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
    """Run a command's work to its end. What takes longer than it was given goes on, and ends the command so."""
    try:
        return asyncio.run(work)
    except TimeoutError as error:
        end(Exit.UNFINISHED, str(error) or "it has not ended in time")


def asked(context: typer.Context, data: Path, method: str, path: str, **request: Any) -> dict[str, Any]:
    """Return the answer to one request."""

    async def work() -> dict[str, Any]:
        async with gateway(context, data) as api:
            return await api.call(method, path, **request)

    return carry_out(work())


def tell(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing as it was asked for."""
    print_json(found) if as_json else print_fields(found)


def print_json(value: object) -> None:
    """Print a JSON document on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_fields(fields: Mapping[str, object]) -> None:
    """Print one thing, a field on each line; what is absent is left out."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        if value not in (None, "", [], {}):
            typer.echo(f"{name:<{width}}  {_text(value)}")


def people(*, stderr: bool = False) -> Console:
    """Return a terminal to talk to people; numbers and ids are in no colours that nobody gave them."""
    return Console(stderr=stderr, highlight=False)


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], nothing: str) -> None:
    """Print many things, each on a line; `nothing` when there are none.

    Ids stay whole, to be copied: what is wider than a terminal is left for it to wrap.
    """
    if not rows:
        typer.echo(nothing)
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(_text(row.get(column, "")) for column in columns))
    Console(markup=False, highlight=False, width=_UNFOLDED).print(table)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)
