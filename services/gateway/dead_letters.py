"""What admins do with dead letters: list, show, replay, drop. Called by `api/dead_letters.py`.

This service may drop a letter, which is a word about the letter alone. It may not say other services' messages, so a
replay is asked for on the log, and the indexer carries it out. Not done here: what a letter and a replay are
(`chassis.dead_letters`, which the command line uses too).
"""

from contextlib import aclosing
from typing import Final

import msgspec

from chassis import dead_letters
from chassis.clock import Clock
from chassis.dead_letters import AlreadySettled, Letter, LetterLog, NoSuchLetter
from chassis.log import LogUnavailable
from chassis.telemetry import get_logger
from contracts.dead import DeadLetterReplayRefused, DeadLetterReplayRequested, DeadLetterSettled
from services.gateway.callers import Caller
from services.gateway.errors import (
    DeadLetterDecided,
    DeadLetterNotFound,
    DeadLetterSuperseded,
    LogSilent,
    ReplayPending,
)

REPLAY_SECONDS: Final = 15.0
"""How long an answer waits for the indexer."""
REPLAY_PAUSE: Final = 0.1

_log = get_logger(__name__)


class LetterPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some letters, the oldest first; `after` is where the next page begins, None at the end."""

    letters: tuple[Letter, ...]
    after: int | None


class DeadLetters:
    """Carries out what admins want of dead letters."""

    def __init__(self, log: LetterLog, clock: Clock) -> None:
        self._event_log = log
        self._clock = clock

    async def page(self, *, settled: bool, after: int, limit: int) -> LetterPage:
        """Return up to `limit` open letters beyond the letter `after`, with `settled` all. Raises LogSilent."""
        found: list[Letter] = []
        try:
            async with aclosing(dead_letters.letters(self._event_log, settled=settled, after=after)) as letters:
                async for letter in letters:
                    if len(found) == limit:
                        return LetterPage(letters=tuple(found), after=found[-1].number)
                    found.append(letter)
        except LogUnavailable as error:  # stop: the caller may ask again
            raise LogSilent("The event log does not answer") from error
        return LetterPage(letters=tuple(found), after=None)

    async def one(self, number: int) -> Letter:
        """Return a letter. Raises DeadLetterNotFound and LogSilent."""
        try:
            return await dead_letters.letter(self._event_log, number)
        except NoSuchLetter as error:  # stop: letters do not come by waiting for them
            raise DeadLetterNotFound from error
        except LogUnavailable as error:  # stop: the caller may ask again
            raise LogSilent("The event log does not answer") from error

    async def drop(self, number: int, caller: Caller) -> DeadLetterSettled:
        """Take a letter off the list. Raises DeadLetterNotFound, DeadLetterDecided and LogSilent."""
        try:
            dropped = await dead_letters.drop(self._event_log, number, caller=caller.name)
        except NoSuchLetter as error:  # stop: letters do not come by waiting for them
            raise DeadLetterNotFound from error
        except AlreadySettled as error:  # stop: one decision about a letter is all there is
            raise DeadLetterDecided from error
        except LogUnavailable as error:  # stop: the caller may say it again
            raise LogSilent("The event log does not answer; the letter may or may not be dropped") from error
        _log.info("dead letter dropped", letter=number, caller=caller.name)
        return dropped

    async def replay(self, number: int, caller: Caller) -> DeadLetterSettled:
        """Have a letter's message said again.

        Raises DeadLetterNotFound, DeadLetterDecided, DeadLetterSuperseded, ReplayPending and LogSilent.
        """
        if (await self.one(number)).settled is not None:
            raise DeadLetterDecided
        try:
            request = DeadLetterReplayRequested(letter=number, caller=caller.name)
            asked = await self._event_log.publish(request, cause=None)
            _log.info("replay of a dead letter requested", letter=number, caller=caller.name)
            deadline = self._clock.monotonic() + REPLAY_SECONDS
            while self._clock.monotonic() < deadline:
                if (replayed := await self._outcome(number, asked)) is not None:
                    return replayed
                await self._clock.sleep(REPLAY_PAUSE)
        except LogUnavailable as error:  # stop: asking again is safe
            raise LogSilent("The event log does not answer; the letter may or may not be replayed") from error
        raise ReplayPending

    async def _outcome(self, number: int, asked: int) -> DeadLetterSettled | None:
        """Return how the request at sequence `asked` ended; None while it has not."""
        settled = await self._event_log.last(DeadLetterSettled, letter=number)
        if settled is not None:
            if settled.data.outcome != "replayed":
                raise DeadLetterDecided
            return settled.data
        refused = await self._event_log.last(DeadLetterReplayRefused, letter=number)
        if refused is not None and refused.data.request == asked:
            raise DeadLetterSuperseded(refused.data.reason)
        return None
