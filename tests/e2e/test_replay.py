"""`mintstream archive` and `mintstream replay` on a stack at work: the tables are archive and log, read again."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from chassis.database import connect
from mintstream.ending import Exit
from tests.support.exactly_once import check_exactly_once
from tests.support.stack import LiveStack

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]
INTO = "rebuilt_by_a_test"


async def run(live: LiveStack, archive: Path, *arguments: str) -> tuple[int, str]:
    """The program's exit status, and what it said on both outputs."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mintstream",
        *arguments,
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            "NATS_URL": live.stack.nats_url,
            "DATABASE_URL": live.stack.database_url,
            "ARCHIVE_URL": archive.as_uri(),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_the_tables_are_rebuilt_compared_and_exchanged(live: LiveStack, tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    await check_exactly_once(live, await live.ask(await live.collection("v1"), 5, batch_size=2))
    status, said = await run(live, archive, "archive", "run", "--flush", "--older-than-hours", "0")
    assert status == 0, said
    # What comes after the archive is read from the stream.
    asked = await live.ask(await live.collection("v2"), 5, batch_size=2)
    await check_exactly_once(live, asked)
    status, said = await run(live, archive, "archive", "check")
    assert status == 0, said
    assert "MINT: 1 segments, messages 1 to" in said

    status, said = await run(live, archive, "replay", "--into", INTO, "--verify")
    assert status == 0, said
    assert "Every row is the same" in said

    database = await connect(live.stack.database_url)
    try:
        await database.execute("UPDATE mint_results SET nft_name = 'forged' WHERE operation_id = $1", asked.operation)
        status, said = await run(live, archive, "replay", "--into", INTO, "--verify", "--exchange")
        assert status == Exit.WRONG, said
        assert said.count("column nft_name: forged is live") == 5
        assert "The rebuilt tables are live" in said
        assert not await database.fetchval("SELECT count(*) FROM mint_results WHERE nft_name = 'forged'")
        assert live.stack.restarts("indexer") == 0
        await check_exactly_once(live, await live.ask(await live.collection("v2"), 2))
        await database.execute(f"DROP SCHEMA {INTO} CASCADE")
    finally:
        await database.close()

    (segment,) = (archive / "MINT").glob("*.ndjson.zst")
    segment.write_bytes(segment.read_bytes()[::-1])
    status, said = await run(live, archive, "archive", "check")
    assert status == Exit.WRONG
    assert "archive of MINT, segment 1" in said
