"""The README's commands do what it says: `make …` in CI, everything else here against a running stack."""

import asyncio
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from solders.keypair import Keypair

from tests.support.stack import LiveStack

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Return the README's shell commands, continuation lines joined."""
    blocks = BLOCK.findall((ROOT / "README.md").read_text())
    return [line for block in blocks for line in block.replace("\\\n", "").splitlines() if line.strip()]


def test_ci_runs_every_make_command_of_the_readme() -> None:
    ci = (ROOT / ".ci" / "run").read_text()
    wanted = [command for command in commands() if command.startswith("make ")]
    assert wanted == ["make demo", "make test"]
    for command in wanted:
        assert re.search(rf"^{command}\b", ci, re.MULTILINE), f"CI does not run `{command}`"


@pytest.mark.asyncio(loop_scope="module")
async def test_the_commands_of_the_readme_mint_an_nft(live: LiveStack) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not on the PATH")
    script = [command for command in commands() if command.startswith(("API=", "curl "))]
    known = {"<wallet>": str(Keypair().pubkey())}
    setup = f'API={live.stack.api_url} KEY="X-API-Key: {live.stack.api_key}"'
    assert script[0].startswith("API=http://127.0.0.1:8080 KEY=")
    mint, status = script[1:]

    known["<id>"] = (await live.collection())["id"]
    known["<transactionId>"] = (await run(setup, mint, known))["transactionId"]
    async for _ in live.api.follow(known["<transactionId>"], within=60):
        pass
    assert (await run(setup, status, known))["status"] == "completed"


@pytest.mark.asyncio(loop_scope="module")
async def test_the_readme_puts_the_command_line_on_the_path(live: LiveStack, tmp_path: Path) -> None:
    script = [command for command in commands() if not command.startswith(("make ", "API=", "curl "))]
    assert script[0] == ". .venv/bin/activate"
    assert all(command.startswith("mintstream ") for command in script[1:])
    # As `make demo` does before it starts anything.
    prepared = ["make -s .venv/bin/mintstream", f"export MINTSTREAM_DATA={shlex.quote(str(live.stack.data_dir))}"]
    prepared.append(f"export XDG_STATE_HOME={shlex.quote(str(tmp_path))}")
    known = {"<id>": (await live.collection())["id"], "<wallet>": str(Keypair().pubkey())}
    filled = [replaced(command, known) for command in script]
    process = await asyncio.create_subprocess_exec("bash", "-euc", "\n".join([*prepared, *filled]), cwd=ROOT)
    assert await process.wait() == 0
    minted = await live.chain.assets_of(known["<wallet>"])
    assert len(list(minted)) == len(list((ROOT / "examples" / "drop").glob("*.png")))


def replaced(command: str, known: dict[str, str]) -> str:
    """Return a command with its placeholders filled in."""
    for placeholder, value in known.items():
        command = command.replace(placeholder, value)
    assert "<" not in command, command
    return command


async def run(setup: str, command: str, known: dict[str, str]) -> Any:
    """Run a command with its placeholders filled in; return the data of the API's answer."""
    command = replaced(command, known)
    process = await asyncio.create_subprocess_exec(
        "bash", "-euc", f"{setup}\n{command}", cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, command
    answer = json.loads(output)
    assert answer["success"], answer
    return answer["data"]
