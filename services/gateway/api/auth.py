"""Who calls, and whether that caller may: API keys, bearer tokens, scopes and quotas.

A dependency of every route under `/api`; it runs before a byte of the body is read. A request carries an API key in
`X-API-Key`, or else a token as `Authorization: Bearer` (source document, section 4), or else the console's session
(`sessions.py`); a WebSocket also among its subprotocols (`sockets.py`). Not done here: giving keys out (the command
line), signing in (`api/login.py`), and who may see which operation (`callers.py`).
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import HTTPConnection

from chassis.clock import Clock
from chassis.key_book import KeyBook
from chassis.settings import Secret
from contracts.access import Scope
from services.gateway.api import sessions, sockets
from services.gateway.api.fields import field
from services.gateway.api.scope import answer_headers
from services.gateway.callers import BOOTSTRAP, Caller
from services.gateway.errors import ApiError, Unauthorized
from services.gateway.limiting import LimitClass, Limiter
from services.gateway.tokens import Tokens

API_KEY_HEADER = "X-API-Key"
_RAW_API_KEY = API_KEY_HEADER.lower().encode()
IPV6_SITE_BITS = 64
"""What one subscriber is given of IPv6: its addresses are counted as one."""

_key_scheme = APIKeyHeader(name=API_KEY_HEADER, auto_error=False, description="An API key.")
_bearer_scheme = HTTPBearer(auto_error=False, bearerFormat="JWT", description="A token of `POST /api/auth/login`.")

_BOOTSTRAP = Caller(name=BOOTSTRAP, scopes=frozenset(Scope))
"""Whoever holds API_KEY."""

Permit = Callable[..., Awaitable[Caller]]
"""A dependency that returns the caller, or refuses the request."""


class Authenticator:
    """Tells who calls. `bootstrap` is API_KEY; without `tokens` no bearer token is taken."""

    def __init__(self, bootstrap: Secret | None, keys: KeyBook, tokens: Tokens | None, clock: Clock) -> None:
        self._bootstrap = _digest(bootstrap.reveal()) if bootstrap else None
        self._keys = keys
        self._tokens = tokens
        self._clock = clock

    def caller(self, key: str | None, token: str | None) -> Caller:
        """Return whoever holds the key, or without a key whoever the token speaks for. Raises Unauthorized."""
        found = self._holder(key) if key is not None else self._bearer(token)
        if found is None:
            raise Unauthorized("Authorization" if key is None and token is not None else "X-API-Key")
        return found

    def _holder(self, key: str) -> Caller | None:
        # Digests, so that neither the key's length nor its first wrong character shows in the time taken.
        if self._bootstrap is not None and hmac.compare_digest(_digest(key), self._bootstrap):
            return _BOOTSTRAP
        known = self._keys.find(key, self._clock.now())
        return Caller(name=known.caller, scopes=frozenset(known.scopes)) if known else None

    def _bearer(self, token: str | None) -> Caller | None:
        return self._tokens.read(token) if self._tokens and token else None


class Access:
    """What routes ask of their callers."""

    def __init__(self, authenticator: Authenticator, limiter: Limiter) -> None:
        self._authenticator = authenticator
        self._limiter = limiter

    def permit(self, scope: Scope | None, counts: LimitClass = "general") -> Permit:
        """Return a dependency: the caller must have `scope` (None: any or none), and the request counts as `counts`.

        It raises Unauthorized, Forbidden and RateLimited.
        """

        async def permitted(
            request: Request,
            key: Annotated[str | None, Security(_key_scheme)],
            bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer_scheme)],
        ) -> Caller:
            return await self._admit(request, key, bearer.credentials if bearer else None, scope, counts)

        return permitted

    async def admit(self, connection: HTTPConnection, scope: Scope, counts: LimitClass) -> Caller:
        """Return the caller of a request or of a WebSocket that is not accepted yet, as `permit` does elsewhere."""
        key, bearer = _shown(connection)
        return await self._admit(connection, key, bearer, scope, counts)

    def still_admits(self, connection: HTTPConnection, scope: Scope) -> bool:
        """Return whether what a long answer was begun for is good yet: keys are revoked, tokens and keys expire."""
        try:
            self._caller(connection, *_shown(connection)).require(scope)
        except ApiError:  # go on: told by the return
            return False
        return True

    async def count_stranger(self, request: Request) -> None:
        """Count a request of somebody who is not known yet, by the address. Raises RateLimited."""
        await self._limiter.count("login", _site(request), answer_headers(request.scope))

    def _caller(self, connection: HTTPConnection, key: str | None, token: str | None) -> Caller:
        if key is None and token is None:
            key, token = sessions.credentials(connection)
        return self._authenticator.caller(key, token)

    async def _admit(
        self, connection: HTTPConnection, key: str | None, token: str | None, scope: Scope | None, counts: LimitClass
    ) -> Caller:
        caller = self._caller(connection, key, token)
        if scope is not None:
            caller.require(scope)
        await self._limiter.count(counts, caller.name, answer_headers(connection.scope))
        return caller


def _shown(connection: HTTPConnection) -> tuple[str | None, str | None]:
    """Return the API key and the bearer token of a request, or those among a WebSocket's subprotocols."""
    key = field(connection.scope, _RAW_API_KEY) or None
    kind, _, token = (field(connection.scope, b"authorization") or "").partition(" ")
    bearer = (token.strip() or None) if kind.lower() == "bearer" else None
    if key is None and bearer is None:
        key, bearer = sockets.credentials(connection.scope)
    return key, bearer


def _site(request: Request) -> str:
    """Return what a stranger is counted by: the IPv4 address, or the network of an IPv6 address."""
    host = request.client.host if request.client else "unknown"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # go on: a Unix socket has no address, and then all strangers are one
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:  # as sockets of both families and some proxies write IPv4 addresses
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_SITE_BITS), strict=False))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
