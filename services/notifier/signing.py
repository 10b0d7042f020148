"""Signatures of the Standard Webhooks specification, symmetric (`v1`). Pure.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: HMAC-SHA256 over
`<id>.<timestamp>.<body>`, base64, one signature a valid secret. The specification's own libraries verify it in tests.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from chassis.redaction import Secret

PREFIX: Final = "whsec_"
MIN_BYTES: Final = 24
MAX_BYTES: Final = 64


def key_of(secret: Secret) -> bytes:
    """Return a secret's bytes. Raises ValueError, without the secret in its text."""
    try:
        key = base64.b64decode(secret.reveal().removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):  # stop: whoever made the secret has to correct it
        key = b""
    if not MIN_BYTES <= len(key) <= MAX_BYTES:
        raise ValueError(f"must be {PREFIX} and {MIN_BYTES} to {MAX_BYTES} bytes in base64")
    return key


def signed_headers(event_id: str, at: datetime, body: bytes, secrets: Sequence[Secret]) -> dict[str, str]:
    """Return the headers that let a receiver verify `body`; `at` is the time of this attempt. Raises ValueError."""
    timestamp = str(int(at.timestamp()))
    signed = f"{event_id}.{timestamp}.".encode() + body
    signatures = (hmac.new(key_of(secret), signed, hashlib.sha256).digest() for secret in secrets)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(each).decode()}" for each in signatures),
    }
