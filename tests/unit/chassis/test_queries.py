"""chassis.queries and the file side of chassis.migrations."""

from pathlib import Path

import msgspec
import pytest

from chassis.migrations import MigrationError, load_migrations
from chassis.queries import QueryFileError, load_queries, parse_queries

FILE = """\
-- Queries of the tests.

-- name: operation_by_id
-- One operation,
-- or no row.
SELECT *
FROM mint_operations -- a remark
WHERE id = $1;

-- name: touch
-- Nothing much.
UPDATE t SET x = 1
"""


class Texts(msgspec.Struct, frozen=True):
    operation_by_id: str
    touch: str


class Fewer(msgspec.Struct, frozen=True):
    touch: str


class More(Texts, frozen=True):
    other: str


def test_names_descriptions_and_texts(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text(FILE)
    queries = load_queries(tmp_path)
    assert list(queries) == ["operation_by_id", "touch"]
    query = queries["operation_by_id"]
    assert query.description == "One operation, or no row."
    assert query.sql == "SELECT *\nFROM mint_operations -- a remark\nWHERE id = $1"
    assert query.source == "a.sql"
    assert queries.into(Texts).touch == "UPDATE t SET x = 1"


def test_a_struct_must_fit(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text(FILE)
    with pytest.raises(QueryFileError, match="no query named other"):
        load_queries(tmp_path).into(More)
    with pytest.raises(QueryFileError, match="Fewer has no field for operation_by_id"):
        load_queries(tmp_path).into(Fewer)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("-- name: a\nSELECT 1", "a has no description"),
        ("-- name: a\n-- Something.\n", "a has no SQL"),
        ("-- name: A-b\n-- Something.\nSELECT 1", "'A-b' is no name"),
        ("-- name:\n-- Something.\nSELECT 1", "'' is no name"),
        ("SELECT 1;\n-- name: a\n-- Something.\nSELECT 1", "SQL before the first"),
        ("SELECT 1;", "SQL before the first"),
    ],
)
def test_files_that_do_not_do(text: str, problem: str) -> None:
    with pytest.raises(QueryFileError, match=problem):
        parse_queries(text, "a.sql")


def test_a_name_is_given_once(tmp_path: Path) -> None:
    (tmp_path / "a.sql").write_text(FILE)
    (tmp_path / "b.sql").write_text("-- name: touch\n-- Again.\nSELECT 1")
    with pytest.raises(QueryFileError, match=r"b\.sql: touch is already in a\.sql"):
        load_queries(tmp_path)


def test_a_folder_without_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no \.sql file"):
        load_queries(tmp_path)


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["0001_a.sql", "0003_b.sql"], "0003_b.sql: expected number 0002"),
        (["0001_a.sql", "0001_b.sql"], "0001_b.sql: expected number 0002"),
        (["0002_a.sql"], "expected number 0001"),
        (["1_a.sql"], "is named like"),
        (["0001-a.sql"], "is named like"),
    ],
)
def test_migrations_are_numbered_without_gaps(tmp_path: Path, names: list[str], problem: str) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(MigrationError, match=problem):
        load_migrations(tmp_path)


def test_line_ends_do_not_change_a_checksum(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_bytes(b"SELECT 1;\nSELECT 2;\n")
    unix = load_migrations(tmp_path)[0]
    (tmp_path / "0001_a.sql").write_bytes(b"SELECT 1;\r\nSELECT 2;\r\n")
    assert load_migrations(tmp_path)[0].checksum == unix.checksum
    (tmp_path / "0001_a.sql").write_bytes(b"SELECT 1;\nSELECT 3;\n")
    assert load_migrations(tmp_path)[0].checksum != unix.checksum
