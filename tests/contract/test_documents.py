"""What the documents point at is there: files, headings, make's targets, modules, commands and their options."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

from mintstream.cli import app
from mintstream.cli_document import commands

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("[a-z]*/README.md"))]
LINK = re.compile(r"\]\((?!\w+:)([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`|^((?:make|mintstream|python|\.venv/bin/python) .*)$", re.MULTILINE)
ALERTS = ROOT / "docs" / "runbooks" / "alerts"
"""Linked from the alert rules' annotations."""
COMMANDS = dict(commands(typer.main.get_command(app), "mintstream"))
GROUPS = {name.rsplit(" ", 1)[0] for name in COMMANDS}
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def links(document: Path) -> Iterator[tuple[Path, str]]:
    """The files that a document links, each with the heading that is meant, if any."""
    for link in LINK.findall(document.read_text()):
        file, _, heading = link.partition("#")
        yield ((document.parent / file).resolve() if file else document), heading


def headings(document: Path) -> set[str]:
    """The names by which a document's headings are linked."""
    told = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", one).lower() for one in told]
    return {re.sub(r"[^\w\- ]", "", one).strip().replace(" ", "-") for one in plain}


def codes(document: Path) -> Iterator[str]:
    """What a document has in code, and the lines of its shell blocks."""
    for inline, line in CODE.findall(document.read_text()):
        yield inline or line


def wrong(code: str) -> str | None:
    """What of a command is not there, if any of it is not."""
    match code.removeprefix(".venv/bin/").split():
        case ["make", target, *_] if re.fullmatch(r"[a-z-]+", target):
            return None if target in TARGETS else f"make {target}"
        case ["python", "-m", module, *_]:
            return None if find_spec(module) else module
        case ["mintstream", first, *rest] if re.fullmatch(r"[a-z][a-z-]*", first):
            words = [first, *rest[:1]] if f"mintstream {first}" in GROUPS else [first]
            name = " ".join(["mintstream", *words])
            if name not in COMMANDS:
                return None if name in GROUPS else name
            options = {each for one in COMMANDS[name].params for each in (*one.opts, *one.secondary_opts)}
            return next(
                (f"{name} {each}" for each in re.findall(r"(?<=\s)--[a-z-]+", code) if each not in options), None
            )
        case _:
            return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_document_points_at_is_there(document: Path) -> None:
    missing = [
        f"{file}#{heading}"
        for file, heading in links(document)
        if not file.exists() or (heading and file.suffix == ".md" and heading not in headings(file))
    ]
    assert missing == []
    assert [fault for code in codes(document) if (fault := wrong(code))] == []


def test_every_document_is_found_from_another() -> None:
    linked = {file for document in DOCUMENTS for file, _ in links(document)}
    linked |= {file / "README.md" for file in linked}
    lonely = [each for each in DOCUMENTS[1:] if each not in linked and each.parent != ALERTS]
    assert lonely == []


@pytest.mark.parametrize(
    "code",
    ["make dmeo", "python -m tests.bench.nothing", "mintstream mnit", "mintstream keys make", "mintstream up --prot"],
)
def test_a_command_that_is_not_there_is_noticed(code: str) -> None:
    assert wrong(code)
