"""Surfpool as a process: it is there only as long as it is wanted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from localnet.child import Child
from localnet.linux import alive
from programs.manifest import load_manifest
from tests.integration.cluster.rpc_client import BareClient
from tests.support.surfpool import NEEDS_SURFPOOL, addresses_of, surfpool_spec

pytestmark = [*NEEDS_SURFPOOL]

PAUSE_SECONDS = 0.05


async def test_it_serves_our_programs_and_ends_when_told(tmp_path: Path) -> None:
    child = Child(surfpool_spec(tmp_path))
    await child.start()
    try:
        async with BareClient(addresses_of(child).rpc) as node:
            assert "surfnet-version" in await node.call("getVersion")
            for program in load_manifest().values():
                account = await node.value("getAccountInfo", str(program.address), {"encoding": "base64"})
                assert account["executable"] is True, program.name
    finally:
        ended_by_itself = await child.stop()
    assert ended_by_itself
    assert child.exit_status == 0
    with pytest.raises(httpx.ConnectError):
        async with BareClient(addresses_of(child).rpc) as node:
            await node.call("getVersion")


def test_it_ends_when_whoever_started_it_has_gone(tmp_path: Path) -> None:
    spec = surfpool_spec(tmp_path)
    # A shell in between: nothing tells the kernel to signal its child, and it does not exec the command itself.
    between = subprocess.Popen(["/bin/sh", "-c", '"$@" & wait', "sh", *spec.command], stdout=subprocess.DEVNULL)
    try:
        ports_file = tmp_path / "surfpool.json"
        while not ports_file.exists():  # the test's time limit is the bound
            assert between.poll() is None
            time.sleep(PAUSE_SECONDS)
        pid = int(json.loads(ports_file.read_text())["pid"])
        assert pid != between.pid
    finally:
        between.kill()
        between.wait()
    try:
        while alive(pid):
            time.sleep(PAUSE_SECONDS)
    except BaseException:  # stop: leave nothing behind
        os.kill(pid, signal.SIGKILL)
        raise


def test_it_tells_how_it_is_used(tmp_path: Path) -> None:
    node, script, *_ = surfpool_spec(tmp_path).command
    for wrong in ([], [str(tmp_path / "ports.json"), "soon"]):
        ran = subprocess.run([node, script, *wrong], capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "usage: " in ran.stderr
