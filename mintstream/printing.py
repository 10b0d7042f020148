"""How commands print: JSON for programs, fields and tables for people.

Used by every command. Not done here: errors, which `program` tells.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer
from rich.console import Console
from rich.table import Table

_UNFOLDED: Final = 10_000
"""Columns of characters that no row of a table needs."""


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
