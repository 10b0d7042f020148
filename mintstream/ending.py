"""How a command ends: what each exit status means, and which of them an error comes to.

Used by `program`, which prints it, and by commands that know themselves how they end (`end`). Docs/cli.md is written
from here. Not done here: printing.
"""

from collections.abc import Mapping
from enum import IntEnum
from http import HTTPStatus
from typing import Final, NoReturn

from mintstream.errors import ApiError


class Exit(IntEnum):
    """How a command ends: its exit status."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    STACK = 3
    UNREACHABLE = 4
    KEY = 5
    MISSING = 6
    UNFINISHED = 7
    UNPROVEN = 8
    WRONG = 9
    INTERRUPTED = 130


MEANING: Final[Mapping[Exit, str]] = {
    Exit.DONE: "Done, and all is well.",
    Exit.FAILED: "The job failed, or was refused; the sentence on stderr says why.",
    Exit.USAGE: "Wrong usage: an option, a file or a setting has to be corrected.",
    Exit.STACK: "The embedded stack could not start, or is in use.",
    Exit.UNREACHABLE: "The API, the log, the database or a node does not answer. Nothing is known to be wrong with the "
    "request: try again.",
    Exit.KEY: "The API key is missing, unknown, or may not do this.",
    Exit.MISSING: "There is no such operation, collection, webhook, dead letter or key.",
    Exit.UNFINISHED: "It was taken on and has not ended in the time that was given; it goes on.",
    Exit.UNPROVEN: "Nothing was found to be wrong, and not everything could be looked at.",
    Exit.WRONG: "What was looked at is not as it should be: an audit is broken, tables differ, an archive or a report "
    "is not what was written, or the doctor found something.",
    Exit.INTERRUPTED: "Interrupted with Ctrl-C. What was taken on goes on.",
}
"""Every exit status, for docs/cli.md."""
ADVICE: Final[Mapping[Exit, str]] = {
    Exit.UNREACHABLE: "Start it with `mintstream up`, or name it (MINTSTREAM_URL, NATS_URL, DATABASE_URL, RPC_URL); "
    "`mintstream doctor` looks.",
    Exit.KEY: "Set MINTSTREAM_API_KEY; `mintstream keys create` makes a key, and `keys list` shows what each may do.",
}
"""What comes next, where that is the same for every command."""


ENDS: Final[Mapping[str, Exit | None]] = {
    "builtins.BrokenPipeError": None,  # whoever read our output has seen enough
    "builtins.KeyboardInterrupt": Exit.INTERRUPTED,
    "localnet.errors.StackError": Exit.STACK,
    "archive.reading.HistoryIncomplete": Exit.WRONG,
    "archive.segments.ArchiveBroken": Exit.WRONG,
    "mintstream.audit_report.ReportForged": Exit.WRONG,
    "asyncpg.exceptions.InvalidAuthorizationSpecificationError": Exit.USAGE,
    "builtins.FileExistsError": Exit.USAGE,
    "builtins.FileNotFoundError": Exit.USAGE,
    "builtins.IsADirectoryError": Exit.USAGE,
    "builtins.NotADirectoryError": Exit.USAGE,
    "builtins.PermissionError": Exit.USAGE,
    "chassis.database.UnusableDsn": Exit.USAGE,
    "chassis.settings.SettingsError": Exit.USAGE,
    "mintstream.drop.DropUnreadable": Exit.USAGE,
    "asyncpg.exceptions.OperatorInterventionError": Exit.UNREACHABLE,
    "asyncpg.exceptions.PostgresConnectionError": Exit.UNREACHABLE,
    "builtins.ConnectionError": Exit.UNREACHABLE,
    "builtins.TimeoutError": Exit.UNREACHABLE,
    "chassis.chain.ChainUnavailable": Exit.UNREACHABLE,
    "chassis.log.LogUnavailable": Exit.UNREACHABLE,
    "chassis.postgres.DatabaseUnavailable": Exit.UNREACHABLE,
    "httpx.TransportError": Exit.UNREACHABLE,
    "services.indexer.ports.StoreUnavailable": Exit.UNREACHABLE,
    "socket.gaierror": Exit.UNREACHABLE,
    "asyncpg.exceptions._base.PostgresError": Exit.FAILED,
    "builtins.OSError": Exit.FAILED,
    "services.indexer.archiving_task.AlreadyArchiving": Exit.FAILED,
    "services.indexer.comparing.Incomparable": Exit.FAILED,
    "services.indexer.ports.Fenced": Exit.FAILED,
    "services.indexer.rebuilding.Busy": Exit.FAILED,
    "services.indexer.rebuilding.RebuildRefused": Exit.FAILED,
}
"""What an error that nobody handled ends a command with, by its nearest class; None leaves it to typer.

By name, because a command that never met the archive need not import it to tell that the archive is not to blame.
"""


class Stopped(Exception):
    """A command cannot go on; the sentence says why."""

    def __init__(self, status: Exit, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def end(status: Exit, sentence: str) -> NoReturn:
    """End the command with `status`, saying why."""
    raise Stopped(status, sentence) from None


def status_of(error: BaseException) -> Exit | None:
    """Return what an error that nobody handled ends a command with; None for a bug, and where typer knows better."""
    match error:
        case Stopped():
            return error.status
        case ApiError():
            return _status_of_answer(error.status)
        case _:
            names = (f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__)
            return next((ENDS[name] for name in names if name in ENDS), None)


def _status_of_answer(answer: int) -> Exit:
    """Return the exit status for what the API said; 0: it said nothing."""
    match answer:
        case 0 | HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.BAD_GATEWAY | HTTPStatus.SERVICE_UNAVAILABLE:
            return Exit.UNREACHABLE
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return Exit.KEY
        case HTTPStatus.NOT_FOUND:
            return Exit.MISSING
        case HTTPStatus.BAD_REQUEST | HTTPStatus.REQUEST_ENTITY_TOO_LARGE | HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
            return Exit.USAGE
        case _:
            return Exit.FAILED
