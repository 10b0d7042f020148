"""Waiting for a body: what is there is taken at once, what is not is waited for without a place, and not for ever."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from starlette.types import Message

from services.gateway.api.admission import Admission, Place
from services.gateway.api.patience import BodyPatience
from services.gateway.errors import Overloaded, RequestTimeout
from tests.support.ending import end

Receive = Callable[[], Awaitable[Message]]


def part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


class Caller:
    """Sends parts of a body when told to; says when it is waited for."""

    def __init__(self, *at_hand: Message) -> None:
        self.parts: asyncio.Queue[Message] = asyncio.Queue()
        self.waited_for = asyncio.Event()
        for each in at_hand:
            self.parts.put_nowait(each)

    async def receive(self) -> Message:
        if self.parts.empty():
            self.waited_for.set()
        return await self.parts.get()


async def test_a_body_that_is_there_keeps_its_place() -> None:
    admission = Admission(1)
    caller = Caller(part(b"one", more=True), part(b"two", more=False))
    # Without any patience: it must not be measured.
    patience = BodyPatience(caller.receive, Place(admission, {"state": {}}), grace=0.0, rate=1e-9)
    assert [(await patience.receive())["body"] for _ in range(2)] == [b"one", b"two"]
    assert admission.full
    assert not caller.waited_for.is_set()


async def test_a_body_that_is_waited_for_leaves_its_place_until_it_comes() -> None:
    admission, caller = Admission(1), Caller()
    patience = BodyPatience(caller.receive, Place(admission, {"state": {}}))
    receiving = asyncio.create_task(patience.receive())
    await caller.waited_for.wait()
    assert not admission.full
    caller.parts.put_nowait(part(b"late", more=False))
    assert (await receiving)["body"] == b"late"
    assert admission.full


async def test_only_a_body_that_has_not_begun_is_refused_when_it_finds_its_place_taken() -> None:
    for begun in (False, True):
        admission, caller = Admission(1), Caller()
        patience = BodyPatience(caller.receive, Place(admission, {"state": {}}))
        if begun:
            caller.parts.put_nowait(part(b"begun", more=True))
            await patience.receive()
        receiving = asyncio.create_task(patience.receive())
        await caller.waited_for.wait()
        Place(admission, {"state": {}})  # another one's
        caller.parts.put_nowait(part(b"more", more=False))
        if begun:
            assert (await receiving)["body"] == b"more"
        else:
            with pytest.raises(Overloaded):
                await receiving


async def test_a_body_that_does_not_come_is_given_up() -> None:
    patience = BodyPatience(Caller().receive, grace=0.01)
    with pytest.raises(RequestTimeout):
        await patience.receive()


async def test_whoever_is_waited_for_learns_of_a_cancellation_and_may_yet_answer() -> None:
    told: list[str] = []

    async def receive() -> Message:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append("cancelled")
            await asyncio.sleep(0)  # tidies up
            told.append("tidied up")
            raise
        raise AssertionError

    receiving = asyncio.create_task(BodyPatience(receive).receive())
    await asyncio.sleep(0)
    await end([receiving])
    assert told == ["cancelled", "tidied up"]


async def test_after_the_body_the_end_of_the_connection_is_waited_for_without_a_place() -> None:
    admission, caller = Admission(1), Caller(part(b"", more=False))
    patience = BodyPatience(caller.receive, Place(admission, {"state": {}}), grace=0.0)
    await patience.receive()
    leaving = asyncio.create_task(patience.receive())
    await caller.waited_for.wait()
    assert not admission.full
    caller.parts.put_nowait({"type": "http.disconnect"})
    assert (await leaving)["type"] == "http.disconnect"
