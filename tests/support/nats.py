"""NATS servers for tests: one per pytest worker, an account of its own for every test."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from localnet.child import Child
from localnet.nats_server import NatsOptions, NatsUser, nats_spec

ACCOUNTS = 64
"""How many tests one server serves. Accounts share nothing, so a used one is as good as none for the next test."""

NatsFactory = Callable[..., Awaitable[Child]]


class NatsAccounts:
    """Hands out accounts; when they are used up, the next server."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._servers = 0
        self._free: list[NatsUser] = []
        self._child: Child | None = None

    async def take(self) -> str:
        """The URL, with credentials, of an account in which nothing has happened yet."""
        if not self._free:
            await self.close()
            self._servers += 1
            self._free = [NatsUser(f"test{i}", "test", f"TEST{i}") for i in range(ACCOUNTS)]
            options = NatsOptions(
                data_dir=self._directory / str(self._servers),
                users=tuple(self._free),
                # Every account reserves a whole object store; nothing of the sort is ever written.
                max_file_bytes=2**44,
            )
            self._child = Child(nats_spec(options))
            await self._child.start()
        assert self._child is not None
        user = self._free.pop()
        return self._child.addresses["nats"].replace("//", f"//{user.name}:{user.password}@")

    async def close(self) -> None:
        if self._child is not None:
            await self._child.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nats_accounts(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[NatsAccounts, None]:
    accounts = NatsAccounts(tmp_path_factory.mktemp("nats"))
    yield accounts
    await accounts.close()


@pytest.fixture
async def nats_url(nats_accounts: NatsAccounts) -> str:
    """A NATS server with JetStream on which nothing has happened yet, for this test alone."""
    return await nats_accounts.take()


@pytest.fixture
async def start_nats(tmp_path: Path) -> AsyncGenerator[NatsFactory, None]:
    """Starts servers that a test may kill, stop and start again: `await start_nats(sync_interval="always")`.

    The port stays the same over restarts (`child.start()` after `child.kill()`), so that clients can reconnect.
    """
    children: list[Child] = []

    async def start(**options: object) -> Child:
        from localnet.linux import free_port

        merged: dict[str, object] = {
            "data_dir": tmp_path / f"nats{len(children)}",
            "port": free_port(),
            **options,
        }
        children.append(Child(nats_spec(NatsOptions(**merged))))  # pyright: ignore[reportArgumentType]  (keywords)
        await children[-1].start()
        return children[-1]

    yield start
    for child in children:
        await child.stop()
