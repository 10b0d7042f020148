"""The guard on an in-memory log: noticed once a connection, restored to the same sequences, and never read before."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import timedelta
from random import Random
from unittest.mock import AsyncMock, patch
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from archive.reading import HistoryIncomplete
from chassis.connectivity import Connectivity
from chassis.log import LogUnavailable, Message, RawMessage, RetryLater, SequenceConflict
from contracts.fact import Fact
from contracts.guard import Archived, Challenged, Hole, Truncated, Verified, Witness
from contracts.leaving import operation_of
from contracts.mint import Cancelled, Completed, Confirmed, Signed
from contracts.registry import decode
from contracts.streams import COLLECTION, GUARD, INDEXER_GUARD, MINT, Consumer, Stream
from services.indexer.guard import SETTLING, ForeignCopy, Guard
from services.indexer.guarded import GuardedLog, NotedLog
from services.indexer.history import History
from services.indexer.ports import Fenced, StoreUnavailable
from tests.support import samples
from tests.support.indexing import pin_failed, requested, uid
from tests.support.memory_log import MemoryLog
from tests.support.settled import settled_story


class CutLog(MemoryLog):
    """An in-memory log whose connection can be cut, and whose tail can go."""

    def __init__(self) -> None:
        super().__init__()
        self.connectivity = Connectivity()
        self.renewed: list[str] = []
        self.dies_renewing = False

    def cut(self, stream: Stream, last: int) -> None:
        """Lose the connection, and everything beyond `last`."""
        del self.streams[stream.name][last:]
        self.connectivity.lost()

    def repair(self) -> "CutLog":
        return self

    async def append(self, stream: Stream, raw: RawMessage, *, exactly: bool) -> int:
        if exactly and len(self.streams[stream.name]) != raw.sequence - 1:
            raise SequenceConflict(raw.subject, raw.sequence - 1)
        self.put_raw(stream, raw.subject, raw.payload)
        return len(self.streams[stream.name])

    async def repeat(self, stream: Stream, raw: RawMessage) -> int:
        newest = self._last_raw(stream, raw.subject)
        if newest is None or newest.sequence != raw.sequence:
            raise SequenceConflict(raw.subject, raw.sequence)
        return await self.append(stream, raw, exactly=False)

    async def renew(self, consumers: Iterable[Consumer]) -> None:
        if self.dies_renewing:
            self.dies_renewing = False
            raise LogUnavailable("away")
        self.renewed += [each.name for each in consumers]


class Copy:
    """The second copy; `away` makes it unreachable."""

    def __init__(self) -> None:
        self.kept: dict[str, list[RawMessage]] = {}
        self.watermarks: dict[str, int] = {}
        self.alarms: list[Truncated] = []
        self.away = False
        self.emptied = 0
        self.dropped = 0
        """The sequence up to which copies were dropped."""

    async def watermark(self, stream: str) -> int:
        if self.away:
            raise StoreUnavailable("away")
        return self.watermarks.get(stream, len(self.kept.get(stream, [])))

    async def messages(self, stream: str, first: int, last: int) -> Sequence[RawMessage]:
        return [raw for raw in self.kept.get(stream, [])[first - 1 : last] if raw.sequence > self.dropped]

    async def subjects(self, operations: Collection[str]) -> Sequence[tuple[int, str]]:
        kept = self.kept.get(MINT.name, [])
        return [(raw.sequence, raw.subject) for raw in kept if operation_of(raw.subject) in operations]

    async def losses(self) -> Sequence[Truncated]:
        return list(self.alarms)

    async def keep(self, loss: Truncated) -> None:
        if loss not in self.alarms:
            self.alarms.append(loss)

    async def empty(self) -> None:
        self.kept.clear()
        self.emptied += 1


class World:
    def __init__(self) -> None:
        self.log, self.copy = CutLog(), Copy()
        self.guard = Guard(self.log, self.copy)

    async def say(self, count: int) -> list[Fact]:
        """Say `count` things on MINT."""
        said: list[Fact] = [Cancelled(operation=uuid4()) for _ in range(count)]
        for fact in said:
            await self.log.publish(fact, cause=None)
        return said

    async def prune(self) -> tuple[Witness, set[int]]:
        """An operation is said, kept, and pruned; return a witness of its first message that left, and all of them."""
        said: list[Fact] = settled_story(Random(7), uid("pruned"))
        for fact in said:
            await self.log.publish(fact, cause=None)
        self.keep()
        for kind in (Confirmed, Signed):
            await self.log.purge(MINT, kind.pattern(), up_to=len(self.log.streams[MINT.name]))
        left = self.log.left[MINT.name]
        assert left
        return self.witness(min(left)), set(left)

    def keep(self) -> None:
        """Bring the copy up to date."""
        self.copy.kept[MINT.name] = list(self.log.streams[MINT.name])

    def payloads(self) -> list[bytes]:
        return [raw.payload for raw in self.log.streams[MINT.name]]

    def told(self) -> list[Message[Truncated]]:
        raws = [raw for raw in self.log.streams[GUARD.name] if raw.subject.startswith("guard.truncated")]
        return [Message(decode(r.subject, r.payload), r.subject, r.sequence, r.stored_at) for r in raws]

    def witness(self, sequence: int = 0) -> Witness:
        """A witness of the message at `sequence`, by default of the last one."""
        raw = self.log.streams[MINT.name][sequence - 1]
        return Witness(stream=MINT.name, sequence=raw.sequence, event=decode(raw.subject, raw.payload).id)

    async def answer(self, *witnesses: Witness) -> Verified:
        """The answer to a challenge."""
        challenge = uuid4()
        await self.log.publish(Challenged(challenge=challenge, witnesses=witnesses), cause=None)
        self.log.drain()
        await self.log.consume(INDEXER_GUARD, self.guard.on_challenged, concurrency=1)
        answer = await self.log.last(Verified, challenge=challenge)
        assert answer is not None
        return answer.data


@pytest.fixture
def world() -> World:
    return World()


async def test_a_whole_log_is_answered_for_at_once(world: World) -> None:
    await world.say(3)
    world.keep()
    assert (await world.answer(world.witness())).truncation is None
    world.log.connectivity.lost()
    assert (await world.answer(world.witness())).truncation is None
    assert not world.told()


async def test_a_lost_tail_is_put_back_at_its_own_sequences(world: World) -> None:
    await world.say(400)
    world.keep()
    before = world.payloads()
    world.log.cut(MINT, 50)
    answer = await world.answer()
    assert world.payloads() == before
    (told,) = world.told()
    assert answer.truncation == told.data.truncation
    assert (told.data.last, told.data.expected, told.data.restorable) == (50, 400, 350)
    assert "minter-mint" in world.log.renewed
    assert not world.copy.emptied


async def test_a_loss_stays_known_and_is_told_once(world: World) -> None:
    await world.say(5)
    world.keep()
    world.log.cut(MINT, 3)
    first = await world.answer()
    world.log.connectivity.lost()
    assert (await world.answer()).truncation == first.truncation
    assert len(world.told()) == 1


async def test_messages_that_came_since_are_kept_and_the_tables_begin_anew(world: World) -> None:
    await world.say(600)
    world.keep()
    before = world.payloads()
    world.log.cut(MINT, 200)
    (came,) = await world.say(1)
    await world.answer()
    assert world.payloads()[:200] == before[:200]
    assert decode(came.subject(), world.payloads()[200]).data == came
    assert world.payloads()[201:] == before[200:]
    assert world.copy.emptied == 1
    with pytest.raises(Fenced):
        world.guard.check_tables()
    truncation = world.told()[-1].data.truncation
    assert await world.log.last(Verified, challenge=truncation) is not None, (
        "whoever comes next has nothing to do again"
    )
    with pytest.raises(Fenced):
        await world.guard.fence()


async def test_a_stream_that_grew_past_its_loss_is_noticed(world: World) -> None:
    await world.say(5)
    world.keep()
    world.log.cut(MINT, 3)
    await world.say(9)
    await world.answer()
    assert world.told()[0].data.restorable == 2
    assert len(world.payloads()) == 14


async def test_what_never_reached_the_copy_is_missed_by_who_was_told_of_it(world: World) -> None:
    await world.say(3)
    world.keep()
    await world.say(4)
    witness = world.witness()
    world.log.cut(MINT, 5)
    answer = await world.answer(witness)
    assert answer.truncation == world.told()[0].data.truncation
    assert (world.told()[0].data.expected, world.told()[0].data.restorable) == (7, 0)
    assert len(world.payloads()) == 5


async def test_what_never_reached_the_copy_is_missed_although_others_have_spoken_since(world: World) -> None:
    await world.say(2)
    witness = world.witness()
    world.log.cut(MINT, 0)
    await world.say(3)
    assert (await world.answer(witness)).truncation == world.told()[0].data.truncation
    assert len(world.payloads()) == 3


async def test_an_alarm_that_the_log_forgets_is_said_again(world: World) -> None:
    await world.say(5)
    world.keep()
    world.log.cut(MINT, 3)
    first = await world.answer()
    world.log.cut(GUARD, 0)
    assert (await world.answer()).truncation == first.truncation
    (told,) = world.told()
    assert told.data.truncation == first.truncation
    world.copy.alarms.clear()
    world.log.connectivity.lost()
    await world.answer()
    assert world.copy.alarms == [told.data], "a copy that knows less is told"


async def test_the_loss_of_one_stream_hides_none_of_another(world: World) -> None:
    await world.say(3)
    witness = world.witness()
    await world.log.publish(samples.COLLECTION_CREATED, cause=None)
    world.copy.kept[COLLECTION.name] = list(world.log.streams[COLLECTION.name])
    world.log.cut(COLLECTION, 0)
    world.log.cut(MINT, 1)
    await world.guard.whole()
    assert [each.data.stream for each in world.told()] == [COLLECTION.name], "of the other one the tables know nothing"
    await world.answer(witness)
    assert [each.data.stream for each in world.told()] == [COLLECTION.name, MINT.name]


async def test_one_is_not_answered_before_it_is_heard_what_another_one_knows(world: World) -> None:
    await world.say(3)
    witness = world.witness()
    world.log.cut(MINT, 1)
    for witnesses in ((), (witness,)):
        await world.log.publish(Challenged(challenge=uuid4(), witnesses=witnesses), cause=None)
    first, second = world.log.messages(Challenged)
    await world.guard.on_challenged(first)
    answer = await world.log.last(Verified, challenge=first.data.challenge)
    (told,) = world.told()
    assert answer is not None
    assert answer.data.truncation == told.data.truncation
    later = Guard(world.log, world.copy)
    with pytest.raises(RetryLater):
        await later.on_challenged(second)
    await later.on_challenged(second)
    assert len(world.told()) == 1, "what came before the alarm is known"


async def test_whoever_asks_first_after_a_cut_waits_until_the_others_have_had_the_time_to_ask(world: World) -> None:
    async def ask(*witnesses: Witness) -> Message[Challenged]:
        await world.log.publish(Challenged(challenge=uuid4(), witnesses=witnesses), cause=None)
        return world.log.messages(Challenged)[-1]

    async def answer(asked: Message[Challenged]) -> Verified | None:
        found = await world.log.last(Verified, challenge=asked.data.challenge)
        return found.data if found else None

    await world.guard.on_challenged(first := await ask())
    assert await answer(first) is not None, "before the first answer of all nobody can have signed"
    await world.say(3)
    witness = world.witness()
    world.log.cut(MINT, 1)
    world.log.connectivity.lost()
    early = await ask()
    with pytest.raises(RetryLater) as put_off:
        await world.guard.on_challenged(early)
    assert put_off.value.after == SETTLING
    assert await answer(early) is None
    late = await ask(witness)
    await world.guard.on_challenged(early)
    (told,) = world.told()
    answered = await answer(early)
    assert answered is not None
    assert answered.truncation == told.data.truncation, "what the later one knows counts for the earlier one"
    await world.guard.on_challenged(late)
    assert await answer(late) is not None, "nobody is waited for twice over one connection"


async def test_a_challenge_that_was_put_off_over_an_earlier_connection_waits_anew(world: World) -> None:
    await world.log.publish(Verified(challenge=uuid4()), cause=None)
    await world.log.publish(Challenged(challenge=uuid4()), cause=None)
    (asked,) = world.log.messages(Challenged)
    for _ in range(2):
        with pytest.raises(RetryLater):
            await world.guard.on_challenged(asked)
        world.log.connectivity.lost()


async def test_a_place_that_the_stream_never_reaches_is_waited_for_until_the_connection_is_lost(world: World) -> None:
    await world.say(3)
    world.keep()
    world.copy.watermarks[MINT.name] = 5
    with patch.object(world.log, "last_sequence", AsyncMock(return_value=5)):
        looking = asyncio.create_task(world.guard.whole())
        await asyncio.sleep(0)
        world.log.connectivity.lost()
        with pytest.raises(LogUnavailable):
            await looking


async def test_an_end_that_is_told_while_the_connection_is_lost_is_no_end(world: World) -> None:
    await world.say(3)
    log = GuardedLog(world.log, world.guard)
    assert await log.last_sequence(MINT) == 3

    async def cut(stream: Stream) -> int:
        world.log.cut(stream, 1)
        return 1

    with patch.object(world.log, "last_sequence", cut), pytest.raises(LogUnavailable):
        await log.last_sequence(MINT)


async def test_a_log_whose_beginning_is_archived_is_whole_and_is_healed(world: World) -> None:
    await world.say(6)
    world.keep()
    old = world.witness()
    await world.say(2)
    world.keep()
    payloads = world.payloads()
    world.log.shorten(MINT, 7)
    world.log.connectivity.lost()
    assert (await world.answer(old)).truncation is None
    world.log.cut(MINT, 7)
    assert (await world.answer()).truncation is not None
    assert world.payloads() == payloads
    assert world.copy.emptied == 0


async def test_what_was_pruned_is_no_loss(world: World) -> None:
    await world.say(2)
    witness, _ = await world.prune()
    await world.say(2)
    world.keep()
    world.log.connectivity.lost()
    assert (await world.answer(witness, world.witness())).truncation is None
    world.copy.kept.clear()  # as if dropped: then the witness's message is known from the archive alone
    world.copy.watermarks[MINT.name] = await world.log.last_sequence(MINT)
    world.log.connectivity.lost()
    assert (await world.answer(witness)).truncation is None
    assert not world.told()


async def test_a_hole_that_nothing_explains_is_a_loss(world: World) -> None:
    _, left = await world.prune()
    await world.say(4)
    world.keep()
    lost = await world.log.last_sequence(MINT) - 2
    world.log.left[MINT.name].add(lost)
    world.log.connectivity.lost()
    assert (await world.answer()).truncation is not None
    assert world.told()[0].data.restorable == 3
    assert [raw.payload for raw in world.log.held(MINT)][-1] == world.payloads()[lost - 1], (
        "said again, and nothing else"
    )
    assert world.log.left[MINT.name] == left | {lost}
    assert world.copy.emptied == 1


async def test_the_tables_can_begin_anew_after_a_hole(world: World) -> None:
    """What stood there was said again; nothing else can ever be read at its place."""
    await world.say(6)
    world.keep()
    world.log.left[MINT.name] |= {2, 3}
    with pytest.raises(HistoryIncomplete):
        await read(History(world.log, None).read(MINT, 0), 4)
    await world.answer()
    (told,) = world.told()
    assert told.data.holes == (Hole(first=2, last=3),)
    reading = History(world.log, None).read(MINT, 0)
    assert [(await anext(reading)).sequence for _ in range(6)] == [1, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("archived", [None, 3])
async def test_what_was_never_archived_cannot_have_left(world: World, archived: int | None) -> None:
    """An attempt of an operation that is over: without its confirmation the tables could not begin anew."""
    _, left = await world.prune()
    lost = min(each for each in left if each > 3)
    world.log.left[MINT.name] = {lost}
    if archived is not None:
        anchor = Archived(stream=MINT.name, number=1, first=1, last=archived, manifest="0" * 64)
        await world.log.publish(anchor, cause=None)
    world.guard = Guard(world.log, world.copy, archives=archived is not None)
    payload = world.payloads()[lost - 1]
    assert (await world.answer()).truncation is not None
    assert world.told()[0].data.holes == (Hole(first=lost, last=lost),)
    assert world.payloads()[-1] == payload


async def test_what_was_pruned_stays_away_when_other_messages_are_put_back(world: World) -> None:
    """Said again after its own end, an attempt would reopen a transaction that is final."""
    await world.say(3)
    _, left = await world.prune()
    world.log.left[MINT.name].add(2)
    world.log.connectivity.lost()
    before = world.payloads()
    assert (await world.answer()).truncation is not None
    assert world.payloads() == [*before, before[1]]
    assert world.log.left[MINT.name] == left | {2}


async def test_a_lost_tail_comes_back_with_what_was_pruned_of_it(world: World) -> None:
    await world.say(2)
    _, left = await world.prune()
    before = world.payloads()
    world.log.left[MINT.name].clear()  # those sequences are given again
    world.log.cut(MINT, min(left) - 1)
    assert (await world.answer()).truncation is not None
    assert world.payloads() == before
    assert not world.copy.emptied


async def test_tables_that_agree_with_the_log_after_all_stay(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may tell an earlier end for a moment; or another guard was quicker."""
    await world.say(5)
    world.keep()
    before, true = world.payloads(), world.log.last_sequence
    ends = [3]

    async def earlier(stream: Stream) -> int:
        return ends.pop() if ends and stream == MINT else await true(stream)

    monkeypatch.setattr(world.log, "last_sequence", earlier)
    await world.guard.whole()
    assert world.payloads() == before
    assert not world.copy.emptied


