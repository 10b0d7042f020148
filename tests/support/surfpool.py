"""Surfpool for tests: an independent local validator from npm, with this repository's programs loaded.

It is an optional package of tests/js; the tests that need it carry the marks NEEDS_SURFPOOL, and are skipped where it
is not installed. It takes about six transactions a second, calls every block final almost at once, and serves no DAS.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from localnet.child import Child, ChildSpec, minimal_environ, ports_file_ready, running
from localnet.cluster.server import Addresses

JS = Path(__file__).resolve().parents[1] / "js"
PACKAGE = JS / "node_modules" / "@solana" / "surfpool-linux-x64-gnu"
SCRIPT = JS / "surfpool.mjs"
START_SECONDS = 120.0
STOP_SECONDS = 10.0

# That Node.js is there is what the mark `node` promises.
NEEDS_SURFPOOL = (
    pytest.mark.node,
    pytest.mark.skipif(
        not PACKAGE.is_dir(), reason=f"the optional npm package @solana/{PACKAGE.name} is not installed in tests/js"
    ),
)


def surfpool_spec(directory: Path, slot_ms: int = 400) -> ChildSpec:
    """How to run it; log and ports file go to `directory`, which has to be there."""
    node = shutil.which("node")
    assert node is not None, "this test needs Node.js; deselect it with -m 'not node'"
    ports_file = directory / "surfpool.json"
    return ChildSpec(
        name="surfpool",
        command=(node, str(SCRIPT), str(ports_file), str(slot_ms)),
        log_file=directory / "surfpool.log",
        ready=ports_file_ready(ports_file),
        environ=minimal_environ(),
        ready_seconds=START_SECONDS,
        stop_seconds=STOP_SECONDS,
    )


def addresses_of(child: Child) -> Addresses:
    """Where a Surfpool that is ready is reached."""
    return Addresses(child.addresses["rpc"], child.addresses["ws"])


@asynccontextmanager
async def surfpool(directory: Path, slot_ms: int = 400) -> AsyncGenerator[Addresses]:
    """A running Surfpool; stopped at the end."""
    async with running(surfpool_spec(directory, slot_ms)) as child:
        yield addresses_of(child)
