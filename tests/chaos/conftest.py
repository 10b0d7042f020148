"""One stack for all tests of a module; `SLOT_MS` in the module sets the length of its slots."""

from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest
import pytest_asyncio

from tests.support.stack import LiveStack, live_stack, stack_settings

SLOT_MS = 100


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[LiveStack]:
    """A running stack."""
    module = cast("Any", request).module  # pytest leaves its type open
    slot_ms: int = getattr(module, "SLOT_MS", SLOT_MS)
    async with live_stack(stack_settings(tmp_path_factory.mktemp("stack"), slot_ms=slot_ms)) as running:
        yield running