async def test_a_copy_of_another_log_is_put_back_nowhere(world: World) -> None:
    """DATABASE_URL may name the database of another environment: what was asked for there is not minted here."""
    other = World()
    await other.say(4)
    world.copy.kept[MINT.name] = [
        replace(raw, stored_at=raw.stored_at + timedelta(days=2)) for raw in other.log.streams[MINT.name]
    ]
    await world.say(6)
    before = world.payloads()
    with pytest.raises(ForeignCopy):
        await world.guard.whole()
    assert world.payloads() == before
    assert not world.told()


async def test_nothing_is_put_back_while_copies_are_missing_that_were_dropped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the rest would get other sequences, and what was dropped would be gone from the log for good."""
    monkeypatch.setattr("services.indexer.truncation.PARTITION", 10)
    monkeypatch.setattr("services.indexer.guard.PAGE", 5)
    await world.say(25)
    world.keep()
    before = world.payloads()
    world.copy.dropped = 10
    world.log.cut(MINT, 0)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="restore-copies"):
            await world.guard.whole()
    assert not world.payloads()
    assert len(world.told()) == 1
    world.copy.dropped = 0
    await world.guard.whole()
    assert world.payloads() == before
    assert not world.copy.emptied


@pytest.mark.parametrize("spoken", [0, 1])
async def test_a_repair_that_died_before_its_end_is_ended_by_the_next_one(world: World, spoken: int) -> None:
    """Everything is back by then: only the alarm without an answer tells that there was something left to do."""
    await world.say(3)
    world.keep()
    world.log.cut(MINT, 2)
    await world.say(spoken)
    world.log.dies_renewing = True
    with pytest.raises(LogUnavailable):
        await world.guard.whole()
    world.guard = Guard(world.log, world.copy)
    await world.guard.whole()
    assert "minter-mint" in world.log.renewed
    assert world.copy.emptied == spoken
    assert len(world.told()) == 1
    renewed = list(world.log.renewed)
    await Guard(world.log, world.copy).whole()
    assert world.log.renewed == renewed, "and only once"


async def test_what_was_said_before_its_request_was_back_is_said_again_behind_it(world: World) -> None:
    """By a service that had the request in hand: else the tables could not tell what it is about."""
    operation = uid("lost request")
    await world.say(2)
    await world.log.publish(requested(operation, 2), cause=None)
    world.keep()
    world.log.cut(MINT, 2)
    await world.log.publish(pin_failed(operation, 0, [0]), cause=None)
    await world.answer()
    told = [decode(raw.subject, raw.payload).data for raw in world.log.held(MINT)][2:]
    assert told == [pin_failed(operation, 0, [0]), requested(operation, 2), pin_failed(operation, 0, [0])]
    world.log.connectivity.lost()
    world.guard = Guard(world.log, world.copy)
    await world.answer()
    assert len(world.log.held(MINT)) == 5


async def test_a_second_witness_of_the_same_loss_raises_no_second_alarm(world: World) -> None:
    await world.say(3)
    witness = world.witness()
    world.log.cut(MINT, 1)
    assert (await world.answer(witness)).truncation == (await world.answer(witness)).truncation
    assert len(world.told()) == 1


async def test_what_was_read_ahead_of_the_tables_is_missed_too(world: World) -> None:
    await world.say(4)
    await read(GuardedLog(world.log, world.guard).read(MINT, 0), 4)
    world.log.cut(MINT, 2)
    await read(NotedLog(world.log, world.guard).read(MINT, 0), 2)  # what a new connection brings tells nothing yet
    assert (await world.answer()).truncation is not None


class FromTheArchive(MemoryLog):
    """Reads what has left the stream as well."""

    def held(self, stream: Stream, after: int = 0) -> list[RawMessage]:
        return self.streams[stream.name][after:]


async def test_what_was_read_from_the_archive_is_missed_by_nobody(world: World) -> None:
    """As tables that begin anew do: nothing of it is in the copy yet, and the log holds only the rest."""
    await world.say(1)
    _, left = await world.prune()
    await world.say(2)
    world.copy.kept.clear()
    archive = FromTheArchive()
    archive.streams = world.log.streams
    await read(GuardedLog(world.log, world.guard, archive).read(MINT, 0), max(left))
    world.log.connectivity.lost()
    assert (await world.answer()).truncation is None
    assert not world.told()


async def test_nothing_read_before_a_cut_is_read_on_or_applied_after_it(world: World) -> None:
    await world.say(2)
    log = GuardedLog(world.log, world.guard)
    reading = log.read(MINT, 0)
    await anext(reading)
    async with world.guard.applying(MINT.name):
        pass
    world.log.cut(MINT, 2)
    with pytest.raises(LogUnavailable):
        await anext(reading)
    with pytest.raises(StoreUnavailable):
        async with world.guard.applying(MINT.name):
            pass
    await read(log.read(MINT, 0), 2)
    async with world.guard.applying(MINT.name):
        pass


async def test_nothing_is_published_for_the_tables_before_the_log_is_whole(world: World) -> None:
    await world.say(2)
    world.keep()
    world.log.cut(MINT, 1)
    completed = Completed(operation=UUID(int=1), total=1, minted=1, failed=0)
    assert await GuardedLog(world.log, world.guard).publish_once(completed, cause=None)
    assert len(world.payloads()) == 3
    assert len(world.told()) == 1


async def test_without_the_copy_there_is_no_answer(world: World) -> None:
    world.copy.away = True
    with pytest.raises(StoreUnavailable):
        await world.guard.whole()


async def read(messages: AsyncIterator[RawMessage], count: int) -> None:
    for _ in range(count):
        await anext(messages)
