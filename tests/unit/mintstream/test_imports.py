"""What a command imports before it does its work: nothing of what only other commands need."""

import subprocess
import sys
from pkgutil import resolve_name

import pytest

from mintstream.cli import COMMANDS
from mintstream.ending import ENDS
from mintstream.later import Later

SERVERS = ("aiohttp", "asyncpg", "nats", "obstore", "opentelemetry", "prometheus_client", "structlog")
CHAIN = ("Crypto", "solana", "solders")
OURS = ("archive", "audit", "services")


def imported(*arguments: str) -> set[str]:
    """Return the top-level packages in memory after a command."""
    program = (
        "import atexit, sys\n"
        "from mintstream.cli import app\n"
        "atexit.register(lambda: print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules})))\n"
        "app(sys.argv[1:])\n"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["no-such-command"]])
def test_the_program_itself_imports_no_client_of_anything(arguments: list[str]) -> None:
    assert imported(*arguments) & {*SERVERS, *CHAIN, *OURS, "asyncio", "httpx", "localnet", "msgspec"} == set()


@pytest.mark.parametrize("command", ["collections", "mint", "status", "webhooks"])
def test_what_asks_the_api_imports_http_alone(command: str) -> None:
    found = imported(command, "--help")
    assert "httpx" in found
    assert found & {*SERVERS, *CHAIN, *OURS} == set()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: str(command.name))
def test_a_command_is_listed_as_it_tells_itself(command: Later) -> None:
    loaded = command.load()
    assert loaded.name == command.name
    assert loaded.help is not None
    assert " ".join(loaded.help.partition("\n\n")[0].split()) == command.help


@pytest.mark.parametrize("name", ENDS)
def test_an_error_that_ends_a_command_is_named_as_it_is_defined(name: str) -> None:
    module, _, kind = name.rpartition(".")
    found = resolve_name(f"{module}:{kind}")
    assert issubclass(found, BaseException)
    assert f"{found.__module__}.{found.__qualname__}" == name
