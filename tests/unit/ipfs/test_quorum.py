"""Several pinning services at once: what is enough, whose error counts, and who is left alone."""

import pytest

from chassis.clock import ManualClock
from services.ipfs.ports import ContentMismatch, ContentUnavailable, PinningService, PinRefused, PinUnavailable
from services.ipfs.quorum import REMEMBERED_SECONDS, Guarded, Quorum
from tests.support.content import Kept, MemoryPinning, content_of
from unixfs import Cid

CONTENT = content_of(b"content")
BUSY = PinUnavailable("busy", after=9.0)
GONE = PinUnavailable("gone", after=3.0)
REFUSED = PinRefused("too large")
MISMATCH = ContentMismatch(CONTENT.cid, "bafkother")


def service(name: str, *errors: Exception, takes_bytes: bool = True) -> MemoryPinning:
    """Return a service whose first pins raise `errors`."""
    waiting = list(errors)

    def fail(_: Kept) -> None:
        if waiting:
            raise waiting.pop(0)

    made = MemoryPinning(fail, name)
    made.takes_bytes = takes_bytes
    return made


@pytest.mark.parametrize(
    ("errors", "enough", "raised"),
    [
        ([None, None], 2, None),
        ([None, BUSY], 1, None),
        ([None, MISMATCH], 1, None),
        ([None, BUSY], 2, BUSY),
        ([BUSY, GONE, None], 2, GONE),
        ([REFUSED, BUSY, None], 2, BUSY),
        ([REFUSED, BUSY, None], 3, REFUSED),
        ([MISMATCH, None], 2, MISMATCH),
        ([BUSY, BUSY], 1, BUSY),
        ([REFUSED], 1, REFUSED),
    ],
)
async def test_the_verdict(errors: list[Exception | None], enough: int, raised: Exception | None) -> None:
    services = [service(str(number), *([error] if error else [])) for number, error in enumerate(errors)]
    quorum = Quorum(services, enough)
    if raised is None:
        await quorum.pin(CONTENT)
    else:
        with pytest.raises(type(raised)) as caught:
            await quorum.pin(CONTENT)
        assert caught.value is raised
    assert [CONTENT.cid in each.contents for each in services] == [error is None for error in errors]


async def test_a_service_that_fetches_by_cid_is_asked_after_the_others() -> None:
    order: list[str] = []
    first = MemoryPinning(lambda _: order.append("bytes"), "bytes")
    later = MemoryPinning(lambda _: order.append("cid"), "cid")
    later.takes_bytes = False
    await Quorum([later, first], 2).pin(CONTENT)
    assert order == ["bytes", "cid"]


async def test_without_a_copy_nobody_is_asked_to_fetch_it() -> None:
    later = service("cid", takes_bytes=False)
    with pytest.raises(PinUnavailable):
        await Quorum([service("bytes", BUSY), later], 1).pin(CONTENT)
    assert later.calls == []


async def test_a_retry_asks_only_those_that_failed() -> None:
    clock = ManualClock()
    inner = [service("a"), service("b", PinUnavailable("busy"))]
    quorum = Quorum([Guarded(each, clock, failures=5, pause=30.0) for each in inner], 2)
    with pytest.raises(PinUnavailable):
        await quorum.pin(CONTENT)
    await quorum.pin(CONTENT)
    assert [len(each.calls) for each in inner] == [1, 2]


async def test_what_was_pinned_long_ago_is_pinned_again() -> None:
    clock, inner = ManualClock(), service("a")
    guarded = Guarded(inner, clock, failures=5, pause=30.0)
    await guarded.pin(CONTENT)
    await clock.advance(REMEMBERED_SECONDS - 1)
    await guarded.pin_all([CONTENT])
    assert len(inner.calls) == 1
    await clock.advance(1)
    await guarded.pin(CONTENT)
    assert len(inner.calls) == 2


FILES = [content_of(b"%d" % number) for number in range(4)]


