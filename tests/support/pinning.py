"""The embedded pinning endpoint as a child process, for tests that want it over real HTTP."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 60.0
"""Only a hung start is ever waited for this long."""


@dataclass
class PinningEndpoint:
    """A running `python -m localnet.ipfs`."""

    url: str
    data: Path
    process: asyncio.subprocess.Process

    @property
    def host_and_port(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), START_SECONDS)


@asynccontextmanager
async def pinning_endpoint(directory: Path, *options: str) -> AsyncGenerator[PinningEndpoint]:
    """Run the endpoint on a free port over `directory`, which is made if needed."""
    ports = _ports_file(directory)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "localnet.ipfs", "--data", str(directory / "data"), "--ports-file", str(ports), *options,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        line = await asyncio.wait_for(process.stderr.readline(), START_SECONDS)
        assert b"http://" in line, (line + await process.stderr.read()).decode()
        url = json.loads(ports.read_bytes())["http"]
        endpoint = PinningEndpoint(url, directory / "data", process)
        yield endpoint
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _ports_file(directory: Path) -> Path:
    """Return where the ports file will be, with none of an earlier run there."""
    directory.mkdir(parents=True, exist_ok=True)
    ports = directory / "ports.json"
    ports.unlink(missing_ok=True)
    return ports
