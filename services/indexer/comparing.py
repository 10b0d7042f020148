"""Two schemas with the projection's tables, row by row: which row and which column differ.

Postgres joins the two tables by their primary key and hands over only rows that differ, through a cursor, so the memory
here is the same for ten rows and for a billion. Used by replays with `--verify`. Not done here: bringing both schemas
to the same watermarks (`rebuilding`).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chassis.database import Connection, Row, quoted

PREFETCH: Final = 50
MAX_TEXT: Final = 200
"""Characters of a value that are told."""
_OTHER: Final = frozenset({"schema_migrations", "log_losses"})
"""Tables of a schema that do not come from the log."""

_TABLES: Final = """
SELECT c.relname AS name,
       array_agg(a.attname::text ORDER BY a.attnum) AS columns,
       (SELECT array_agg(k.attname::text ORDER BY array_position(i.indkey::int2[], k.attnum))
        FROM pg_index AS i JOIN pg_attribute AS k ON k.attrelid = i.indrelid AND k.attnum = ANY(i.indkey::int2[])
        WHERE i.indrelid = c.oid AND i.indisprimary) AS key
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
GROUP BY c.oid, c.relname ORDER BY c.relname
"""
# The first sequence of each stream that the second copy still has a partition for.
_BEGINNINGS: Final = """
SELECT upper(substring(c.relname FROM '^event_log_(.*)_\\d+$')) AS stream,
       min(substring(c.relname FROM '\\d+$')::bigint) * 1000000 + 1 AS first
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = ($1 || '.event_log')::regclass GROUP BY 1
"""


class Incomparable(Exception):
    """The two schemas do not have the same tables: they were made by different versions."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table's columns, and which of them are its primary key."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs, as text. `column` is None when the whole row is in one schema only."""

    table: str
    key: Mapping[str, str]
    column: str | None
    live: str | None
    rebuilt: str | None

    def __str__(self) -> str:
        row = f"{self.table} ({', '.join(f'{name} = {value}' for name, value in self.key.items())})"
        if self.column is None:
            return f"{row}: {'only live' if self.rebuilt is None else 'only in the replay'}"
        return f"{row}, column {self.column}: {self.live!s} is live, {self.rebuilt!s} is in the replay"


async def tables_of(connection: Connection, schema: str) -> list[Table]:
    """Return the tables of a schema that the log fills, by name."""
    return [
        Table(row["name"], tuple(row["columns"]), tuple(row["key"] or ()))
        for row in await connection.fetch(_TABLES, quoted(schema))
        if row["name"] not in _OTHER
    ]


async def comparable_tables(connection: Connection, live: str, rebuilt: str) -> list[Table]:
    """Return the tables of the rebuilt schema; raises Incomparable when the live one does not have the same.

    What else is in the live schema is none of ours.
    """
    tables, others = await tables_of(connection, rebuilt), await tables_of(connection, live)
    if any(table not in others for table in tables):
        raise Incomparable(f"schemas {live} and {rebuilt} do not have the same tables and columns")
    return tables


async def differences(connection: Connection, table: Table, live: str, rebuilt: str) -> AsyncIterator[Difference]:
    """Yield what differs between two tables of one name; inside of a transaction, whose snapshot is what is compared.

    Of `event_log` only what the live schema still has partitions for is compared: the rest is in the archive.
    """
    beginnings: dict[str, int] = {}
    if table.name == "event_log":
        beginnings = {row["stream"]: row["first"] for row in await connection.fetch(_BEGINNINGS, quoted(live))}
    statement = comparison(table, live, rebuilt, beginnings)
    async for row in connection.cursor(statement, prefetch=PREFETCH):
        for difference in _differences(table, row):
            yield difference


def comparison(table: Table, live: str, rebuilt: str, beginnings: Mapping[str, int]) -> str:
    """Return the statement for the rows that differ: their key, which side is missing, both values of a column."""
    key = ", ".join(map(quoted, table.key))
    values = [name for name in table.columns if name not in table.key]
    # As text, because json has no equality; numbers, times and bytes have one text for one value.
    pairs = [(f"l.{quoted(name)}::text", f"r.{quoted(name)}::text") for name in values]
    selected = [f"{quoted(name)}::text AS {quoted('key ' + name)}" for name in table.key]
    selected += [f"l.{quoted(table.key[0])} IS NULL AS {quoted('no live')}"]
    selected += [f"r.{quoted(table.key[0])} IS NULL AS {quoted('no rebuilt')}"]
    selected += [
        f"CASE WHEN {one} IS DISTINCT FROM {other} THEN ARRAY[left({one}, {MAX_TEXT}), left({other}, {MAX_TEXT})] END"
        f" AS {quoted(name)}"
        for name, (one, other) in zip(values, pairs, strict=True)
    ]
    first = quoted(table.key[0])
    differ = [f"l.{first} IS NULL", f"r.{first} IS NULL", *(f"{one} IS DISTINCT FROM {other}" for one, other in pairs)]
    kept = "".join(f" AND NOT (stream = '{stream}' AND sequence < {first})" for stream, first in beginnings.items())
    return (
        f"SELECT {', '.join(selected)} FROM {quoted(live)}.{quoted(table.name)} AS l "  # noqa: S608  (quoted names)
        f"FULL JOIN {quoted(rebuilt)}.{quoted(table.name)} AS r USING ({key}) "
        f"WHERE ({' OR '.join(differ)}){kept} ORDER BY {key}"
    )


def _differences(table: Table, row: Row) -> Sequence[Difference]:
    key = {name: row[f"key {name}"] for name in table.key}
    if row["no live"] or row["no rebuilt"]:
        sides = (None, "") if row["no live"] else ("", None)
        return [Difference(table.name, key, None, *sides)]
    values = [name for name in table.columns if name not in table.key]
    return [Difference(table.name, key, name, *row[name]) for name in values if row[name] is not None]
