"""What the notifier's handlers need of the outside, beyond the log of `chassis.log`.

Implemented by `adapters/`; the tests have twins.
"""

from collections.abc import Mapping
from typing import Protocol

from chassis.log import EventLog, LogLookup
from services.notifier.domain import Answer


class NotifierLog(EventLog, Protocol):
    """The log as this service uses it."""

    @property
    def lookup(self) -> LogLookup:
        """Single messages by place."""
        ...


class Sender(Protocol):
    """Asks a receiver to take an event."""

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST `body` as JSON and return how that ended; raises nothing that a receiver could cause."""
        ...
