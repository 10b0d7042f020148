# nats-py is annotated in part only.
# pyright: reportUnknownMemberType=false
"""The liveness probe of the deployed NATS servers on a real one: whom it has started anew, and whom it leaves alone."""

import asyncio
import os
import shutil
import signal
from pathlib import Path
from urllib.parse import urlsplit

import nats
import pytest
import yaml
from nats.js.errors import ServiceUnavailableError

from deploy.render import K8S
from localnet.child import Child, running
from localnet.linux import free_port
from localnet.nats_server import NatsOptions, nats_spec
from tests.support import small_disk

BUSYBOX = shutil.which("busybox")
ALIVE, DEAD = 0, 1

pytestmark = pytest.mark.skipif(BUSYBOX is None, reason="needs BusyBox, in whose shell the probe is run")


def script(server: Child, disk: Path) -> str:
    """The probe's, for this server and its store."""
    values = yaml.safe_load((K8S / "platform" / "nats.yaml").read_text())
    (exec_,) = (step["value"] for step in values["container"]["patch"] if step["path"] == "/livenessProbe/exec")
    shell, flag, text = exec_["command"]
    assert (shell, flag) == ("sh", "-c")
    port = urlsplit(server.addresses["monitor"]).port
    for deployed, here in (("127.0.0.1 8222", f"127.0.0.1 {port}"), ("/data/jetstream", str(disk))):
        assert text.count(deployed) == 1
        text = text.replace(deployed, here)
    return text


async def probe(text: str, applets: Path) -> int:
    assert BUSYBOX is not None
    process = await asyncio.create_subprocess_exec(BUSYBOX, "sh", "-c", text, env={"PATH": str(applets)})
    return await process.wait()


@pytest.fixture
def applets(tmp_path: Path) -> Path:
    """BusyBox's commands and no others."""
    assert BUSYBOX is not None
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("sh", "nc", "grep", "df", "awk"):
        os.symlink(BUSYBOX, directory / name)
    return directory


async def test_a_server_is_started_anew_that_could_not_write_and_has_room_again(tmp_path: Path, applets: Path) -> None:
    if not small_disk.allowed():
        pytest.skip("no disk can be mounted here")
    store = tmp_path / "nats" / "jetstream"
    with small_disk.small_disk(store) as disk:
        async with running(nats_spec(NatsOptions(data_dir=tmp_path / "nats", port=free_port()))) as server:
            text = script(server, store)
            client = await nats.connect(server.addresses["nats"])
            stream = client.jetstream(timeout=0.5)
            await stream.add_stream(name="S", subjects=["s"])
            assert await probe(text, applets) == ALIVE
            disk.fill()
            with pytest.raises(TimeoutError):
                await asyncio.gather(*(stream.publish("s", b"x" * 100_000) for _ in range(100)))
            assert await probe(text, applets) == ALIVE, "without room a new start does not help"
            disk.make_room()
            assert await probe(text, applets) == DEAD
            await client.close()
            await server.stop()
            await server.start()
            assert await probe(script(server, store), applets) == ALIVE


async def test_a_server_at_its_own_limit_refuses_and_needs_no_new_start(tmp_path: Path, applets: Path) -> None:
    """One by itself. Three have no leaders from then on, and go on when they are given a higher one (full-disk.md)."""
    options = NatsOptions(data_dir=tmp_path / "nats", max_file_bytes=1_000_000)
    async with running(nats_spec(options)) as server:
        client = await nats.connect(server.addresses["nats"])
        stream = client.jetstream()
        await stream.add_stream(name="S", subjects=["s"])
        with pytest.raises(ServiceUnavailableError):
            await asyncio.gather(*(stream.publish("s", b"x" * 100_000) for _ in range(20)))
        assert await probe(script(server, tmp_path), applets) == ALIVE
        assert (await stream.get_msg("S", 1)).data, "what it has it gives"
        await stream.purge_stream("S")
        await stream.publish("s", b"x")
        await client.close()


async def test_a_server_that_does_not_answer_is_dead(tmp_path: Path, applets: Path) -> None:
    async with running(nats_spec(NatsOptions(data_dir=tmp_path / "nats"))) as server:
        text = script(server, tmp_path)
        assert await probe(text, applets) == ALIVE
        server.kill(signal.SIGKILL)
        await server.wait()
        assert await probe(text, applets) == DEAD
