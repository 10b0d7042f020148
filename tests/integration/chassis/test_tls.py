"""TLS towards NATS: only a server that the given authority vouches for is spoken to."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from chassis.log import LogUnavailable
from chassis.messaging import Connection, Log
from contracts.fact import Producer
from localnet.child import running
from localnet.nats_server import NatsOptions, ServerTls, nats_spec
from tests.support.certificates import authority


@pytest.fixture
async def server(tmp_path: Path) -> AsyncGenerator[tuple[str, Path]]:
    """A server with a certificate for 127.0.0.1, and the file of its authority."""
    ours = authority(tmp_path / "ours")
    certificate, key_file = ours.vouch(tmp_path)
    options = NatsOptions(data_dir=tmp_path / "nats", tls=ServerTls(certificate, key_file))
    async with running(nats_spec(options)) as child:
        yield child.addresses["nats"].replace("nats://", "tls://"), ours.file


def connection(url: str, ca_file: Path | None) -> Connection:
    producer = Producer(name="test", version="0")
    return Connection((url,), producer, ca_file=ca_file and str(ca_file), timeout=0.5, connect_seconds=2.0)


async def test_a_server_of_our_authority_is_spoken_to(server: tuple[str, Path]) -> None:
    url, ca_file = server
    async with Log.session(connection(url, ca_file)) as log:
        await log.ping()


async def test_a_server_of_another_authority_is_not(server: tuple[str, Path], tmp_path: Path) -> None:
    url, _ = server
    stranger = authority(tmp_path / "stranger").file
    for ca_file in (stranger, None):
        with pytest.raises(LogUnavailable):
            await Log.connect(connection(url, ca_file))


async def test_an_authority_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    empty = tmp_path / "empty.crt"
    empty.touch()
    for ca_file in (tmp_path / "none.crt", empty):
        with pytest.raises(LogUnavailable, match="NATS_CA_FILE"):
            await Log.connect(connection("tls://127.0.0.1:1", ca_file))
