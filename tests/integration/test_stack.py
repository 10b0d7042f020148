"""The whole embedded stack as one thing: start, addresses, secrets, restarts, stops, and what may be in its way."""

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from solders.keypair import Keypair

from chassis.database import connect
from localnet.addresses import StackPorts
from localnet.errors import StackError
from localnet.linux import alive
from localnet.stack import Stack, StackSettings

PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from localnet.addresses import StackPorts
from localnet.stack import Stack, StackSettings

async def main():
    settings = StackSettings(data_dir=Path(sys.argv[1]), ports=StackPorts.free(), fast_postgres=True)
    async with Stack(settings) as stack:
        pids = {name: stack.pid(name) for name in stack.names}
        print(json.dumps({"pids": pids, "api": stack.api_url, "key": stack.api_key}), flush=True)
        await stack.run_until_signal()

try:
    asyncio.run(main())
except KeyboardInterrupt:  # Ctrl-C before run_until_signal had its handlers
    pass
print("stopped", flush=True)
"""


def settings(directory: Path) -> StackSettings:
    return StackSettings(data_dir=directory, ports=StackPorts.free(), fast_postgres=True, quiet=True)


def start_process(directory: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(directory)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_until_gone(pids: list[int]) -> None:
    for pid in pids:
        while alive(pid):  # the test's time limit is the bound
            os.sched_yield()


async def lamports(stack: Stack) -> int:
    wallet = Keypair.from_base58_string((stack.data_dir / "secrets" / "wallet_key").read_text().strip())
    request = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "getBalance",
        "params": [str(wallet.pubkey()), {"commitment": "confirmed"}],
    }
    async with httpx.AsyncClient() as client:
        return (await client.post(stack.rpc_url, json=request)).json()["result"]["value"]


async def test_a_stack_serves_and_a_killed_service_comes_back(tmp_path: Path) -> None:
    async with Stack(settings(tmp_path)) as stack:
        assert stack.names == (
            "nats",
            "postgres",
            "cluster",
            "pinning",
            "indexer",
            "ipfs",
            "minter",
            "notifier",
            "gateway",
        )
        assert await lamports(stack) > 0
        async with httpx.AsyncClient(base_url=stack.api_url) as client:
            assert (await client.get("/health")).json()["success"] is True
            assert (await client.get("/api/collections")).status_code == 401
            answer = await client.get("/api/collections", headers={"X-API-Key": stack.api_key})
            assert answer.status_code == 200, answer.text
            before = stack.pid("gateway")
            stack.kill("gateway")
            await stack.wait("gateway")
            assert stack.pid("gateway") != before
            assert stack.restarts("gateway") == 1
            assert (await client.get("/health")).json()["success"] is True
        reader = await connect(stack.reader_database_url)
        assert await reader.fetchval("SELECT count(*) FROM mint_operations") == 0
        await reader.close()
        secrets = [path for path in (tmp_path / "secrets").rglob("*") if path.is_file()]
        services = {path.name for path in secrets if path.parent.name == "nats"}
        assert services == {"gateway", "indexer", "ipfs", "minter", "notifier"}
        assert {"api_key", "jwt_secret", "wallet_key", "webhook_sealing_key"} <= {path.name for path in secrets}
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in secrets)
        first_key, first_balance = stack.api_key, await lamports(stack)
        for path in (tmp_path / "logs").iterdir():
            assert stack.api_key not in path.read_text(errors="replace"), path
        with pytest.raises(StackError, match=rf"another mintstream stack \(pid {os.getpid()}\) uses {tmp_path}"):
            await Stack(settings(tmp_path)).__aenter__()
    async with Stack(settings(tmp_path)) as stack:
        assert stack.api_key == first_key
        assert await lamports(stack) == first_balance, "the same wallet on the same chain"


def test_a_stack_killed_without_warning_takes_its_children_along_and_starts_again(tmp_path: Path) -> None:
    with start_process(tmp_path) as first:
        assert first.stdout is not None
        told = json.loads(first.stdout.readline())
        first.kill()
    wait_until_gone(list(told["pids"].values()))
    with start_process(tmp_path) as second:
        assert second.stdout is not None
        assert json.loads(second.stdout.readline())["key"] == told["key"]
        second.send_signal(signal.SIGINT)
        assert second.stdout.readline() == "stopped\n"
    assert second.returncode == 0


def test_what_an_earlier_run_left_is_ended_first(tmp_path: Path) -> None:
    with start_process(tmp_path) as first:
        assert first.stdout is not None
        pids = json.loads(first.stdout.readline())["pids"]
        for name in ("minter", "postgres"):  # a stopped process does not notice that its supervisor is gone
            os.kill(pids[name], signal.SIGSTOP)
        first.kill()
    assert alive(pids["minter"])
    assert alive(pids["postgres"])
    with start_process(tmp_path) as second:
        assert second.stdout is not None
        assert json.loads(second.stdout.readline())["pids"].keys() == pids.keys()
        assert not alive(pids["minter"])
        assert not alive(pids["postgres"])
        second.send_signal(signal.SIGTERM)
        assert second.stdout.readline() in ("stopped\n", "")
        assert second.stderr is not None
        assert f"services.minter (pid {pids['minter']})" in second.stderr.read()


def test_every_taken_port_is_told_with_the_flag_that_changes_it(tmp_path: Path) -> None:
    async def start(ports: StackPorts) -> None:
        async with Stack(StackSettings(data_dir=tmp_path, ports=ports)):
            pass

    with socket.socket() as api, socket.socket() as nats:
        for taken in (api, nats):
            taken.bind(("127.0.0.1", 0))
            taken.listen()
        ports = (api.getsockname()[1], nats.getsockname()[1])
        free = StackPorts.free()
        with pytest.raises(StackError) as refused:
            asyncio.run(
                start(
                    StackPorts(
                        api=ports[0],
                        nats=ports[1],
                        rpc=free.rpc,
                        nats_monitor=free.nats_monitor,
                        postgres=free.postgres,
                        ipfs=free.ipfs,
                    )
                )
            )
    lines = str(refused.value).splitlines()
    for line, port, flag in zip(lines, ports, ("--api-port", "--nats-port"), strict=True):
        assert line.startswith(f"port {port} is taken by ")
        assert f"(pid {os.getpid()})" in line
        assert line.endswith(f"choose another one with {flag}")
    assert not (tmp_path / "logs").exists(), "nothing was started"


async def test_a_port_given_twice_is_refused(tmp_path: Path) -> None:
    ports = StackPorts(api=8899)
    with pytest.raises(StackError, match="one port is given twice"):
        await Stack(StackSettings(data_dir=tmp_path, ports=ports)).__aenter__()


async def test_an_empty_secret_is_told(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "wallet_key").touch()
    with pytest.raises(StackError, match="wallet_key is empty: remove it"):
        await Stack(settings(tmp_path)).__aenter__()
