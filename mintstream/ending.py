"""How a command ends: what each exit status means, and which of them an error comes to.

Used by `program`, which prints it, and by commands that know themselves how they end (`end`). Docs/cli.md is written
from here. Not done here: printing.
"""

import socket
from collections.abc import Mapping
from enum import IntEnum
from http import HTTPStatus
from typing import Final, NoReturn

import asyncpg
import httpx

from archive.reading import HistoryIncomplete
from archive.segments import ArchiveBroken
from chassis.chain import ChainUnavailable
from chassis.log import LogUnavailable
from chassis.postgres import DatabaseUnavailable
from chassis.settings import SettingsError
from localnet.errors import StackError
from mintstream.api import ApiError
from mintstream.audit_report import ReportForged
from mintstream.drop import DropUnreadable
from services.indexer.archiving_task import AlreadyArchiving
from services.indexer.comparing import Incomparable
from services.indexer.ports import Fenced, StoreUnavailable
from services.indexer.rebuilding import Busy, RebuildRefused


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
        case BrokenPipeError():  # whoever read our output has seen enough
            return None
        case Stopped():
            return error.status
        case ApiError():
            return _status_of_answer(error.status)
        case KeyboardInterrupt():
            return Exit.INTERRUPTED
        case StackError():
            return Exit.STACK
        case ArchiveBroken() | HistoryIncomplete() | ReportForged():
            return Exit.WRONG
        case SettingsError() | DropUnreadable() | asyncpg.InvalidAuthorizationSpecificationError():
            return Exit.USAGE
        case FileNotFoundError() | FileExistsError() | PermissionError() | IsADirectoryError() | NotADirectoryError():
            return Exit.USAGE
        case LogUnavailable() | StoreUnavailable() | DatabaseUnavailable() | ChainUnavailable():
            return Exit.UNREACHABLE
        case asyncpg.PostgresConnectionError() | asyncpg.OperatorInterventionError() | httpx.TransportError():
            return Exit.UNREACHABLE
        case TimeoutError() | ConnectionError() | socket.gaierror():
            return Exit.UNREACHABLE
        case AlreadyArchiving() | Busy() | Fenced() | Incomparable() | RebuildRefused():
            return Exit.FAILED
        case OSError() | asyncpg.PostgresError():
            return Exit.FAILED
        case _:
            return None


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
