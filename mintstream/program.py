"""The root of the command line: what every command says when it cannot go on, to people and to programs.

`cli` hangs the commands on it. A sentence on stderr, and with `--json` one document on stdout as well, so that a
program reads stdout as JSON however a command ends. Not done here: which error is which exit status (`ending`).
"""

from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from chassis.redaction import scrub
from mintstream.ending import ADVICE, Exit, status_of
from mintstream.errors import ApiError
from mintstream.options import JSON_FLAG
from mintstream.printing import print_json

AS_JSON: Final = "mintstream.as_json"


class Program(TyperGroup):
    """A group of commands whose errors become a sentence and an exit status."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # pyright: ignore[reportIncompatibleMethodOverride]  (typer makes no other Context)
        """See TyperGroup. Errors in the options themselves are told to programs too: the flag is looked for first."""
        ctx.meta[AS_JSON] = JSON_FLAG in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: typer.Context) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]  (as above)
        """See TyperGroup. A bug goes on, with its traceback."""
        try:
            return super().invoke(ctx)
        except TyperException as error:  # re-raise: typer shows wrong usage to people
            if ctx.meta[AS_JSON]:
                _tell_programs(Exit.USAGE, error.format_message())
            raise
        except (Exception, KeyboardInterrupt) as error:  # stop, or re-raise what is a bug or no error at all
            status = status_of(error)
            if status is None:
                raise
            _tell(error, status, as_json=ctx.meta[AS_JSON])
            raise typer.Exit(status) from None


def _tell(error: BaseException, status: Exit, *, as_json: bool) -> None:
    sentence = scrub(_sentence(error)) or _SILENT.get(status, type(error).__name__)
    typer.echo(sentence, err=True)
    if status in ADVICE:
        typer.echo(ADVICE[status], err=True)
    if as_json:
        _tell_programs(status, sentence, error.details if isinstance(error, ApiError) else ())


def _sentence(error: BaseException) -> str:
    """Return what an error says; what the system says of a file without its number: `a.pem: No such file`."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _tell_programs(status: Exit, sentence: str, details: tuple[str, ...] = ()) -> None:
    told: dict[str, Any] = {"status": status.value, "name": status.name.lower(), "message": sentence}
    if status in ADVICE:
        told["advice"] = ADVICE[status]
    if details:
        told["details"] = details
    print_json({"error": told})


_SILENT: Final = {
    Exit.INTERRUPTED: "Interrupted. What was taken on goes on; the same command goes on from there.",
    Exit.UNREACHABLE: "no answer in time",
}
"""For errors that say nothing themselves."""
