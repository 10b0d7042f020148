"""Surfpool for tests: an independent local validator from npm, with this repository's programs loaded.

It is an optional package of tests/js. A test that needs it asks for `surfpool_missing` first and skips with that reason.
Surfpool takes about six transactions a second, has one commitment level under three names, and serves no DAS.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from localnet.child import ChildSpec, minimal_environ, ports_file_ready, running
from localnet.cluster.server import Addresses

JS = Path(__file__).resolve().parents[1] / "js"
PACKAGE = JS / "node_modules" / "@solana" / "surfpool-linux-x64-gnu"
SCRIPT = JS / "surfpool.mjs"
START_SECONDS = 120.0
STOP_SECONDS = 10.0


@functools.cache
def surfpool_missing() -> str | None:
    """Why Surfpool cannot run here; None when it can. That Node.js is there is what the mark `node` promises."""
    if not PACKAGE.is_dir():
        return f"the optional npm package @solana/{PACKAGE.name} is not installed in tests/js"
    return None


def surfpool_spec(directory: Path, slot_ms: int = 400) -> ChildSpec:
    """How to run it; log and ports file go to `directory`."""
    node = shutil.which("node")
    assert node is not None, "this test needs Node.js; deselect it with -m 'not node'"
    ports_file = directory / "surfpool.json"

    async def prepare() -> None:
        directory.mkdir(parents=True, exist_ok=True)
        ports_file.unlink(missing_ok=True)

    return ChildSpec(
        name="surfpool",
        command=(node, str(SCRIPT), str(ports_file), str(slot_ms)),
        log_file=directory / "surfpool.log",
        ready=ports_file_ready(ports_file),
        environ=minimal_environ(),
        prepare=prepare,
        ready_seconds=START_SECONDS,
        stop_seconds=STOP_SECONDS,
    )


@asynccontextmanager
async def surfpool(directory: Path, slot_ms: int = 400) -> AsyncGenerator[Addresses]:
    """A running Surfpool; stopped at the end."""
    async with running(surfpool_spec(directory, slot_ms)) as child:
        yield Addresses(child.addresses["rpc"], child.addresses["ws"])
