"""A command of which only the name and the help are known until it is called: then its module is imported.

The root's list of commands would otherwise import the log's client, Postgres's and the chain's before it says a word.
Used by `cli`. Not done here: the commands themselves.
"""

from pkgutil import resolve_name
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class Later(TyperCommand):
    """Stands for a command, or a group of them, wherever those are listed."""

    def __init__(self, name: str, target: str, help: str) -> None:  # noqa: A002  (typer's name for it)
        """`target`: `module:attribute`, a function or a Typer; `help`: the first paragraph of its own."""
        super().__init__(name, help=help)
        self._target = target

    def load(self) -> TyperCommand | TyperGroup:
        """Import the command and return it."""
        found: Any = resolve_name(self._target)
        if isinstance(found, typer.Typer):
            return typer.main.get_group(found)
        alone = typer.Typer(add_completion=False)
        alone.command(self.name)(found)
        command = typer.main.get_command(alone)
        assert isinstance(command, TyperCommand)
        return command

    def make_context(self, *arguments: Any, **named: Any) -> Any:
        """See TyperCommand. The context is the command's own, and with it all that follows."""
        return self.load().make_context(*arguments, **named)
