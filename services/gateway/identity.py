"""Ids of operations and collections, random or derived from the caller's idempotency key. Pure.

A derived id makes the log's own compare-and-set on `mint.requested.v1.<operation>` the memory of the key: the second
request with the key meets the first one's message, for ever and without a table of keys.
"""

import hashlib
import re
from typing import Literal
from uuid import UUID

import uuid_utils.compat as uuid_utils

from services.gateway.errors import Problem, ValidationFailed

IDEMPOTENCY_HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")

Noun = Literal["mint", "collection", "retry", "import"]


def new_id() -> UUID:
    """Return a fresh UUIDv7: unique, and sorted by time of making."""
    return uuid_utils.uuid7()


def derived_id(noun: Noun, caller: str, key: str) -> UUID:
    """Return the UUIDv8 that stands for `key` of `caller`: the first 16 bytes of a SHA-256, version and variant set.

    Lengths go in before the texts, so that no two pairs of caller and key make the same input.
    """
    parts = ("mintstream", noun, caller, key)
    material = b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in parts)
    digest = bytearray(hashlib.sha256(material).digest()[:16])
    digest[6] = (digest[6] & 0x0F) | 0x80
    digest[8] = (digest[8] & 0x3F) | 0x80
    return UUID(bytes=bytes(digest))


def imported_id(address: str) -> UUID:
    """Return the id of the collection at `address` that is imported, whoever asks: it can be imported once."""
    return derived_id("import", "", address)


def identify(noun: Noun, caller: str, key: str | None) -> UUID:
    """Return the id for a request: derived when it carries a key, fresh otherwise. Raises ValidationFailed."""
    if key is None:
        return new_id()
    if not _KEY.fullmatch(key):
        message = "must be 1 to 255 visible ASCII characters"
        raise ValidationFailed([Problem(IDEMPOTENCY_HEADER, message)])
    return derived_id(noun, caller, key)
