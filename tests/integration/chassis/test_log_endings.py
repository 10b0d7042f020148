"""How a process ends whose nats-server is gone before it: quietly, soon and well."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID

import pytest
import uvloop

from chassis.log import LogUnavailable
from chassis.messaging import Connection, Log
from contracts.fact import Producer
from contracts.mint import Completed
from contracts.streams import HEALTH, MINT
from localnet.child import Child, running
from localnet.nats_server import NatsOptions, nats_spec

FACT = Completed(operation=UUID(int=1), total=1, minted=1, failed=0)


def connection(server: Child) -> Connection:
    return Connection(servers=(server.addresses["nats"],), producer=Producer(name="test", version="test"), timeout=1.0)


async def lose_the_server_and_close(directory: Path) -> None:
    async with running(nats_spec(NatsOptions(data_dir=directory))) as server:
        log = await Log.connect(connection(server))
        await log.declare(consumers=())
        reading = asyncio.ensure_future(anext(log.read(MINT, 0)))
        server.kill()
        await log.connectivity.left(0)
        saying = asyncio.create_task(log.publish(FACT, cause=None))
        await asyncio.sleep(0.05)  # so that it waits to be written when the connection is closed
        reading.cancel()
        log.drain()
        await log.close()
        with pytest.raises(LogUnavailable):
            await saying
        with pytest.raises(asyncio.CancelledError):
            await reading


async def test_who_publishes_while_the_log_is_closed_is_told(nats_url: str) -> None:
    log = await Log.connect(Connection((nats_url,), Producer(name="test", version="test")))
    await log.declare(consumers=(), buckets=())
    saying = asyncio.create_task(log.publish(FACT, cause=None))
    await asyncio.sleep(0)  # it has begun, and no more
    log.drain()
    await log.close()
    with pytest.raises(LogUnavailable):
        await saying


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_log_is_closed_whose_server_is_gone(tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """With something that waits to be written; the two loops take that in ways of their own."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(lose_the_server_and_close(tmp_path))


async def test_a_service_ends_well_whose_server_is_gone(tmp_path: Path) -> None:
    """The notifier stands for all: it reads streams, pulls from consumers, and says how it is."""
    async with (
        running(nats_spec(NatsOptions(data_dir=tmp_path / "nats"))) as server,
        Log.session(connection(server)) as operator,
    ):
        await operator.declare()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.notifier",
            stderr=asyncio.subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"], "NATS_URL": server.addresses["nats"], "LOG_FORMAT": "json",
                "WEBHOOK_SEALING_KEYS": "A" * 43 + "=", "PROBE_LISTEN": "127.0.0.1:0",
            },
        )  # fmt: skip
        try:
            await anext(operator.read(HEALTH, 0))  # it is wired
            server.kill()
            assert process.stderr is not None
            lines = said(process.stderr)
            await until(lines, "nats disconnected")
            process.send_signal(signal.SIGTERM)
            rest = [line async for line in lines]
            assert await process.wait() == 0, rest
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert rest[-1]["event"] == "stopped"
    assert not [line for line in rest if line["level"] == "error" or "exception" in line]
    troubles = [line["error"] for line in rest if line["event"] == "nats error"]
    assert len(troubles) == len(set(troubles)), "what is tried again and again is told once"


async def said(stream: asyncio.StreamReader) -> AsyncIterator[dict[str, str]]:
    async for line in stream:
        yield json.loads(line)


async def until(lines: AsyncIterator[dict[str, str]], event: str) -> None:
    async for line in lines:
        if line["event"] == event:
            return
    raise AssertionError(f"ended without {event!r}")


async def test_a_log_that_nobody_serves_is_waited_for_as_long_as_was_asked() -> None:
    nowhere = Connection(("nats://token@127.0.0.1:1",), Producer(name="test", version="test"), connect_seconds=0.1)
    with pytest.raises(LogUnavailable, match=r"no NATS server answers at nats://127\.0\.0\.1:1: none in 0\.1 s"):
        await Log.connect(nowhere)
