"""The generated clients against the running stack: their own examples mint, wait, list and read an error."""

import asyncio
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from solders.keypair import Keypair

from tests.support.stack import PATIENCE, LiveStack

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENTS = Path(__file__).parents[2] / "clients"
RETRIES = CLIENTS.parent / "tests" / "js" / "client_retries.mjs"
MODULES = CLIENTS / "typescript" / "node_modules"


async def run(*command: str | Path, cwd: Path, **environ: str) -> list[str]:
    """What a program prints, by lines; it must end well."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=cwd,
        env=os.environ | environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert process.returncode == 0, output.decode()
    return output.decode().splitlines()


async def generate(which: str, into: Path) -> None:
    await run(sys.executable, CLIENTS / "generate.py", "--into", into, which, cwd=into)


async def check(live: LiveStack, printed: list[str], wallet: str) -> None:
    """Hold what an example printed against the chain."""
    minted, listed, code = printed
    status, assets = minted.split(" ", 1)
    assert status == "completed"
    assert re.findall(r"\w{32,44}", assets) == list(await live.chain.assets_of(wallet))
    assert listed.lower() == "true", "its operation, and no other, is the wallet's"
    assert code == "operation_not_found"


async def test_the_python_client(live: LiveStack, tmp_path: Path) -> None:
    await generate("python", tmp_path)
    collection, wallet = await live.collection(), str(Keypair().pubkey())
    package = tmp_path / "python"
    shutil.copy(CLIENTS / "python" / "example.py", package)
    settings = {"typeCheckingMode": "strict", "include": ["example.py"], "pythonVersion": "3.11"}
    (package / "pyrightconfig.json").write_text(json.dumps(settings))
    await run(sys.executable, "-m", "pyright", "--pythonpath", sys.executable, cwd=package)
    arguments = (live.stack.api_url, live.stack.api_key, collection["id"], wallet)
    await check(live, await run(sys.executable, "example.py", *arguments, cwd=package), wallet)


@pytest.mark.node
@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not on the PATH")
@pytest.mark.skipif(not MODULES.exists(), reason="the npm packages of clients/typescript are not installed")
async def test_the_typescript_client_compiles_strictly(live: LiveStack, tmp_path: Path) -> None:
    await generate("typescript", tmp_path)
    package = tmp_path / "typescript"
    for name in ("package.json", "tsconfig.json", "example.ts", "src/index.ts", "src/retrying.ts"):
        shutil.copy(CLIENTS / "typescript" / name, package / name)
    (package / "node_modules").symlink_to(MODULES)
    await run(package / "node_modules" / ".bin" / "tsc", "--strict", cwd=package)
    await run("node", RETRIES, package / "dist" / "src" / "retrying.js", cwd=package)
    collection, wallet = await live.collection(), str(Keypair().pubkey())
    arguments = (live.stack.api_url, live.stack.api_key, collection["id"], wallet)
    await check(live, await run("node", "dist/example.js", *arguments, cwd=package), wallet)
