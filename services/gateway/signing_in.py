"""Signing in with a Solana wallet: a message to sign, and a token for its signature.

The message is Sign In With Solana's (the Wallet Standard's `solana:signIn`), for a domain that this service knows. Its
nonce is made by any replica and recognised by all of them: it carries its time and a MAC, so nothing is stored until
somebody has signed. Then `login.redeemed` goes on the log, once: a nonce works for one sign-in, wherever it arrives.
Called by `api/login.py`. Not done here: what a signed-in wallet may do beyond its scopes (`callers.py`).
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature

from chassis.clock import Clock
from chassis.log import EventLog, LogUnavailable
from chassis.settings import Secret
from chassis.telemetry import get_logger
from contracts.access import LoginRedeemed, Scope
from services.gateway.callers import Caller
from services.gateway.errors import LogSilent, Problem, SignInRefused, ValidationFailed
from services.gateway.tokens import Token, Tokens

NONCE_LIFETIME: Final = timedelta(minutes=5)
"""Far below the age at which the LOGIN stream forgets a nonce."""
LOOPBACK: Final = ("localhost", "127.0.0.1")
STATEMENT: Final = "Sign in to Mintstream. This sends no transaction and costs nothing."

_TIME_BYTES: Final = 4
_RANDOM_BYTES: Final = 16
_MAC_BYTES: Final = 16
_FIRST_LINE: Final = " wants you to sign in with your Solana account:"
_NONCE = re.compile(r"^Nonce: ([0-9a-f]{72})$", re.MULTILINE)

_log = get_logger(__name__)


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """A message for a wallet to sign, whole and in the parts that `solana:signIn` takes."""

    domain: str
    address: str
    nonce: str
    issued_at: datetime
    expires_at: datetime

    @property
    def uri(self) -> str:
        """The page that asks."""
        scheme = "http" if self.domain.split(":")[0] in LOOPBACK else "https"
        return f"{scheme}://{self.domain}"

    @property
    def message(self) -> str:
        """The text that is signed."""
        return (
            f"{self.domain}{_FIRST_LINE}\n{self.address}\n\n{STATEMENT}\n\n"
            f"URI: {self.uri}\nVersion: 1\nNonce: {self.nonce}\n"
            f"Issued At: {iso(self.issued_at)}\nExpiration Time: {iso(self.expires_at)}"
        )


class Grants(msgspec.Struct, frozen=True, kw_only=True):
    """What wallets may do once they have signed in."""

    admins: frozenset[str]
    """Addresses that may do everything."""
    others: frozenset[Scope]

    def caller(self, address: str) -> Caller:
        """Return the caller that a wallet is."""
        scopes = frozenset(Scope) if address in self.admins else self.others
        return Caller(name=f"wallet:{address}", scopes=scopes)


class SignIn:
    """Makes challenges and takes their signatures."""

    def __init__(
        self, log: EventLog, tokens: Tokens, secret: Secret, domains: Sequence[str], grants: Grants, clock: Clock
    ) -> None:
        self._event_log = log
        self._tokens = tokens
        # Not the secret itself: a nonce's MAC is no material for forging a token.
        self._key = hmac.digest(secret.reveal().encode(), b"mintstream sign-in nonce", "sha256")
        self._domains = tuple(domains)
        self._grants = grants
        self._clock = clock

    @property
    def statement(self) -> str:
        """What the person reads above the technical part."""
        return STATEMENT

    def challenge(self, address: str, domain: str | None) -> Challenge:
        """Return a new challenge for the first domain, or for `domain`. Raises ValidationFailed for an unknown one."""
        if domain is not None and domain not in self._domains:
            raise ValidationFailed([Problem("domain", "is not one that this service signs in for")])
        body = int(self._clock.now().timestamp()).to_bytes(_TIME_BYTES, "big") + secrets.token_bytes(_RANDOM_BYTES)
        return self._of(domain or self._domains[0], address, (body + self._mac(body)).hex())

    async def token(self, message: str, signature: str) -> Token:
        """Return a token for the wallet that has signed `message`. Raises SignInRefused and LogSilent."""
        challenge = self._read(message)
        if not _signed(challenge, signature):
            raise SignInRefused(Problem("signature", "is not the account's signature of the message"))
        try:
            fresh = await self._event_log.publish_once(
                LoginRedeemed(nonce=challenge.nonce, wallet=challenge.address), cause=None
            )
        except LogUnavailable as error:  # stop: whether the nonce was used cannot be told; a new one costs nothing
            raise LogSilent("The event log does not answer; sign in again with a new challenge") from error
        if not fresh:
            raise SignInRefused(Problem("message", "was used before: ask for a new challenge"))
        token = self._tokens.issue(self._grants.caller(challenge.address))
        _log.info("wallet signed in", wallet=challenge.address)
        return token

    def _read(self, message: str) -> Challenge:
        """Return the challenge that `message` is, to the letter. Raises SignInRefused.

        Nothing of the message is believed: what a challenge with its nonce would say is written anew and compared.
        """
        lines = message.split("\n", 2)
        found = _NONCE.search(message)
        nonce = bytes.fromhex(found[1]) if found else b""
        body, mac = nonce[:-_MAC_BYTES], nonce[-_MAC_BYTES:]
        if not found or len(lines) < 3 or not hmac.compare_digest(mac, self._mac(body)):
            raise SignInRefused(Problem("message", "is not one of this service's: ask for a challenge"))
        domain, address = lines[0].removesuffix(_FIRST_LINE), lines[1]
        challenge = self._of(domain, address, found[1])
        if domain not in self._domains or challenge.message != message:
            raise SignInRefused(Problem("message", "is not the challenge as it was given: sign it unchanged"))
        if self._clock.now() >= challenge.expires_at:
            raise SignInRefused(Problem("message", "is expired: ask for a new challenge"))
        return challenge

    def _of(self, domain: str, address: str, nonce: str) -> Challenge:
        seconds = int.from_bytes(bytes.fromhex(nonce[: 2 * _TIME_BYTES]), "big")
        issued_at = datetime.fromtimestamp(seconds, UTC)
        return Challenge(
            domain=domain, address=address, nonce=nonce, issued_at=issued_at, expires_at=issued_at + NONCE_LIFETIME
        )

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)[:_MAC_BYTES]


def iso(moment: datetime) -> str:
    """Return a moment in whole seconds as the message writes it, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _signed(challenge: Challenge, signature: str) -> bool:
    try:
        account = Pubkey.from_string(challenge.address)
        return Signature.from_string(signature).verify(account, challenge.message.encode())
    except ValueError:  # stop: outside input that is no address or no signature
        return False