async def test_of_many_files_a_service_is_asked_for_those_that_it_is_not_known_to_have() -> None:
    clock = ManualClock()
    inner = [service("a"), service("b", PinUnavailable("busy"))]
    quorum = Quorum([Guarded(each, clock, failures=5, pause=30.0) for each in inner], 2)
    with pytest.raises(PinUnavailable):
        await quorum.pin_all(FILES[:2])
    await quorum.pin_all(FILES)
    await quorum.pin_all(FILES)
    assert [each.requests for each in inner] == [[2, 2], [2, 4]]
    assert all(file.cid in each.contents for each in inner for file in FILES)


async def test_as_many_files_at_once_as_the_service_takes_that_takes_the_fewest() -> None:
    few = service("few")
    few.most_files = 2
    assert Quorum([service("many"), few], 2).most_files == 2


async def test_a_pause_that_a_service_asks_for_holds_for_every_content() -> None:
    clock = ManualClock()
    inner = service("a", BUSY)
    guarded = Guarded(inner, clock, failures=5, pause=30.0)
    with pytest.raises(PinUnavailable):
        await guarded.pin(CONTENT)
    other = content_of(b"other")
    with pytest.raises(PinUnavailable, match="pause") as caught:
        await guarded.pin(other)
    assert caught.value.after == 9.0
    assert len(inner.calls) == 1
    await clock.advance(9.0)
    await guarded.pin(other)


async def test_content_that_waits_holds_up_no_other() -> None:
    inner = service("a", *[ContentUnavailable("not found yet", after=60.0)] * 5)
    guarded = Guarded(inner, ManualClock(), failures=2, pause=30.0)
    for _ in range(5):
        with pytest.raises(ContentUnavailable):
            await guarded.pin(CONTENT)
    await guarded.pin(content_of(b"other"))


async def test_a_circuit_opens_after_failures_and_closes_again() -> None:
    inner = service("a", *[PinUnavailable("down")] * 3)
    guarded = Guarded(inner, ManualClock(), failures=3, pause=0.2)
    for _ in range(3):
        with pytest.raises(PinUnavailable, match="down"):
            await guarded.pin(CONTENT)
    with pytest.raises(PinUnavailable, match="circuit") as caught:
        await guarded.pin(CONTENT)
    assert (caught.value.after, len(inner.calls)) == (0.2, 3)


async def test_content_that_is_refused_opens_no_circuit() -> None:
    inner = service("a", *[REFUSED, MISMATCH] * 4)
    guarded = Guarded(inner, ManualClock(), failures=2, pause=30.0)
    for _ in range(8):
        with pytest.raises((PinRefused, ContentMismatch)):
            await guarded.pin(CONTENT)
    await guarded.pin(CONTENT)


class Silent(MemoryPinning):
    async def has(self, cid: Cid) -> bool:
        raise BUSY

    async def check(self) -> None:
        raise BUSY


@pytest.mark.parametrize(("enough", "answer"), [(1, True), (2, None), (3, None)])
async def test_whether_it_is_there(enough: int, answer: bool | None) -> None:
    having = service("a")
    await having.pin(CONTENT)
    services: list[PinningService] = [having, Silent(), Silent()]
    quorum = Quorum(services, enough)
    if answer is None:
        with pytest.raises(PinUnavailable):
            await quorum.has(CONTENT.cid)
        with pytest.raises(PinUnavailable):
            await quorum.check()
    else:
        assert await quorum.has(CONTENT.cid) is answer
        await quorum.check()
    assert not await Quorum([service("b")], 1).has(CONTENT.cid)


async def test_a_service_that_speaks_of_something_else_does_not_tell_whether_it_is_there() -> None:
    class Odd(MemoryPinning):
        async def has(self, cid: Cid) -> bool:
            raise REFUSED

    having = service("a")
    await having.pin(CONTENT)
    assert await Quorum([having, Odd()], 1).has(CONTENT.cid)
    with pytest.raises(PinUnavailable):
        await Quorum([having, Odd()], 2).has(CONTENT.cid)
