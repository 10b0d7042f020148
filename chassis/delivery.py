"""What becomes of a message after its handler ran: acknowledge, deliver again later, or bury. Pure.

`chassis.messaging` carries the verdicts out. The rules, in one place:

- a handler that returns has finished: acknowledge;
- RetryLater, an unavailable log, failing transport and a machine without memory, disk or files to open say nothing
  about the message: deliver again, without a limit;
- InvalidEvent and a body that does not decode can never succeed: bury at once;
- any other exception, MissingFact too, is a bug or an unknown state: deliver a bounded number of times, then bury;
- too many burials in a short time mean a bad deploy, not bad messages: the consumer halts and says so.
"""

import errno
from collections import deque
from dataclasses import dataclass, field

from chassis.log import InvalidEvent, LogUnavailable, RetryLater
from chassis.redaction import scrub
from contracts.registry import UndecodableMessage

BACKOFF_BASE = 0.5
"""Seconds before the first redelivery of a message whose handler failed; doubled each time."""
BACKOFF_CAP = 60.0
"""Most seconds between two deliveries of one message."""
_DOUBLINGS = 16
"""More than reach the cap; of 2 to the number of deliveries there would be no float once there were a thousand."""

_LACKS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EROFS})
"""What the operating system says when the machine, not the message, is at fault."""


@dataclass(frozen=True, slots=True)
class Ack:
    """The message is done."""


@dataclass(frozen=True, slots=True)
class Again:
    """Deliver the message once more after `delay` seconds."""

    delay: float
    reason: str
    unknown: bool = False
    """Whether this counts among the failures for unknown reasons, of which a message has a bounded number."""


@dataclass(frozen=True, slots=True)
class Bury:
    """Store the message among the dead letters, then stop its delivery."""

    reason: str


Verdict = Ack | Again | Bury


class ConsumerHalted(Exception):
    """A consumer buried too many messages and stopped, so that a bad deploy does not bury the rest."""


def backoff(times: int) -> float:
    """Return the seconds to wait before delivery number `times` + 1: exponential, capped."""
    return min(BACKOFF_CAP, BACKOFF_BASE * 2 ** min(_DOUBLINGS, max(0, times - 1)))


def judge(error: Exception | None, deliveries: int, unknown_failures: int, max_unknown_failures: int) -> Verdict:
    """Return what to do with a message whose handler returned (`error` None) or raised `error`.

    `deliveries` counts how often the message was delivered, this time included; `unknown_failures` how often its
    handler failed for an unknown reason, with this time if it is one.
    """
    match error:
        case None:
            return Ack()
        case RetryLater():
            return Again(max(0.0, error.after), error.reason)
        case LogUnavailable() | ConnectionError() | TimeoutError() | MemoryError():
            return Again(backoff(deliveries), describe(error))
        case OSError() if error.errno in _LACKS:
            return Again(backoff(deliveries), describe(error))
        case InvalidEvent():
            return Bury(error.reason)
        case UndecodableMessage():
            return Bury(str(error))
        case _ if unknown_failures < max_unknown_failures:
            return Again(backoff(unknown_failures), describe(error), unknown=True)
        case _:
            return Bury(f"failed {unknown_failures} times, the last time with {describe(error)}")


def describe(error: BaseException) -> str:
    """Return class and text of an error in one line, without secrets: the reason of a dead letter stays on the log."""
    text = scrub(str(error)).strip()
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@dataclass(slots=True)
class BurialCap:
    """Counts burials and says when there are too many: more than `limit` within `window` seconds."""

    limit: int = 50
    window: float = 600.0
    _times: deque[float] = field(default_factory=deque[float])

    def record(self, now: float) -> bool:
        """Note a burial at monotonic second `now`; return whether the consumer must halt."""
        self._times.append(now)
        while self._times and self._times[0] <= now - self.window:
            self._times.popleft()
        return len(self._times) > self.limit
