"""docs/cli.md says what the program does, and every command helps by an example."""

import re

import typer

from mintstream.cli import app
from mintstream.cli_document import DOCUMENT, commands, document
from mintstream.ending import MEANING, Exit

EVERY = list(commands(typer.main.get_command(app), "mintstream"))


def test_the_document_is_what_the_program_says() -> None:
    assert DOCUMENT.read_text() == document()


def test_every_exit_status_has_its_meaning() -> None:
    assert list(MEANING) == list(Exit)


def test_every_command_shows_how_it_is_called() -> None:
    assert len(EVERY) > 20
    without = [name for name, command in EVERY if not re.search(f"Example: .*{name}", command.help or "")]
    assert without == []


def test_every_command_tells_programs_what_it_tells_people() -> None:
    without = [name for name, command in EVERY if not any("--json" in each.opts for each in command.params)]
    assert without == []


def test_every_option_says_what_it_means() -> None:
    silent = [
        f"{name} {each.name}" for name, command in EVERY for each in command.params if not getattr(each, "help", None)
    ]
    assert [each for each in silent if not each.endswith(" help")] == []
