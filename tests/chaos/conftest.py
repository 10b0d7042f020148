"""One stack for all tests of a module; modules that disturb theirs start their own."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.support.stack import LiveStack, live_stack, stack_settings


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[LiveStack]:
    """A running stack."""
    async with live_stack(stack_settings(tmp_path_factory.mktemp("stack"))) as running:
        yield running
