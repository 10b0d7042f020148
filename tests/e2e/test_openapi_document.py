"""The OpenAPI document against the running stack: whatever it allows is answered as it says, and never with a 5xx.

Schemathesis makes the requests, within a bounded number of examples. One check is left out: that everything the schema
allows is accepted. A schema cannot say which texts are 32 bytes in base58, or how long a name is in UTF-8. The event
stream is left out too: it does not end while its operation goes on.
"""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.support.stack import PATIENCE, LiveStack

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLES = 15
"""Most requests of a kind and endpoint."""


async def test_every_answer_is_one_that_the_document_allows(live: LiveStack, tmp_path: Path) -> None:
    collection = await live.collection()
    await live.settled((await live.ask(collection, 2)).operation)
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "st"),
        *("run", f"{live.stack.api_url}/openapi.json"),
        *("--header", f"X-API-Key: {live.stack.api_key}"),
        *("--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", "1"),
        *("--exclude-checks", "positive_data_acceptance", "--exclude-path-regex", "/events$"),
        *("--request-timeout", str(int(PATIENCE)), "--no-color"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 2 * PATIENCE)
    assert process.returncode == 0, output.decode()
    assert "Tested: " in output.decode(), "it must have sent something"
    assert await live.dead_letters() == []
