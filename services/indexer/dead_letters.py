"""Replays dead letters for callers of the API, who may not say other services' messages themselves; this service may.

Handler of `indexer-dead`. Every request is answered on the log: by `dead.settled` or by `dead.replay_refused`. Not done
here: what a replay is (`chassis.dead_letters`), and waiting for the answer, which is the gateway's.
"""

from typing import Final

from chassis.dead_letters import AlreadySettled, NoSuchLetter, Superseded, replay
from chassis.log import LogUnavailable, Message, RetryLater
from chassis.messaging import Log
from chassis.telemetry import get_logger
from contracts.dead import DeadLetterReplayRefused, DeadLetterReplayRequested

RETRY: Final = 1.0
"""Seconds before a request is taken up again that cannot be carried out now."""

_logger = get_logger(__name__)


class DeadLetters:
    """Carries out what callers want of dead letters."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def on_replay_requested(self, message: Message[DeadLetterReplayRequested]) -> None:
        """Replay the letter; RetryLater when the log does not answer. Safe to be given a request again."""
        wanted = message.data
        try:
            settled = await replay(self._log, wanted.letter, caller=wanted.caller, cause=message.event)
            _logger.info("dead letter replayed", letter=wanted.letter, caller=wanted.caller, said_at=settled.said_at)
        except AlreadySettled:
            # Stop: by an earlier delivery of this request, or by somebody else; either way it stands on the log.
            return
        except (NoSuchLetter, Superseded) as error:  # stop: it stays so; the caller is told why
            await self._refuse(message, str(error))
        except LogUnavailable as error:  # retry: repeating a replay is safe
            raise RetryLater(f"dead letter {wanted.letter} cannot be replayed now: {error}", after=RETRY) from error

    async def _refuse(self, message: Message[DeadLetterReplayRequested], reason: str) -> None:
        refused = DeadLetterReplayRefused(letter=message.data.letter, request=message.sequence, reason=reason)
        await self._log.publish(refused, cause=message.event)
