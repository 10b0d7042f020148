"""The facts of who may call the API: keys that were given out, and sign-ins that were used up.

`key_created` and `key_revoked` (the command line) are read by every gateway from the first message on, so a key is
known everywhere without a question per request. `login.redeemed` (gateway) makes a sign-in's nonce usable once,
whichever replica it comes to. No fact holds a key, a token or a signature.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, ClassVar

import msgspec

from contracts.fact import Address, Fact, Hash32

KeyId = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z]{12}$")]
"""The public part of an API key."""
CallerName = Annotated[str, msgspec.Meta(max_length=128)]
"""Whose an operation is: `app:<name>` for API keys, `wallet:<address>` for sign-ins; empty when it is nobody's."""
Nonce = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{72}$")]


class Scope(StrEnum):
    """What a caller may do."""

    READ = "read"
    """Look at collections, totals, and its own operations."""
    MINT = "mint"
    """Mint, upload, cancel and retry."""
    ADMIN = "admin"
    """Everything, also with collections and with the operations of others."""


class KeyCreated(Fact, frozen=True, kw_only=True):
    """An API key was made for a caller. Several keys may be one caller's; they see the same operations."""

    SUBJECT: ClassVar[str] = "access.key_created.v1.{key}"

    key: KeyId
    caller: CallerName
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1)]
    sha256: Hash32
    """Digest of the whole key. Unsalted and fast on purpose: a key is 190 random bits, which nobody can guess."""
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    replaces: KeyId | None = None
    """The key that this one was rotated in for."""


class KeyRevoked(Fact, frozen=True, kw_only=True):
    """An API key is refused from `at` on. Of several revocations of one key the earliest counts."""

    SUBJECT: ClassVar[str] = "access.key_revoked.v1.{key}"

    key: KeyId
    at: Annotated[datetime, msgspec.Meta(tz=True)]


class LoginRedeemed(Fact, frozen=True, kw_only=True):
    """A wallet signed in with this nonce, which nobody can do again."""

    SUBJECT: ClassVar[str] = "login.redeemed.v1.{nonce}"

    nonce: Nonce
    wallet: Address
