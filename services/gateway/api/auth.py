"""Who calls: the API key of the source document's section 4.

A dependency of every router under `/api`; it runs before a byte of the body is read. Not done here: wallet logins and
rate limits, which will give other callers other names.
"""

import hashlib
import hmac
from typing import Annotated

from fastapi import Security
from fastapi.security import APIKeyHeader

from chassis.settings import Secret
from services.gateway.errors import Unauthorized

API_KEY_HEADER = "X-API-Key"
KEY_HOLDER = "api-key"
"""The name of whoever holds the key. Idempotency keys are remembered under it, so it outlives a change of the key."""

_scheme = APIKeyHeader(name=API_KEY_HEADER, auto_error=False, description="The API key (API_KEY of the gateway).")


class Authenticator:
    """Tells the holder of the API key from everybody else."""

    def __init__(self, api_key: Secret) -> None:
        self._expected = _digest(api_key.reveal())

    async def __call__(self, given: Annotated[str | None, Security(_scheme)]) -> str:
        """Return the caller's name. Raises Unauthorized."""
        # Digests, so that neither the key's length nor its first wrong character shows in the time taken.
        if given is None or not hmac.compare_digest(_digest(given), self._expected):
            raise Unauthorized
        return KEY_HOLDER


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
