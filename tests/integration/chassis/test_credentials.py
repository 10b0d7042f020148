"""Coming in by a .creds file, as hosted NATS asks for."""

from pathlib import Path

import pytest

from chassis.log import LogUnavailable
from chassis.messaging import Connection, Log
from contracts.fact import Producer
from localnet.child import running
from tests.support.nats_operator import operated_server


async def test_whoever_has_the_credentials_comes_in_and_nobody_else(tmp_path: Path) -> None:
    ours, others = operated_server(tmp_path / "ours"), operated_server(tmp_path / "others")
    async with running(ours.spec) as server:

        def connection(credentials: str | None, seconds: float) -> Connection:
            producer = Producer(name="test", version="0")
            return Connection((server.addresses["nats"],), producer, credentials=credentials, connect_seconds=seconds)

        async with Log.session(connection(ours.credentials, 30)) as log:
            await log.ping()
        for strange in (others.credentials, None):
            with pytest.raises(LogUnavailable):
                await Log.connect(connection(strange, 0.3))
