"""The cluster as a process: ports, signals, being killed and coming back."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from localnet.cluster.programs import ProgramsError, find_programs
from localnet.cluster.server import PortTaken, bind_pair
from tests.integration.cluster.rpc_client import BareClient
from tests.support.cluster import ROOT, SOL, cluster_process

CONFIRMED = {"commitment": "confirmed"}


async def confirmed(client: BareClient, signature: str) -> None:
    async with asyncio.timeout(30):
        while True:
            (status,) = await client.value("getSignatureStatuses", [signature])
            if status is not None and status["confirmationStatus"] != "processed":
                return
            await asyncio.sleep(0.02)


async def test_kill_9_loses_nothing_that_was_reported(tmp_path: Path) -> None:
    async with cluster_process(tmp_path, "--slot-ms", "20") as process:
        landed: list[tuple[str, Pubkey]] = []
        for _ in range(3):
            async with BareClient(process.addresses.rpc) as client:
                to = Keypair().pubkey()
                signature = await client.call("requestAirdrop", str(to), SOL)
                await confirmed(client, signature)
                slot = await client.call("getSlot", {"commitment": "processed"})
                landed.append((signature, to))
                assert await process.stop(signal.SIGKILL) == -signal.SIGKILL
            await process.start()
            async with BareClient(process.addresses.rpc) as client:
                assert await client.call("getSlot", {"commitment": "processed"}) >= slot
                for each, owner in landed:
                    statuses = await client.value("getSignatureStatuses", [each], {"searchTransactionHistory": True})
                    assert statuses[0]["err"] is None
                    assert await client.value("getBalance", str(owner), CONFIRMED) == SOL


async def test_sigterm_ends_it_cleanly_even_with_clients_connected(tmp_path: Path) -> None:
    async with cluster_process(tmp_path, "--slot-ms", "20") as process, BareClient(process.addresses.rpc) as client:
        await client.call("getHealth")
        host, port = process.addresses.websocket.removeprefix("ws://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        assert await process.stop() == 0
        writer.close()
    log = (tmp_path / "cluster.log").read_text("utf-8")
    assert "local stand-in programs" in log or "deployed programs" in log
    assert "Traceback" not in log


async def test_a_taken_port_is_a_sentence() -> None:
    first, second = bind_pair("127.0.0.1", 0)
    first.listen()
    port = first.getsockname()[1]
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "localnet.cluster", "--listen", f"127.0.0.1:{port}",
            cwd=ROOT, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, stderr = await child.communicate()
    finally:
        first.close()
        second.close()
    assert child.returncode == 1
    lines = stderr.decode().strip().splitlines()
    assert lines == [
        f"localnet.cluster: port {port} on 127.0.0.1 is in use; stop what uses it or choose another with --listen"
    ]


def test_ports_are_a_pair_and_the_second_counts_too() -> None:
    first, second = bind_pair("127.0.0.1", 0)
    port = first.getsockname()[1]
    assert second.getsockname()[1] == port + 1
    first.close()
    second.listen()
    with pytest.raises(PortTaken, match=str(port + 1)):
        bind_pair("127.0.0.1", port)
    second.close()


def test_a_port_with_no_neighbour_is_refused() -> None:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 65_535))
        except OSError:
            pytest.skip("port 65535 is in use")
    with pytest.raises(PortTaken):
        bind_pair("127.0.0.1", 65_535)


def test_programs_that_are_missing_are_named(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "deployed").mkdir()
    manifest = '{"a": {"address": "%s"}, "b": {"address": "%s"}, "c": {"address": "%s"}}'
    keys = [Keypair().pubkey() for _ in range(3)]
    (tmp_path / "manifest.json").write_text(manifest % tuple(keys))
    (tmp_path / "bin" / "a.so").write_bytes(b"stand-in")
    (tmp_path / "bin" / "b.so").write_bytes(b"stand-in")
    (tmp_path / "deployed" / "b.so").write_bytes(b"real")
    found = find_programs(tmp_path)
    assert found.by_address() == {keys[0]: b"stand-in", keys[1]: b"real"}
    assert found.missing == ("c",)
    assert found.banner() == "local stand-in programs: a; deployed programs: b; missing, not loaded: c"
    with pytest.raises(ProgramsError, match=r"manifest\.json"):
        find_programs(tmp_path / "nowhere")
