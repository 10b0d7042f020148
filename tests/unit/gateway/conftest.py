"""The gateway with two collections on its log, one open and one closed."""

from collections.abc import AsyncGenerator

import httpx
import pytest

from tests.support.gateway import Gateway


@pytest.fixture
async def gateway() -> Gateway:
    return await Gateway().with_collections()


@pytest.fixture
async def client(gateway: Gateway) -> AsyncGenerator[httpx.AsyncClient]:
    async with gateway.client() as client:
        yield client
