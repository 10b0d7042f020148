"""A connection to nats-server that ends in a way which its client would take for the last, or for none."""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import nats.errors
import pytest
import uvloop

from chassis.messaging_client import ReconnectingClient
from localnet.child import running
from localnet.nats_server import NatsOptions, nats_spec
from tests.support.ending import end
from tests.support.fault_proxy import fault_proxy


class Watched:
    """A client, and whether it has reconnected."""

    def __init__(self) -> None:
        self.client = ReconnectingClient()
        self.back = asyncio.Event()

    async def reconnected(self) -> None:
        self.back.set()


async def test_a_connection_that_the_server_ends_with_an_error_is_followed_by_another(nats_url: str) -> None:
    """The client measures bodies only; of what is too large by its headers the server says so, and hangs up."""
    watched = Watched()
    client = watched.client
    await client.connect(nats_url, reconnect_time_wait=0, reconnected_cb=watched.reconnected)
    await client.publish("much", bytes(client.max_payload), headers={"And": "more"})
    async with asyncio.timeout(60):
        await watched.back.wait()
    await client.flush(timeout=30)
    await client.close()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_server_that_takes_nothing_any_more_is_left(tmp_path: Path, loop: Callable[[], AbstractEventLoop]) -> None:
    """Though more was to be said to it than fits between the two; the two loops keep that in ways of their own."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(leave_a_server_that_takes_nothing(tmp_path))


async def leave_a_server_that_takes_nothing(directory: Path) -> None:
    async with running(nats_spec(NatsOptions(data_dir=directory))) as server:
        url = server.addresses["nats"]
        async with fault_proxy(int(url.rsplit(":", 1)[1])) as proxy:
            watched = Watched()
            client = watched.client
            await client.connect(
                [f"nats://127.0.0.1:{proxy.port}", url],
                dont_randomize=True,
                connect_timeout=1,
                reconnect_time_wait=0,
                reconnected_cb=watched.reconnected,
            )
            proxy.hang()
            saying = asyncio.create_task(say_much(client))
            await asyncio.sleep(0.2)  # so that the connection is full
            await client.force_reconnect()  # as when the server answers no ping
            async with asyncio.timeout(60):
                await watched.back.wait()
            assert client.connected_url is not None
            assert client.connected_url.netloc == url.removeprefix("nats://")
            await end([saying])
            await client.close()


async def say_much(client: ReconnectingClient) -> None:
    for _ in range(500):
        with suppress(nats.errors.Error):
            await client.publish("much", bytes(100_000))
