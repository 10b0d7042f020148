"""What this process has pinned lately, by operation: a redelivery does not pin it again. In memory only.

Used by `handlers`, `content` and `pinning`. What must survive the process is on the log (`uploads`).
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from services.ipfs.domain import Outcome, Refusal
from services.ipfs.metadata import PlacedImage
from unixfs import Cid

FETCHES_AT_ONCE: Final = 4
"""Images that one operation has fetched from outside at the same moment."""

REMEMBERED_SESSIONS: Final = 256
"""Operations whose pinned content is remembered between deliveries; forgetting one costs uploads, nothing else."""


@dataclass(slots=True)
class Session:
    """What this process has pinned for one operation: never pinned twice, however often it is delivered."""

    images: dict[str, PlacedImage | Refusal] = field(default_factory=dict[str, PlacedImage | Refusal])
    """By the upload's SHA-256, or by the address that an image was fetched from."""
    pinned: set[Cid] = field(default_factory=set[Cid])
    outcomes: dict[int, Outcome] = field(default_factory=dict[int, Outcome])
    """By position in the request; filled where the whole operation shares one metadata directory."""
    renewed_at: float | None = None
    """When its uploads were last kept for longer, by the monotonic clock; see `uploads`."""
    fetches: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(FETCHES_AT_ONCE))
    turn_began: float | None = None
    """When the first image of this delivery was fetched from outside, by the monotonic clock; see `outside_turns`."""


class Sessions:
    """The sessions of the latest operations, collections and uploads."""

    def __init__(self, limit: int = REMEMBERED_SESSIONS) -> None:
        self._limit = limit
        self._sessions: OrderedDict[object, Session] = OrderedDict()

    def of(self, thing: object) -> Session:
        """Return the session of an operation, a collection or an upload, at the beginning of a delivery.

        It is a new one if it is not remembered.
        """
        session = self._sessions.setdefault(thing, Session())
        session.turn_began = None
        self._sessions.move_to_end(thing)
        if len(self._sessions) > self._limit:
            self._sessions.popitem(last=False)
        return session
