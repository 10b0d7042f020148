"""A key that somebody else keeps: a proxy of a key management service, asked over HTTP for each signature.

The request is `POST <url>` with a bearer token and `{"publicKey": base58, "message": base64}`, the serialized message
that a Solana transaction's signatures are over; the answer is `{"signature": base58}`. Status 400 and 422 mean that the
proxy's own policy refuses the message; anything else but 200, that it cannot sign now. A signature is checked before it
is used. URL, token and messages are in no error and no log line.
"""

import base64
from typing import Final, Self

import httpx
import msgspec
from solders.pubkey import Pubkey
from solders.signature import Signature

from chassis.settings import Secret
from services.minter.signing.keys import KeyRefused, SignerUnavailable
from services.minter.signing.policy import MessageRefused

MAX_ANSWER_BYTES: Final = 4096
_OK: Final = 200
_REFUSED: Final = frozenset({400, 422})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class _Ask(msgspec.Struct, frozen=True, rename="camel"):
    public_key: str
    message: str


class _Answer(msgspec.Struct, frozen=True):
    signature: str


class RemoteKey:
    """Implements `keys.Key` with a remote signer."""

    def __init__(self, http: httpx.AsyncClient, url: str, address: Pubkey) -> None:
        self._http = http
        self._url = url
        self._address = address

    @classmethod
    def configured(
        cls,
        url: Secret,
        token: Secret | None,
        address: str,
        seconds: float,
        variable: str = "REMOTE_SIGNER_ADDRESS",
    ) -> Self:
        """Return the key, with `seconds` for each call; raises KeyRefused. Nothing is asked yet.

        `variable` is the one that names `address`.

        Enter it to have its connections closed.
        """
        target = _checked(url)
        try:
            pubkey = Pubkey.from_string(address)
        except ValueError:
            raise KeyRefused(f"{variable} is not an address: 32 bytes in base58") from None
        http = httpx.AsyncClient(
            timeout=seconds,
            headers={"Authorization": f"Bearer {token.reveal()}"} if token else {},
            follow_redirects=False,
            # A proxy of the environment's tunnels https, and would read what plain http has for this machine.
            trust_env=target.startswith("https:"),
        )
        return cls(http, target, pubkey)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    @property
    def pubkey(self) -> Pubkey:
        """See `Key.pubkey`."""
        return self._address

    async def sign(self, message: bytes) -> Signature:
        """See `Key.sign`."""
        ask = _Ask(public_key=str(self._address), message=base64.b64encode(message).decode())
        try:
            response = await self._http.post(
                self._url, content=msgspec.json.encode(ask), headers={"Content-Type": "application/json"}
            )
        except httpx.HTTPError as error:
            # Retry, by the caller; the error's own text may hold the URL.
            raise SignerUnavailable(f"remote signer: {type(error).__name__}") from None
        if response.status_code in _REFUSED:
            raise MessageRefused(f"the remote signer refuses it with HTTP status {response.status_code}")
        if response.status_code != _OK or len(response.content) > MAX_ANSWER_BYTES:
            raise SignerUnavailable(f"remote signer: HTTP status {response.status_code}")
        try:
            signature = Signature.from_string(msgspec.json.decode(response.content, type=_Answer).signature)
        except (msgspec.DecodeError, ValueError):
            # Retry, by the caller: a proxy's error page, for instance. Its text stays out of our logs.
            raise SignerUnavailable("remote signer: the answer is no signature") from None
        if not signature.verify(self._address, message):
            raise SignerUnavailable("remote signer: the signature is not of this message by the configured address")
        return signature

    def __repr__(self) -> str:
        return f"RemoteKey({self._address})"


def _checked(url: Secret) -> str:
    """Return the URL, its scheme in lower case, if token and messages are safe on the way; raises KeyRefused."""
    text = url.reveal()
    try:
        parts = httpx.URL(text)
    except httpx.InvalidURL:
        raise KeyRefused("REMOTE_SIGNER_URL is not a URL") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.host in _LOOPBACK):
        raise KeyRefused("REMOTE_SIGNER_URL must be https, or http on this machine")
    return str(parts)
