# redis-py is annotated in part only.
# pyright: reportUnknownMemberType=false
"""The deployed Valkey's own configuration on a real server: the gateway counts, and nobody does anything else."""

import shutil
import subprocess
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from chassis.settings import Secret
from deploy.render import K8S
from localnet.child import Addresses, ChildSpec, minimal_environ, running
from localnet.linux import free_port, port_is_free
from services.gateway.adapters.counting import shared_counters
from services.gateway.limiting import CountersUnavailable
from tests.support.certificates import authority
from tests.support.manifests import named

PASSWORD = "for-tests"
SERVER = shutil.which("valkey-server") or shutil.which("redis-server")


@dataclass(frozen=True)
class Valkey:
    port: int
    ca_file: Path

    def url(self, user: str = "gateway", password: str = PASSWORD, ca_file: Path | None = None) -> str:
        return f"rediss://{user}:{password}@127.0.0.1:{self.port}/0?ssl_ca_certs={quote(str(ca_file or self.ca_file))}"


def takes_tls() -> bool:
    """Whether there is a server, and one that was built with TLS."""
    if SERVER is None:
        return False
    done = subprocess.run([SERVER, "--port", "0", "--tls-port", "0", "--bogus"], capture_output=True, text=True)
    return "tls-port" not in done.stdout + done.stderr


@pytest.fixture
async def valkey(tmp_path: Path) -> AsyncGenerator[Valkey]:
    if SERVER is None or not takes_tls():
        pytest.skip("needs a valkey-server or redis-server with TLS on the PATH")
    ours = authority(tmp_path)
    ours.vouch(tmp_path)
    template = named("production", "ExternalSecret", "valkey")["spec"]["target"]["template"]["data"]
    (tmp_path / "users.acl").write_text(template["users.acl"].replace("{{ .password }}", PASSWORD))
    text = (K8S / "components" / "valkey" / "valkey.conf").read_text()
    port = free_port()
    for deployed, here in (
        ("/run/tls/", f"{tmp_path}/"),
        ("/run/secrets/valkey/", f"{tmp_path}/"),
        ("dir /tmp", f"dir {tmp_path}"),
        ("tls-port 6379", f"tls-port {port}"),
    ):
        assert deployed in text
        text = text.replace(deployed, here)
    configuration = tmp_path / "valkey.conf"
    configuration.write_text(text)

    def ready(pid: int) -> Addresses | None:
        return None if port_is_free(port) else {}

    spec = ChildSpec(
        name="valkey",
        command=(SERVER, str(configuration)),
        log_file=tmp_path / "valkey.log",
        ready=ready,
        environ=minimal_environ(),
    )
    async with running(spec):
        yield Valkey(port, ours.file)


async def test_the_gateway_counts_there(valkey: Valkey) -> None:
    async with shared_counters(Secret(valkey.url())) as counters:
        standings = [await counters.hit("mint:somebody", 900) for _ in range(3)]
    assert [standing.count for standing in standings] == [1, 2, 3]
    assert 0 < standings[-1].reset <= 900


async def test_nobody_else_counts_and_the_gateway_does_nothing_else(valkey: Valkey, tmp_path: Path) -> None:
    for user, password in (("gateway", "wrong"), ("default", "")):
        async with Redis.from_url(valkey.url(user, password)) as stranger:
            with pytest.raises(AuthenticationError):
                await stranger.get("mintstream:limits:x")
    async with Redis.from_url(valkey.url()) as gateway:
        for command in ("FLUSHALL", "KEYS *", "CONFIG GET *", "GET other", "SUBSCRIBE x", "ACL LIST"):
            with pytest.raises(NoPermissionError):
                await gateway.execute_command(*command.split())
    async with Redis.from_url(f"redis://gateway:{PASSWORD}@127.0.0.1:{valkey.port}/0") as plain:
        with pytest.raises(RedisError):
            await plain.ping()
    stranger_ca = authority(tmp_path / "stranger").file
    async with shared_counters(Secret(valkey.url(ca_file=stranger_ca))) as counters:
        with pytest.raises(CountersUnavailable):
            await counters.hit("mint:somebody", 900)
