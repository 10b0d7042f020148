"""docs/reliability.md, put together from a text and from what the runs have recorded: no figure in it is typed.

    python -m tests.chaos.report [--check]

A run with `--document` records what it came to, with its command, machine and day, as `results/<name>.json`, and puts
the document together anew; so a section says what its own command last came to. The text around the sections is
`reliability.template.md`, where `{{name}}` stands for a section.
"""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from chassis.generated import write_or_check
from tests.bench.report import Section, machine

HERE: Final = Path(__file__).resolve().parent
TEMPLATE: Final = HERE / "reliability.template.md"
RESULTS: Final = HERE / "results"
RELIABILITY: Final = HERE.parents[1] / "docs" / "reliability.md"
_PLACE = re.compile(r"^\{\{([a-z-]+)\}\}$", re.MULTILINE)
STALE: Final = "docs/reliability.md is not what its template and results say: python -m tests.chaos.report"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to."""

    title: str
    command: str
    machine: str
    """With the day."""
    parts: tuple[str, ...]
    """Paragraphs and tables in Markdown."""
    figures: dict[str, object] = {}
    """The same as numbers, for whoever compares runs."""

    def text(self) -> str:
        """The section of the document."""
        return "\n\n".join((f"## {self.title}", f"`{self.command}` on {self.machine}.", *map(str.strip, self.parts)))


def name_of(title: str) -> str:
    """The name of a section's file and place: `Random schedules` is `random-schedules`."""
    return re.sub(r"[^a-z]+", "-", title.lower()).strip("-")


def record(section: Section, figures: Mapping[str, object] | None = None, directory: Path = RESULTS) -> Path:
    """Keep what a run came to; returns the file."""
    result = Result(
        title=section.title,
        command=section.command,
        machine=machine(),
        parts=tuple(section.parts),
        figures=dict(figures or {}),
    )
    directory.mkdir(exist_ok=True)
    path = directory / f"{name_of(section.title)}.json"
    path.write_text(json.dumps(msgspec.to_builtins(result), indent=2, ensure_ascii=False) + "\n")
    return path


def document(section: Section, figures: Mapping[str, object] | None = None) -> None:
    """Keep what a run came to, and put the document together anew."""
    record(section, figures)
    RELIABILITY.write_text(assembled(TEMPLATE.read_text(), recorded(RESULTS)))


def recorded(directory: Path) -> dict[str, Result]:
    """Every result in a folder, by the name of its section. Raises msgspec.DecodeError for a file that is none."""
    found = {
        path.stem: msgspec.json.decode(path.read_bytes(), type=Result) for path in sorted(directory.glob("*.json"))
    }
    assert all(name == name_of(result.title) for name, result in found.items()), "a result has another one's name"
    return found


def assembled(template: str, results: Mapping[str, Result]) -> str:
    """The document; a section without a result says so. Raises ValueError when a result has no place. Pure."""
    if homeless := results.keys() - set(_PLACE.findall(template)):
        raise ValueError(f"the template has no place for {', '.join(sorted(homeless))}")

    def told(place: re.Match[str]) -> str:
        result = results.get(place[1])
        return f"## {place[1].capitalize()}\n\nNothing is recorded." if result is None else result.text()

    return _PLACE.sub(told, template)


def main() -> int:
    """Write the document, or with --check compare it."""
    wanted = assembled(TEMPLATE.read_text(), recorded(RESULTS))
    return write_or_check(RELIABILITY, wanted.encode(), sys.argv[1:], STALE)


if __name__ == "__main__":
    sys.exit(main())
