"""The truncation guard: compares the log with its second copy after every loss of the connection, and heals it.

Only a server that went away can have lost a tail, so `whole` looks once for each connection. Until it has, nothing is
projected (`guarded`) and no minter's challenge is answered. The order of a repair makes it safe to die on any line:
the alarm is on the log first, then the messages, then the tables are emptied if what is put back has new sequences.
Which messages those are is decided in `truncation`. Not done here: looking on the chain for transactions whose intent
was lost for good, which is the minters' part (`services.minter.gate`).
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any, Final, Protocol, cast

import uuid_utils.compat as uuid_utils

from chassis import metrics
from chassis.connectivity import Connectivity
from chassis.log import EventLog, LogUnavailable, Message, RawMessage, RetryLater, SequenceConflict
from chassis.messaging_repair import Repairing
from chassis.telemetry import get_logger
from contracts.fact import Event
from contracts.guard import Challenged, Truncated, Verified, Witness
from contracts.leaving import may_leave, operation_of
from contracts.registry import UndecodableMessage, decode
from contracts.streams import COLLECTION, CONSUMERS, GUARD, MINT, Stream
from services.indexer.history import WholeLog
from services.indexer.ports import Fenced, StoreUnavailable
from services.indexer.truncation import Loss, first_difference, judge, missing_among, to_append

PROJECTED: Final = (MINT, COLLECTION)
COMPARED: Final = 256
"""Newest messages of each stream that are compared; more, when the oldest of these differs already."""
RETRY: Final = 1.0
"""Seconds before a challenge is taken up again that cannot be answered now."""

_logger = get_logger(__name__)


class Vault(Protocol):
    """The second copy of the log. Every method raises StoreUnavailable."""

    async def watermark(self, stream: str) -> int:
        """Return the last sequence of the copy."""
        ...

    async def messages(self, stream: str, first: int, last: int) -> Sequence[RawMessage]:
        """Return the copies of sequences `first` to `last`, in order."""
        ...

    async def subjects(self, operations: Collection[str]) -> Sequence[tuple[int, str]]:
        """Return sequence and subject of all that MINT says of these operations, by the copies."""
        ...

    async def empty(self) -> None:
        """Empty every table and begin again at sequence 0, in one transaction."""
        ...


class WatchedLog(EventLog, WholeLog, Protocol):
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

    def __init__(self, log: WatchedLog, vault: Vault) -> None:
        self._log = log
        self._vault = vault
        self._lock = asyncio.Lock()
        self._applying = {stream.name: asyncio.Lock() for stream in PROJECTED}
        self._read_in: dict[str, int] = {}
        self._emptied = False
        self._whole_in: int | None = None
        self._alarmed_in: int | None = None
        self._read: dict[str, Witness] = {}

    async def on_challenged(self, message: Message[Challenged]) -> None:
        """Compare and answer; RetryLater when log or copy cannot be read now."""
        try:
            await self.whole(message.data.witnesses)
            truncation = await self._log.last_matching(GUARD, Truncated.pattern())
            verified = Verified(
                challenge=message.data.challenge,
                truncation=None if truncation is None else truncation.data.truncation,
            )
            await self._log.publish_once(verified, cause=message.event)
        except (LogUnavailable, StoreUnavailable) as error:
            # Retry: the gate stays closed meanwhile, and nothing is lost.
            raise RetryLater(f"the log cannot be verified now: {error}", after=RETRY) from error

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
                    await self._verify(epoch, known)
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
        if self._emptied:
            raise Fenced("the tables were emptied to project a restored log anew")

    def note(self, stream: Stream, raw: RawMessage) -> None:
        """Remember what was read: the log must have it for ever, whether or not the tables have it yet."""
        try:
            event: Event[Any] = decode(raw.subject, raw.payload)
        except UndecodableMessage:
            return  # stop: nothing identifies it; the copy of its bytes will
        self._read[stream.name] = Witness(stream=stream.name, sequence=raw.sequence, event=event.id)

    async def _verify(self, epoch: int, witnesses: Sequence[Witness]) -> None:
        losses = [(stream, loss) for stream in PROJECTED if (loss := await self._loss(stream, witnesses))]
        if not losses:
            return
        restorable = [loss for stream, loss in losses if loss.first <= await self._kept(stream)]
        if self._alarmed_in == epoch and not restorable:
            return  # the alarm was raised for this very loss, and what can be restored was
        for stream, loss in losses:
            await self._alarm(stream, loss)
        # Collections first: whoever is given a request that is back looks for its collection at once.
        replaced = [await self._restore(stream, loss) for stream, loss in reversed(losses)]
        if any(replaced):
            _logger.warning("the log has changed where it was lost: projecting it anew")
            await self._vault.empty()
            self._emptied = True
        names = {stream.name for stream, _ in losses}
        await self._log.repair().renew([each for each in CONSUMERS if each.stream in names])
        self._alarmed_in = epoch
        self._read.clear()
        _logger.warning("log restored", streams=sorted(names))

    async def _kept(self, stream: Stream) -> int:
        return await self._vault.watermark(stream.name)

    async def _loss(self, stream: Stream, witnesses: Sequence[Witness]) -> Loss | None:
        watermark, last = await self._kept(stream), await self._log.last_sequence(stream)
        difference = await self._difference(stream, min(watermark, last))
        mine = [each for each in witnesses if each.stream == stream.name]
        missing = [each.sequence for each in mine if not await self._holds(stream, each, last)]
        return judge(last, watermark, difference, max(missing, default=0))

    async def _difference(self, stream: Stream, end: int) -> int | None:
        """Return the first of the newest sequences up to `end` at which log and copy differ."""
        # What is in the archive has left the stream: there is nothing to compare.
        beginning = await self._log.first_sequence(stream)
        width = COMPARED
        while end >= beginning:
            first = max(beginning, end - width + 1)
            kept, logged = await self._vault.messages(stream.name, first, end), await self._messages(stream, first, end)
            found = first_difference(kept, logged, await self._left(stream, missing_among(kept, logged)))
            if found != first or first == beginning:
                return found
            width *= 2
        return None

    async def _left(self, stream: Stream, missing: Sequence[RawMessage]) -> frozenset[int]:
        """Return the sequences of those messages that may have left the stream: they are lost to nobody."""
        if stream != MINT or not missing:
            return frozenset()
        return may_leave(await self._vault.subjects({operation_of(raw.subject) for raw in missing}))

    async def _messages(self, stream: Stream, first: int, last: int) -> list[RawMessage]:
        """Return what the log holds at sequences `first` to `last`.

        Ends, because the stream's last message never leaves it: the last word about an operation stays.
        """
        found: list[RawMessage] = []
        if first > last:
            return found
        async with aclosing(cast("AsyncGenerator[RawMessage]", self._log.read(stream, first - 1))) as messages:
            async for raw in messages:
                if raw.sequence <= last:
                    found.append(raw)
                if raw.sequence >= last:
                    break
        return found

    async def _holds(self, stream: Stream, witness: Witness, last: int) -> bool:
        if witness.sequence > last:
            return False
        if witness.sequence < await self._log.first_sequence(stream):
            return True  # it was archived before it left
        found = await self._messages(stream, witness.sequence, witness.sequence)
        if not found:
            return await self._has_left(stream, witness.sequence)
        (raw,) = found
        try:
            return decode(raw.subject, raw.payload).id == witness.event
        except UndecodableMessage:
            return False  # stop: a witness was decoded by whoever brought it, so this is another message

    async def _has_left(self, stream: Stream, sequence: int) -> bool:
        """Return whether nothing is wrong with a hole in the stream."""
        kept = await self._vault.messages(stream.name, sequence, sequence)
        if not kept:  # copies are dropped only of what is archived and in the tables
            return sequence <= await self._kept(stream)
        return sequence in await self._left(stream, kept)

    async def _alarm(self, stream: Stream, loss: Loss) -> None:
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
        truncated = Truncated(
            truncation=uuid_utils.uuid7(),
            stream=stream.name,
            last=await self._log.last_sequence(stream),
            expected=loss.expected,
            restorable=restorable,
        )
        await self._log.publish_once(truncated, cause=None)

    async def _restore(self, stream: Stream, loss: Loss) -> bool:
        """Put back what the copy holds; return whether any of it has another sequence now."""
        watermark = await self._kept(stream)
        missing = await self._vault.messages(stream.name, loss.first, watermark)
        repair = self._log.repair()
        if not loss.replaced:
            try:
                for raw in missing:
                    await repair.append(stream, raw, exactly=True)
                return False
            except SequenceConflict as error:
                # Somebody spoke meanwhile. What was put back so far is found among what is present.
                _logger.warning("others have spoken since the loss", stream=stream.name, reason=str(error))
        present = await self._messages(stream, loss.first, await self._log.last_sequence(stream))
        left = await self._left(stream, holes := missing_among(missing, present))
        gone = {raw.sequence for raw in holes} & left  # what has left stays away: it would be said after its own end
        said = {raw.subject for raw in present}
        lost = [raw for raw in missing if raw.sequence not in gone]
        for message in to_append(lost, said, {raw.payload for raw in present}):
            await repair.append(stream, message, exactly=False)
        return loss.first <= watermark
