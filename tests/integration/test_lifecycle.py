"""chassis.lifecycle as its users meet it: a process that gets signals and is probed over HTTP."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

Start = Callable[..., Awaitable["Process"]]


class Process:
    def __init__(self, process: asyncio.subprocess.Process, ports_file: Path) -> None:
        self.process = process
        self.ports_file = ports_file

    async def until(self, line: str) -> list[str]:
        """Read stdout up to `line`; fails when the process ends before."""
        assert self.process.stdout is not None
        seen: list[str] = []
        async for raw in self.process.stdout:
            seen.append(raw.decode().strip())
            if seen[-1] == line:
                return seen
        raise AssertionError(f"ended without {line!r}: {seen}, {await self.errors()}")

    async def errors(self) -> str:
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()

    async def end(self) -> tuple[int, list[str], list[dict[str, str]]]:
        """Exit status, the rest of stdout, and the log lines."""
        out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, out.decode().split("\n")[:-1], [json.loads(x) for x in err.splitlines()]

    def url(self, path: str) -> str:
        addresses = json.loads(self.ports_file.read_text())
        assert addresses["pid"] == str(self.process.pid)
        return addresses["probe"] + path


@pytest.fixture
async def start(tmp_path: Path) -> AsyncGenerator[Start, None]:
    started: list[Process] = []

    async def start(mode: str, grace: str = "20", **environ: str) -> Process:
        ports_file = tmp_path / "ports" / "dummy.json"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.integration.lifecycle_service", mode,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"], "NATS_URL": "nats://127.0.0.1:1", "LOG_FORMAT": "json",
                "SHUTDOWN_GRACE_SECONDS": grace, "PORTS_FILE": str(ports_file), **environ,
            },
        )  # fmt: skip
        started.append(Process(process, ports_file))
        return started[-1]

    yield start
    for each in started:
        if each.process.returncode is None:
            each.process.kill()
            await each.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_and_closes_in_reverse_order(start: Start, number: signal.Signals) -> None:
    service = await start("polite")
    await service.until("wired")
    service.process.send_signal(number)
    status, out, logs = await service.end()
    assert status == 0
    assert out == ["finishing", "finished", "cut off", "close b", "close a"]
    assert {"event": "draining", "reason": number.name}.items() <= next(
        line for line in logs if line["event"] == "draining"
    ).items()


async def test_what_does_not_finish_in_time_is_cut_off_and_named(start: Start) -> None:
    service = await start("stubborn", grace="0.2")
    await service.until("wired")
    service.process.send_signal(signal.SIGTERM)
    status, out, logs = await service.end()
    assert status == 1
    assert "finished" in out
    assert out[-2:] == ["close b", "close a"]
    assert logs[-1]["reason"] == "not finished after 0.2 s: worker"


async def test_signals_that_come_together_are_one(start: Start) -> None:
    service = await start("polite")
    await service.until("wired")
    service.process.send_signal(signal.SIGTERM)
    await service.until("finishing")
    service.process.send_signal(signal.SIGTERM)
    status, out, _ = await service.end()
    assert (status, out[0]) == (0, "finished")


async def test_a_second_signal_does_not_wait(start: Start) -> None:
    service = await start("stubborn", grace="600")
    await service.until("wired")
    service.process.send_signal(signal.SIGTERM)
    await service.until("finished")
    await asyncio.sleep(1.1)
    service.process.send_signal(signal.SIGTERM)
    status, out, logs = await service.end()
    assert status == 1
    assert out[-2:] == ["close b", "close a"]
    assert logs[-1]["reason"] == "second signal (SIGTERM), work in flight was cut off"


async def test_a_task_that_cannot_be_ended_does_not_keep_the_process(start: Start) -> None:
    service = await start("immortal", grace="0.1")
    await service.until("wired")
    service.process.send_signal(signal.SIGTERM)
    status, out, logs = await service.end()
    assert status == 1
    assert out[-2:] == ["close b", "close a"]
    assert logs[-1]["reason"] == "not finished after 0.1 s: worker"


async def test_a_failing_task_stops_the_process_with_its_reason(start: Start) -> None:
    service = await start("failing")
    status, out, logs = await service.end()
    assert status == 1
    assert "finished" in out, "the other tasks drain"
    assert logs[-1]["reason"] == "worker: RuntimeError: no luck with postgres://user:[redacted]@host/db"
    assert "hunter2" not in json.dumps(logs)


async def test_a_failing_service_function_closes_what_it_opened(start: Start) -> None:
    status, out, logs = await (await start("broken")).end()
    assert status == 1
    assert out == ["open a", "open b", "close b", "close a"]
    assert logs[-1]["reason"] == "service: RuntimeError: cannot wire"


async def test_a_service_without_foreground_work_ends_by_itself(start: Start) -> None:
    status, out, _ = await (await start("short")).end()
    assert status == 0
    assert out[-1] == "close a"


async def test_probes_tell_live_ready_and_draining(start: Start) -> None:
    service = await start("stubborn", grace="600")
    await service.until("wired")
    async with httpx.AsyncClient() as client:
        ready = await client.get(service.url("/health/ready"))
        assert (ready.status_code, ready.json()) == (200, {"ok": True, "checks": {}})
        assert (await client.head(service.url("/health/live"))).status_code == 200
        assert (await client.get(service.url("/secret"))).status_code == 404
        metrics = await client.get(service.url("/metrics"))
        assert metrics.headers["content-type"].startswith("text/plain; version=")
        assert "process_cpu_seconds_total " in metrics.text
        assert (await client.post(service.url("/health/live"))).status_code == 405
        service.process.send_signal(signal.SIGTERM)
        await service.until("finished")
        ready = await client.get(service.url("/health/ready"))
        assert ready.status_code == 503
        assert ready.json()["checks"]["lifecycle"]["error"] == "shutting down"
        assert (await client.get(service.url("/health/live"))).status_code == 200


async def test_a_failing_check_is_named_without_its_secret(start: Start) -> None:
    service = await start("sick")
    await service.until("wired")
    async with httpx.AsyncClient() as client:
        ready = await client.get(service.url("/health/ready"))
    assert ready.status_code == 503
    assert ready.json()["checks"]["nats"]["error"] == "ConnectionError: nats://user:[redacted]@host is gone"


async def test_the_probe_server_survives_what_is_not_http(start: Start) -> None:
    service = await start("polite")
    await service.until("wired")
    port = int(service.url("").rpartition(":")[2])
    for junk in (b"\x16\x03\x01\r\n\r\n", b"GET /\r\n\r\n", b"A" * 20_000):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(junk)
        answer = await reader.read(12)
        assert answer in (b"HTTP/1.1 400", b"")
        writer.close()
    async with httpx.AsyncClient() as client:
        assert (await client.get(service.url("/health/live"))).status_code == 200


async def test_a_taken_probe_port_is_told_by_variable_name(start: Start) -> None:
    first = await start("polite")
    await first.until("wired")
    taken = first.url("").removeprefix("http://")
    status, _, logs = await (await start("polite", PROBE_LISTEN=taken)).end()
    assert status == 1
    assert f"PROBE_LISTEN={taken}" in logs[-1]["reason"]


async def test_missing_settings_exit_with_status_2(start: Start) -> None:
    service = await start("polite", NATS_URL="")
    await service.process.wait()
    assert service.process.returncode == 2
    assert "NATS_URL: missing" in await service.errors()


async def test_metrics_can_be_turned_off(start: Start) -> None:
    service = await start("stubborn", grace="0.2", ENABLE_METRICS="false")
    await service.until("wired")
    async with httpx.AsyncClient() as client:
        assert (await client.get(service.url("/metrics"))).status_code == 404
    service.process.send_signal(signal.SIGTERM)
    await service.end()
