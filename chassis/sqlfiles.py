"""Where SQL files come from: a folder, or a package's resources.

Used by `chassis.migrations` and `chassis.queries`. Not done here: understanding what is in the files.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

SqlSource = Path | str
"""A folder, or the dotted name of a package that holds the .sql files (`services.indexer.sql`)."""


def sql_files(source: SqlSource) -> list[tuple[str, str]]:
    """(file name, text) of every `*.sql` in `source`, sorted by name. Raises FileNotFoundError when there are none."""
    folder: Traversable = source if isinstance(source, Path) else files(source)
    found = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    if not found:
        raise FileNotFoundError(f"no .sql file in {source}")
    return [(name, (folder / name).read_text(encoding="utf-8")) for name in found]
