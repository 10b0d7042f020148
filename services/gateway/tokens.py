# PyJWT names types of the cryptography package for its keys, which HS256 does without.
# pyright: reportUnknownMemberType=false
"""JSON Web Tokens: who a caller is, signed by this service or by whoever else holds JWT_SECRET.

A token is read without asking anybody, so it cannot be taken back: it is short-lived instead. The algorithm is pinned
here and never taken from the token. Used by `api/auth.py` (reading) and `signing_in.py` (issuing).
"""

from datetime import datetime, timedelta
from typing import Annotated, Final

import jwt
import msgspec

from chassis.clock import Clock
from chassis.settings import Secret
from contracts.access import Scope
from services.gateway.callers import BOOTSTRAP, Caller

ALGORITHM: Final = "HS256"
MAX_LIFETIME: Final = timedelta(hours=24)
"""A token that is good for longer is refused, whoever signed it."""
CLOCK_SKEW: Final = timedelta(minutes=1)
"""How far ahead the clock of another signer may be."""


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token must say. `exp` and `aud` were checked before."""

    sub: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,128}$")]
    iat: float
    exp: float
    nbf: float | None = None
    scope: str = ""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was issued just now."""

    text: str
    caller: Caller
    expires_at: datetime

    def __repr__(self) -> str:
        """Return everything but the token's text."""
        return f"Token({self.caller.name}, {self.expires_at:%FT%TZ})"


class Tokens:
    """Issues and reads tokens for one audience."""

    def __init__(self, secret: Secret, audience: str, lifetime: timedelta, clock: Clock) -> None:
        self._secret = secret
        self._audience = audience
        self._lifetime = lifetime
        self._clock = clock

    def issue(self, caller: Caller) -> Token:
        """Return a token for the caller, with the caller's scopes."""
        now = self._clock.now()
        expires_at = now + self._lifetime
        claims = {
            "sub": caller.name,
            "scope": " ".join(sorted(caller.scopes)),
            "aud": self._audience,
            "iat": int(now.timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        text = jwt.encode(claims, self._secret.reveal(), algorithm=ALGORITHM)
        return Token(text=text, caller=caller, expires_at=expires_at)

    def read(self, text: str) -> Caller | None:
        """Return whom the token speaks for; None when it is not ours, not for us, or not good now."""
        try:
            decoded = jwt.decode(
                text,
                self._secret.reveal(),
                algorithms=[ALGORITHM],
                audience=self._audience,
                # Times are compared below, by this service's own clock.
                options={
                    "require": ["exp", "iat", "aud", "sub"],
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
            claims = msgspec.convert(decoded, _Claims)
        except (jwt.InvalidTokenError, msgspec.ValidationError):  # stop: outside input, refused as a whole
            return None
        now = self._clock.now().timestamp()
        begins = max(claims.iat, claims.iat if claims.nbf is None else claims.nbf)
        if not begins - CLOCK_SKEW.total_seconds() <= now < claims.exp:
            return None
        if claims.exp - claims.iat > MAX_LIFETIME.total_seconds():
            return None
        # The name of API_KEY's holder is nobody else's: its operations and idempotency keys are kept under it.
        if claims.sub == BOOTSTRAP:
            return None
        known = {scope.value for scope in Scope}
        return Caller(name=claims.sub, scopes=frozenset(Scope(each) for each in claims.scope.split() if each in known))
