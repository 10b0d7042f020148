"""The truncation guard: compares the log with its second copy after every loss of the connection, and heals it.

Only a server that went away can have lost a tail, so `whole` looks once for each connection. Until it has, nothing is
projected (`guarded`) and no minter's challenge is answered. A repair is safe to die in on any line: the alarm is on the
log first, then the messages, then the consumers are made anew and, if what is put back has new sequences, the tables
emptied; an answer on the log says that it is through. Whoever finds an alarm without an answer does the rest again.
Which messages are put back is decided in `truncation`, what log and copy have is read by `two_copies`. Not done here:
looking on the chain for transactions whose intent was lost for good, the minters' part (`services.minter.gate`).
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Final, Protocol
from uuid import UUID

import uuid_utils.compat as uuid_utils

from chassis import metrics
from chassis.connectivity import Connectivity
from chassis.log import LogUnavailable, Message, RawMessage, RetryLater, SequenceConflict
from chassis.messaging_repair import Repairing
from chassis.racing import work_until
from chassis.telemetry import get_logger
from contracts.fact import Event
from contracts.guard import MAX_HOLES, Challenged, Truncated, Verified, Witness
from contracts.registry import UndecodableMessage, decode
from contracts.streams import COLLECTION, CONSUMERS, GUARD, MINT, Stream
from services.indexer.alarms import Alarms
from services.indexer.ports import Fenced, StoreUnavailable
from services.indexer.truncation import Loss, dropped_before, judge, to_append, to_repeat
from services.indexer.two_copies import SpokenLog, TwoCopies, Vault

PROJECTED: Final = (MINT, COLLECTION)
RETRY: Final = 1.0
"""Seconds before a challenge is taken up again that cannot be answered now."""
SETTLING: Final = 2.0
"""Seconds that the other minters have to ask, too, before the first answer over a connection: each of them alone may
know of what was lost, and an answer opens the gate of whoever got it. They try to come back four times a second."""

PAGE: Final = 5_000
"""Messages that are held at once while all are put back."""

_logger = get_logger(__name__)


class ForeignCopy(Exception):
    """The database belongs to another log. Stop: what it holds was never said on this one."""

    def __init__(self, stream: str) -> None:
        super().__init__(
            f"stream {stream} and event_log have nothing in common, and grew at the same time: this database belongs "
            "to another log. Point DATABASE_URL at the right one, or at an empty one."
        )


class WatchedLog(SpokenLog, Protocol):
    """The log, and whether the connection to it was cut."""

    @property
    def connectivity(self) -> Connectivity:
        """Counts the cuts."""
        ...

    def repair(self) -> Repairing:
        """The means to put messages back."""
        ...


class Guard:
    """Answers challenges; keeps the projection from reading a log that is not whole."""

    def __init__(self, log: WatchedLog, vault: Vault, *, archives: bool = True) -> None:
        """`archives`: whether there is an archive, into which messages can have left the log."""
        self._log = log
        self._vault = vault
        self._copies = TwoCopies(log, vault, archives=archives)
        self._alarms = Alarms(log, vault)
        self._lock = asyncio.Lock()
        self._applying = {stream.name: asyncio.Lock() for stream in PROJECTED}
        self._read_in: dict[str, int] = {}
        self._emptied = asyncio.Event()
        self._whole_in: int | None = None
        self._settled_in: int | None = None
        """The epoch in which whoever was connected has had the time to ask."""
        self._put_off: set[tuple[int, UUID]] = set()
        """Challenges that came before, by epoch."""
        self._alarmed_in: dict[str, int] = {}
        self._read: dict[str, Witness] = {}

    async def on_challenged(self, message: Message[Challenged]) -> None:
        """Compare and answer; RetryLater when log or copy cannot be read now, or others may be about to ask."""
        try:
            await self._let_others_ask(message.data.challenge)
            await self.whole(await self._alarms.witnesses(message))
            truncation = await self._log.last_matching(GUARD, Truncated.pattern())
            verified = Verified(
                challenge=message.data.challenge,
                truncation=None if truncation is None else truncation.data.truncation,
            )
            await self._log.publish_once(verified, cause=message.event)
        except (LogUnavailable, StoreUnavailable) as error:
            # Retry: the gate stays closed meanwhile, and nothing is lost.
            raise RetryLater(f"the log cannot be verified now: {error}", after=RETRY) from error

    async def _let_others_ask(self, challenge: UUID) -> None:
        """Return when they had the time, or when no gate was ever opened, so that nobody has signed anything."""
        epoch = self._log.connectivity.epoch
        if self._settled_in == epoch:
            return
        if (epoch, challenge) not in self._put_off and await self._log.last_matching(GUARD, Verified.pattern()):
            self._put_off = {each for each in self._put_off if each[0] == epoch} | {(epoch, challenge)}
            raise RetryLater("other minters may be about to ask", after=SETTLING)
        self._settled_in = epoch
        self._put_off.clear()

    async def whole(self, witnesses: Sequence[Witness] = ()) -> int:
        """Return the epoch of the connection in which the log was found whole, or made so.

        Raises LogUnavailable and StoreUnavailable.
        """
        async with self._lock:
            epoch = self._log.connectivity.epoch
            if self._whole_in != epoch or witnesses:
                known = [*witnesses, *self._read.values()] if self._whole_in != epoch else witnesses
                async with AsyncExitStack() as held:
                    for lock in self._applying.values():
                        await held.enter_async_context(lock)
                    # A stream that ends before the place up to which it is read keeps its reader waiting.
                    await work_until(self._verify(epoch, known), self._log.connectivity.left(epoch))
            if self._log.connectivity.epoch != epoch:
                raise LogUnavailable("the connection was lost while the log was being verified")
            self._whole_in = epoch
            return epoch

    def begin(self, stream: Stream, epoch: int) -> None:
        """A reading of the stream begins in this epoch: what it brings may be applied until the epoch ends."""
        self._read_in[stream.name] = epoch

    @asynccontextmanager
    async def applying(self, stream: str) -> AsyncGenerator[None]:
        """Hold while what was read of `stream` is committed, so that the copy stands still while it is compared.

        Raises StoreUnavailable when the log must be looked at first, and Fenced when the tables have begun anew.
        """
        async with self._applying[stream]:
            self.check_tables()
            if self._read_in.get(stream) != self._log.connectivity.epoch:
                raise StoreUnavailable("the connection was lost since this was read: the log is verified first")
            yield

    def check_tables(self) -> None:
        """Raise Fenced when the tables were emptied: whoever works on them knows nothing true any more."""
        if self._emptied.is_set():
            raise Fenced("the tables were emptied to project a restored log anew")

    async def fence(self) -> None:
        """Wait until the tables are emptied, and raise Fenced.

        Whoever reads the log on from where he was would notice at the next message only; it may take long.
        """
        await self._emptied.wait()
        self.check_tables()

    def note(self, stream: Stream, raw: RawMessage) -> None:
        """Remember what was read: the log must have it for ever, whether or not the tables have it yet.

        Not what a new connection brings before the log was compared: it may stand where what is remembered was.
        """
        if self._read_in.get(stream.name) != self._log.connectivity.epoch:
            return
        try:
            event: Event[Any] = decode(raw.subject, raw.payload)
        except UndecodableMessage:
            return  # stop: nothing identifies it; the copy of its bytes will
        self._read[stream.name] = Witness(stream=stream.name, sequence=raw.sequence, event=event.id)

    async def _verify(self, epoch: int, witnesses: Sequence[Witness]) -> None:
        losses = [(stream, loss) for stream in PROJECTED if (loss := await self._loss(stream, witnesses))]
        # What cannot be restored is missing ever after: its alarm is raised once.
        losses = [
            (stream, loss)
            for stream, loss in losses
            if self._alarmed_in.get(stream.name) != epoch or loss.first <= await self._kept(stream)
        ]
        for stream, loss in losses:
            if loss.replaced and await self._copies.are_strangers(stream, loss.first):
                raise ForeignCopy(stream.name)
        await self._alarms.remember()
        begun = await self._alarms.begun()
        if not losses and not begun:
            return
        for stream, loss in losses:
            begun = await self._alarm(stream, loss, begun)
        # Collections first: whoever is given a request that is back looks for its collection at once.
        for stream, loss in reversed(losses):
            begun = await self._restore(stream, loss, begun)
        # Also what somebody else has begun: whether he came so far is not known.
        names = {told.stream for told in begun}
        await self._log.repair().renew([each for each in CONSUMERS if each.stream in names])
        anew = any(told.replaced and told.restorable for told in begun)
        if anew:
            _logger.warning("the log has changed where it was lost: projecting it anew")
            await self._vault.empty()
        self._alarmed_in |= dict.fromkeys(names, epoch)
        self._read.clear()
        last = begun[-1].truncation
        try:
            await self._log.publish_once(Verified(challenge=last, truncation=last), cause=None)
        finally:
            if anew:  # not before: whoever is fenced ends the term, and who comes next would do all of it again
                self._emptied.set()
        _logger.warning("log restored", streams=sorted(names))

    async def _kept(self, stream: Stream) -> int:
        return await self._vault.watermark(stream.name)

    async def _loss(self, stream: Stream, witnesses: Sequence[Witness]) -> Loss | None:
        watermark, last = await self._kept(stream), await self._log.last_sequence(stream)
        difference = await self._copies.difference(stream, min(watermark, last))
        mine = [each for each in witnesses if each.stream == stream.name]
        missing = [each.sequence for each in mine if not await self._copies.holds(stream, each, last)]
        return judge(last, watermark, difference, max(missing, default=0))

    async def _alarm(self, stream: Stream, loss: Loss, begun: Sequence[Truncated]) -> list[Truncated]:
        """Tell of the loss, unless that was done; return the alarms of the repairs that are under way."""
        same = [told for told in begun if (told.stream, told.expected) == (stream.name, loss.expected)]
        if any(told.replaced or not loss.replaced for told in same):
            return [*begun]
        restorable = max(0, await self._kept(stream) - loss.first + 1)
        metrics.LOG_TRUNCATED.add(stream=stream.name)
        _logger.critical(
            "THE LOG HAS LOST ITS TAIL: nothing is signed until it is restored and the chain is reconciled",
            stream=stream.name,
            lost_from=loss.first,
            known_up_to=loss.expected,
            restorable=restorable,
            replaced=loss.replaced,
        )
        holes = (await self._copies.damage(stream, loss.first)).holes if loss.replaced else ()
        truncated = Truncated(
            truncation=uuid_utils.uuid7(),
            stream=stream.name,
            last=await self._log.last_sequence(stream),
            expected=loss.expected,
            restorable=restorable,
            replaced=loss.replaced,
            holes=tuple(holes)[:MAX_HOLES],
        )
        await self._vault.keep(truncated)
        await self._log.publish_once(truncated, cause=None)
        return [*begun, truncated]

    async def _restore(self, stream: Stream, loss: Loss, begun: Sequence[Truncated]) -> list[Truncated]:
        """Put back what the copy holds; return the alarms, with another one if it cannot have the sequences it had."""
        told, repair = [*begun], self._log.repair()
        if not loss.replaced:
            try:
                await self._restore_exactly(stream, loss)
                return told
            except SequenceConflict as error:
                if await self._loss(stream, ()) is None:
                    return told  # somebody else has put it back, or it was not lost: a server told an earlier end
                # Somebody spoke meanwhile. What was put back so far is found among what is present.
                _logger.warning("others have spoken since the loss", stream=stream.name, reason=str(error))
                told = await self._alarm(stream, replace(loss, replaced=True), told)
        damage = await self._copies.damage(stream, loss.first)
        _check_copies(stream, damage.kept, loss.first)
        present = damage.present
        back = to_append(damage.kept, {raw.subject for raw in present}, {raw.payload for raw in present})
        for raw in back:
            await repair.append(stream, raw, exactly=False)
        for raw in to_repeat([*present, *back]):
            with suppress(SequenceConflict):  # stop: what was said on its subject since stands, and behind the request
                await repair.repeat(stream, raw)
        return told

    async def _restore_exactly(self, stream: Stream, loss: Loss) -> None:
        """Put back what the copy holds at the sequences that it had, a page at a time; raises SequenceConflict."""
        watermark, expected = await self._kept(stream), loss.first
        for first in range(loss.first, watermark + 1, PAGE):
            kept = await self._vault.messages(stream.name, first, min(watermark, first + PAGE - 1))
            _check_copies(stream, kept, expected)
            for raw in kept:
                await self._log.repair().append(stream, raw, exactly=True)
                expected = raw.sequence + 1


def _check_copies(stream: Stream, kept: Sequence[RawMessage], first: int) -> None:
    """Raise StoreUnavailable when copies were dropped: without them nothing would get the sequence that it had."""
    if (end := dropped_before(kept, first)) is not None:
        raise StoreUnavailable(
            f"the copies of {stream.name} before sequence {end} were dropped, and the log has lost them: "
            "run `mintstream archive restore-copies --unanchored`"
        )
