"""What was said of losses of the log: by the guard, on the log and in a copy; and by minters, in their challenges.

Used by `guard`. An alarm is looked for as long as there is a log, so it is kept where the log cannot lose it.
"""

from datetime import timedelta
from typing import Final, Protocol
from uuid import UUID

from chassis.log import EventLog, Message
from chassis.telemetry import get_logger
from contracts.fact import Event
from contracts.guard import Challenged, Truncated, Verified, Witness
from contracts.registry import UndecodableMessage, decode
from contracts.streams import GUARD
from services.indexer.history import WholeLog
from services.indexer.two_copies import Vault

TOGETHER: Final = timedelta(minutes=2)
"""How much earlier than a challenge others may have come that are heard before it is answered."""

_logger = get_logger(__name__)


class Log(EventLog, WholeLog, Protocol):
    """The log as this module uses it."""


class Alarms:
    """Reads and keeps them. Every method raises LogUnavailable, and StoreUnavailable."""

    def __init__(self, log: Log, vault: Vault) -> None:
        self._log = log
        self._vault = vault

    async def witnesses(self, message: Message[Challenged]) -> list[Witness]:
        """Return what the minters that ask now were told is stored, each of which knows of its own messages alone.

        The answer to one opens its gate, whatever another one knows. What was said before its stream's alarm is known.
        """
        alarmed = {each.data.stream: each.sequence for each in await self._after(0)}
        told: dict[UUID, Witness] = {}
        since = message.stored_at - TOGETHER
        async for raw in self._log.lookup.history(GUARD, [Challenged.pattern()], since):
            try:
                event: Event[Challenged] = decode(raw.subject, raw.payload)
            except UndecodableMessage:
                continue  # stop: a newer version's question, which is no service's of now
            told |= {each.event: each for each in event.data.witnesses if raw.sequence > alarmed.get(each.stream, 0)}
        return list(told.values())

    async def remember(self) -> None:
        """Say again which losses the log has forgotten, and keep those that the copy does not know.

        An alarm can be lost like everything else, and with it the reason to look on the chain for what was lost before.
        """
        newest = await self._log.last_matching(GUARD, Truncated.pattern())
        kept = await self._vault.losses()
        if (newest.data.truncation if newest else None) == (kept[-1].truncation if kept else None):
            return
        for told in await self._after(0):
            await self._vault.keep(told.data)
        for told in kept:
            if await self._log.publish_once(told, cause=None):
                _logger.warning("the log had lost an alarm", truncation=str(told.truncation))

    async def begun(self) -> list[Truncated]:
        """Return the alarms of repairs that are not known to be through."""
        answer = await self._log.last_matching(GUARD, Verified.pattern())
        return [told.data for told in await self._after(0 if answer is None else answer.sequence)]

    async def _after(self, position: int) -> list[Message[Truncated]]:
        """Return the alarms that the log holds beyond a sequence."""
        newest = await self._log.last_matching(GUARD, Truncated.pattern())
        alarms: list[Message[Truncated]] = []
        while newest is not None and position < newest.sequence:
            found = await self._log.lookup.next(GUARD, Truncated.pattern(), position)
            if found is None:
                break
            alarms.append(found)
            position = found.sequence
        return alarms
