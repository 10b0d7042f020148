"""Which API keys there are, folded from the facts on ACCESS.

Used by the gateway, which keeps one current, and by the command line, which reads it once. The log holds digests only;
whoever reads it can call nobody.
"""

import hmac
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from typing import Final, Literal, cast

import msgspec

from chassis.api_keys import ApiKey
from chassis.log import LogReader, RawMessage
from chassis.logs import get_logger
from contracts import registry
from contracts.access import KeyCreated, KeyRevoked
from contracts.streams import ACCESS

KeyState = Literal["active", "expired", "revoked"]

_logger: Final = get_logger(__name__)


class KnownKey(msgspec.Struct, kw_only=True):
    """A key as the log tells of it."""

    fact: KeyCreated
    created_at: datetime
    revoked_at: datetime | None = None
    """From when on it is refused; may be in the future."""

    def state(self, now: datetime) -> KeyState:
        """Return whether the key is good at `now`."""
        if self.revoked_at is not None and self.revoked_at <= now:
            return "revoked"
        if self.fact.expires_at is not None and self.fact.expires_at <= now:
            return "expired"
        return "active"


class KeyBook:
    """Every key that was ever made. `position` is the sequence of ACCESS up to which it is true."""

    def __init__(self) -> None:
        self.keys: dict[str, KnownKey] = {}
        self.position = 0

    def see(self, raw: RawMessage) -> None:
        """Take in the next message of ACCESS."""
        self.position = raw.sequence
        try:
            event = registry.decode(raw.subject, raw.payload)
        except registry.UndecodableMessage as error:  # go on: a newer program's message, or somebody's noise
            _logger.error("message of ACCESS not understood", subject=raw.subject, reason=str(error))
            return
        fact: object = event.data
        if isinstance(fact, KeyCreated):
            # The first one counts: an id that was given out is never another key's.
            self.keys.setdefault(fact.key, KnownKey(fact=fact, created_at=event.time))
        elif isinstance(fact, KeyRevoked) and (known := self.keys.get(fact.key)):
            known.revoked_at = min(known.revoked_at or fact.at, fact.at)

    def take_in(self, told: "KeyBook") -> tuple[frozenset[str], frozenset[str]]:
        """Go on from `told`, the log as it was read anew, without forgetting what only this book knows.

        Returns the ids of those keys which `told` does not know to have been made, and to be revoked so early.
        """
        made = frozenset(self.keys.keys() - told.keys.keys())
        revoked: set[str] = set()
        for key, newer in told.keys.items():
            known = self.keys.setdefault(key, newer)
            ours, theirs = known.revoked_at, newer.revoked_at
            if ours is not None and (theirs is None or ours < theirs):
                revoked.add(key)
            elif theirs is not None:
                known.revoked_at = theirs
        self.position = told.position
        return made, frozenset(revoked)

    def find(self, text: str, now: datetime) -> KeyCreated | None:
        """Return the key that `text` is, when it was given out and is good at `now`."""
        given = ApiKey.read(text)
        known = self.keys.get(given.id) if given else None
        if given is None or known is None:
            return None
        # Ids are public, so the look-up may take what time it takes; the secret is compared in constant time.
        if not hmac.compare_digest(known.fact.sha256, given.sha256):
            return None
        return known.fact if known.state(now) == "active" else None


async def read_key_book(log: LogReader) -> KeyBook:
    """Return the book as of now. Raises LogUnavailable."""
    book = KeyBook()
    last = await log.last_sequence(ACCESS)
    messages = cast("AsyncGenerator[RawMessage]", log.read(ACCESS, 0))
    async with aclosing(messages):
        while book.position < last:
            book.see(await anext(messages))
    return book
