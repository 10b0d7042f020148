"""How commands end: one status for one meaning, told to people and to programs, whatever the command."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import asyncpg
import httpx
import pytest
from typer.testing import CliRunner

from archive.reading import ArchiveUnavailable
from archive.segments import ArchiveBroken
from chassis.log import LogUnavailable
from chassis.postgres import DatabaseUnavailable
from chassis.redaction import Secret
from chassis.settings import SettingsError
from localnet.addresses import StackPorts
from localnet.errors import PortsTaken, StackError
from localnet.lock import DirectoryLock
from localnet.stack import StackSettings
from mintstream import dead, places
from mintstream.cli import app
from mintstream.ending import ADVICE, Exit, Stopped, status_of
from services.indexer.rebuilding import Busy, Rebuild
from tests.unit.mintstream.gateways import FakeGateway, refusal

NOWHERE = {
    "NATS_URL": "nats://127.0.0.1:1",
    "DATABASE_URL": "postgresql://u@127.0.0.1:1/d",
    "RPC_URL": "http://127.0.0.1:1",
    "IPFS_GATEWAY_URL": "http://127.0.0.1:1",
    "ARCHIVE_URL": "",
    "COLUMNS": "300",
}
OPERATION = "01996b7e-2c4a-7d10-a1c3-0d5a7f1f9a10"


@asynccontextmanager
async def unreachable(*_: object) -> AsyncGenerator[None]:
    raise LogUnavailable("cannot reach nats://operator:hunter2@nats:4222")
    yield


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Stopped(Exit.MISSING, "gone"), Exit.MISSING),
        (StackError("a port is taken"), Exit.STACK),
        (SettingsError("S", {"A": "is wrong"}), Exit.USAGE),
        (FileNotFoundError("drop.csv"), Exit.USAGE),
        (asyncpg.InvalidPasswordError("who are you"), Exit.USAGE),
        (LogUnavailable("no answer"), Exit.UNREACHABLE),
        (ArchiveUnavailable("no answer"), Exit.UNREACHABLE),
        (asyncpg.CannotConnectNowError("starting up"), Exit.UNREACHABLE),
        (ConnectionRefusedError("nobody listens"), Exit.UNREACHABLE),
        (httpx.ConnectError("nobody listens"), Exit.UNREACHABLE),
        (TimeoutError(), Exit.UNREACHABLE),
        (ArchiveBroken("MINT", 1, "torn"), Exit.WRONG),
        (Busy("in use"), Exit.FAILED),
        (asyncpg.UndefinedTableError("no table"), Exit.FAILED),
        (KeyboardInterrupt(), Exit.INTERRUPTED),
        (KeyError("a bug"), None),
        (BrokenPipeError(), None),
    ],
)
def test_an_error_has_one_status(error: BaseException, status: Exit | None) -> None:
    assert status_of(error) is status


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["keys", "list"], Exit.UNREACHABLE),
        (["keys", "revoke", "k"], Exit.UNREACHABLE),
        (["dead", "list"], Exit.UNREACHABLE),
        (["replay", "--into", "rebuilt"], Exit.UNREACHABLE),
        (["archive", "check"], Exit.UNREACHABLE),
        (["audit", "operation", OPERATION], Exit.UNREACHABLE),
        (["audit", "operation", "no id"], Exit.USAGE),
        (["audit", "check-report", "no-folder", "--public-key", "no-key.pem"], Exit.USAGE),
        (["replay", "--into", "no name"], Exit.USAGE),
        (["keys", "create"], Exit.USAGE),
        (["tree", "cost", "--capacity", "0"], Exit.USAGE),
        (["mint", "no-folder", "--collection", "c", "--recipient", "r"], Exit.USAGE),
    ],
)
def test_people_read_a_sentence_and_programs_a_document(
    arguments: list[str], status: Exit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places.Log, "session", unreachable)
    environ = NOWHERE | {"MINTSTREAM_DATA": str(tmp_path)}
    people = CliRunner().invoke(app, arguments, env=environ)
    assert (people.exit_code, people.stdout) == (status, "")
    assert people.stderr
    programs = CliRunner().invoke(app, [*arguments, "--json"], env=environ)
    assert programs.exit_code == status
    told = json.loads(programs.stdout)["error"]
    assert (told["status"], told["name"]) == (status.value, status.name.lower())
    assert told["message"]
    assert told.get("advice") == ADVICE.get(status)
    assert "hunter2" not in people.output + programs.output


def test_what_the_api_refuses_is_told_field_by_field() -> None:
    fake = FakeGateway({"GET /api/mint/status/op": [refusal(400, "refused", ("collectionId", "is no id"))]})
    done = fake.run("status", "op", "--json")
    assert done.exit_code == Exit.USAGE
    assert json.loads(done.stdout)["error"]["details"] == ["collectionId: is no id"]


def test_wrong_settings_are_told_to_programs() -> None:
    done = CliRunner().invoke(app, ["keys", "list", "--json"], env={"NATS_URL": "no url at all", "NATS_MAX_BATCH": "x"})
    assert done.exit_code == Exit.USAGE
    assert "NATS_MAX_BATCH" in json.loads(done.stdout)["error"]["message"]


def test_an_archive_that_is_no_address_is_wrong_usage() -> None:
    done = CliRunner().invoke(app, ["archive", "check"], env=NOWHERE | {"ARCHIVE_URL": "srv/archive"})
    assert done.exit_code == Exit.USAGE
    assert "ARCHIVE_URL: must have the form of the example" in done.stderr


async def test_a_rebuild_without_postgres_says_so() -> None:
    rebuild = Rebuild(Secret("postgresql://u:hunter2@127.0.0.1:1/d"), "rebuilt", cast("Any", None))
    with pytest.raises(DatabaseUnavailable, match="Postgres does not answer") as told:
        await rebuild.prepare(fresh=False)
    assert "hunter2" not in str(told.value)


def test_a_bug_is_no_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(dead, "log_alone", broken)
    done = CliRunner().invoke(app, ["dead", "list"])
    assert isinstance(done.exception, KeyError)


def test_a_shell_completes_commands_and_options() -> None:
    def completed(words: str) -> set[str]:
        environ = {
            "_MINTSTREAM_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
        return set(CliRunner().invoke(app, [], env=environ, prog_name="mintstream").stdout.split())

    assert "archive" in completed("mintstream a")
    assert {"create", "list", "revoke", "rotate"} <= completed("mintstream keys ")
    assert "--expires-days" in completed("mintstream keys create --e")
    assert "mint" in completed("mintstream keys create --scope m")


def test_the_demo_says_how_it_gets_by_without_taken_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Taken:
        def __init__(self, _: object) -> None: ...

        async def __aenter__(self) -> None:
            raise PortsTaken({"--api-port": "port 8080 is taken by another", "--nats-port": "port 4222 is taken"})

        async def __aexit__(self, *_: object) -> None: ...

    monkeypatch.setattr("mintstream.local.Stack", Taken)
    done = CliRunner().invoke(app, ["demo", "--data", str(tmp_path)])
    assert done.exit_code == Exit.STACK
    assert "port 8080 is taken by another\nport 4222 is taken\n" in done.stderr
    assert "--free-ports" in done.stderr
    assert "--api-port" not in done.stderr, "the demo has no such option"
    done = CliRunner().invoke(app, ["up", "--data", str(tmp_path)])
    assert done.exit_code == Exit.STACK
    assert "choose another one with --api-port" in done.stderr
    assert "--free-ports" in done.stderr


def test_ports_are_the_usual_ones_the_given_ones_or_free_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[StackPorts] = []

    class Recorded:
        def __init__(self, settings: StackSettings) -> None:
            started.append(settings.ports)
            raise StackError("that was to be seen")

    monkeypatch.setattr("mintstream.local.Stack", Recorded)
    for options in ([], ["--api-port", "9090"], ["--free-ports", "--api-port", "9090"]):
        CliRunner().invoke(app, ["up", "--data", str(tmp_path), *options])
    assert started == [StackPorts(), StackPorts(api=9090), replace(StackPorts.free(), api=9090)]


def test_clean_removes_what_a_start_has_made_and_nothing_else(tmp_path: Path) -> None:
    refused, barely = tmp_path / "art", tmp_path / "barely"
    refused.mkdir()
    (refused / "1.png").touch()
    assert CliRunner().invoke(app, ["clean", "--data", str(refused)]).exit_code == Exit.USAGE
    with DirectoryLock(barely, "mintstream stack"):
        assert CliRunner().invoke(app, ["clean", "--data", str(barely)]).exit_code == Exit.STACK
    assert CliRunner().invoke(app, ["clean", "--data", str(barely)]).exit_code == 0
    assert (refused.exists(), barely.exists()) == (True, False)


def test_a_file_is_named_without_the_systems_number(tmp_path: Path) -> None:
    missing = tmp_path / "no.pem"
    done = CliRunner().invoke(app, ["audit", "check-report", str(tmp_path), "--public-key", str(missing)])
    assert done.exit_code == Exit.USAGE
    assert done.stderr == f"{missing}: No such file or directory\n"


def test_a_stack_that_is_interrupted_as_it_starts_says_what_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted:
        def __init__(self, _: object) -> None: ...

        async def __aenter__(self) -> None:
            raise KeyboardInterrupt

        async def __aexit__(self, *_: object) -> None: ...

    monkeypatch.setattr("mintstream.local.Stack", Interrupted)
    for command in ("up", "demo"):
        done = CliRunner().invoke(app, [command, "--data", str(tmp_path)])
        assert done.exit_code == Exit.INTERRUPTED
        assert f"What {tmp_path} holds stays" in done.stderr
