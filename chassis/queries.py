"""Named SQL queries, read from .sql files.

Used by SQL adapters of the services. A file holds queries like

    -- name: operation_by_id
    -- The operation with its progress, or no row.
    SELECT ... WHERE id = $1;

Not done here: running them, or checking them against a database (the tests of each service do).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

import msgspec

from chassis.sqlfiles import SqlSource, sql_files

_HEADER = re.compile(r"^--[ \t]*name:[ \t]*(?P<name>\S*)[ \t]*$", re.MULTILINE)
_NAME = re.compile(r"^[a-z][a-z0-9_]*$")
_COMMENT: Final = "--"

T = TypeVar("T", bound=msgspec.Struct)


class QueryFileError(Exception):
    """A .sql file is not what the loader expects; the text names file and query."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One named query."""

    name: str
    description: str
    sql: str
    source: str


class Queries(Mapping[str, Query]):
    """Queries by name; `into` gives them as a Struct of texts, checked for completeness."""

    def __init__(self, queries: Mapping[str, Query], source: SqlSource) -> None:
        self._queries = dict(queries)
        self._source = source

    def __getitem__(self, name: str) -> Query:
        return self._queries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._queries)

    def __len__(self) -> int:
        return len(self._queries)

    def into(self, struct: type[T]) -> T:
        """An instance of `struct`, whose every field is a `str` named like a query, with the SQL texts.

        Raises `QueryFileError` when a field has no query or a query no field.
        """
        wanted = {field.name for field in msgspec.structs.fields(struct)}
        if missing := sorted(wanted - self.keys()):
            raise QueryFileError(f"{self._source}: no query named {', '.join(missing)}")
        if unused := sorted(self.keys() - wanted):
            raise QueryFileError(f"{self._source}: {struct.__name__} has no field for {', '.join(unused)}")
        return struct(**{name: query.sql for name, query in self.items()})


def load_queries(source: SqlSource) -> Queries:
    """The queries of every .sql file in `source` (a folder or a package name).

    Raises `QueryFileError` for a bad or double name, a missing description, an empty query, or text before the
    first name; FileNotFoundError when there is no file.
    """
    found: dict[str, Query] = {}
    for file_name, text in sql_files(source):
        for query in parse_queries(text, file_name):
            if query.name in found:
                raise QueryFileError(f"{file_name}: {query.name} is already in {found[query.name].source}")
            found[query.name] = query
    return Queries(found, source)


def parse_queries(text: str, source: str) -> list[Query]:
    """The queries of one file's text; `source` is its name, for errors."""
    headers = list(_HEADER.finditer(text))
    preamble = text[: headers[0].start()] if headers else text
    if any(line.strip() and not line.startswith(_COMMENT) for line in preamble.splitlines()):
        raise QueryFileError(f"{source}: SQL before the first '-- name:' line")
    ends = [*(header.start() for header in headers[1:]), len(text)]
    return (
        [_query(header["name"], text[header.end() : end], source) for header, end in zip(headers, ends, strict=True)]
        if headers
        else []
    )


def _query(name: str, body: str, source: str) -> Query:
    if not _NAME.match(name):
        raise QueryFileError(f"{source}: {name!r} is no name for a query (snake_case)")
    lines = body.strip().splitlines()
    first_sql = next((i for i, line in enumerate(lines) if not line.startswith(_COMMENT)), len(lines))
    description = " ".join(line.removeprefix(_COMMENT).strip() for line in lines[:first_sql]).strip()
    sql = "\n".join(lines[first_sql:]).strip().removesuffix(";").strip()
    if not description:
        raise QueryFileError(f"{source}: {name} has no description comment")
    if not sql:
        raise QueryFileError(f"{source}: {name} has no SQL")
    return Query(name=name, description=description, sql=sql, source=source)
