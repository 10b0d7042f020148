"""Stop the stack, start it on the same folder: nothing is lost, and it goes on."""

from pathlib import Path

from contracts.mint import Finalized, Requested
from contracts.streams import MINT
from tests.support.exactly_once import check_exactly_once
from tests.support.stack import LiveStack, facts, live_stack, stack_settings


async def test_a_stack_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    async with live_stack(stack_settings(tmp_path)) as live:
        v1, v2 = await live.collection("v1"), await live.collection("v2")
        before = [await live.ask(v1, 4), await live.ask(v2, 6, files=True)]
        statuses = [await live.settled(asked.operation) for asked in before]
        key = live.stack.api_key

    async with live_stack(stack_settings(tmp_path)) as live:
        assert live.stack.api_key == key
        for asked, status in zip(before, statuses, strict=True):
            assert await live.settled(asked.operation) == status
            await check_exactly_once(live, asked)
        for collection in (v1, v2):
            found = await live.api.wait_for_collection(collection["id"], within=5.0)
            assert found["treeAddress"] == collection["treeAddress"]
            await check_exactly_once(live, await live.ask(collection, 3))
        await check_finality(live)


async def test_an_operation_that_was_cut_off_is_finished_after_the_restart(tmp_path: Path) -> None:
    async with live_stack(stack_settings(tmp_path)) as live:
        collection = await live.collection()
        asked = await live.ask(collection, 20, batch_size=2)
        await live.first(Requested, asked)
    async with live_stack(stack_settings(tmp_path)) as live:
        await check_exactly_once(live, asked)


async def check_finality(live: LiveStack) -> None:
    """What was confirmed before the stop is watched to its finality after it."""
    signatures = {message.data.signature for message in await live.events() if "confirmed" in message.subject}
    finalized: set[str] = set()
    async for raw in live.log.read(MINT, 0):
        if raw.subject.startswith(Finalized.type()):
            finalized |= {fact.signature for fact in facts(await live.events(), Finalized)}
            if finalized == signatures:
                return
