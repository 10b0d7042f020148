"""docs/cli.md says what the program does, and every command helps by an example."""

import re

import typer

from mintstream.cli import app
from mintstream.cli_document import DOCUMENT, commands, document
from mintstream.reach import MEANING, Exit

EVERY = list(commands(typer.main.get_command(app), "mintstream"))


def test_the_document_is_what_the_program_says() -> None:
    assert DOCUMENT.read_text() == document()


def test_every_exit_status_has_its_meaning() -> None:
    assert list(MEANING) == list(Exit)


def test_every_command_shows_how_it_is_called() -> None:
    assert len(EVERY) > 20
    without = [name for name, command in EVERY if not re.search(f"Example: .*{name}", command.help or "")]
    assert without == []


def test_every_command_that_tells_something_tells_it_to_programs() -> None:
    """Those that run something, or that write what they make, print for people alone."""
    people = {"up", "demo", "clean", "replay"}
    without = {
        name.removeprefix("mintstream ")
        for name, command in EVERY
        if not any("--json" in parameter.opts for parameter in command.params)
    }
    assert {name for name in without if name.split()[0] not in ("archive", "audit")} <= people
