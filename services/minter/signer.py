"""Key custody: the only code that reads a private key.

One wallet pays, signs as tree creator and as collection authority. Accounts that must sign their own creation (a
tree, a collection) get keypairs derived from the wallet's key, so that a restart signs for the same addresses and no
second secret exists.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Self

from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from chassis.settings import Secret

_DERIVATION_SALT = b"mintstream account v1"


class KeyRefused(Exception):
    """The configured private key is not one. Never says what it was."""


class Signer:
    """Signs with the wallet's key, and with keys derived from it."""

    __slots__ = ("_keypair",)

    def __init__(self, keypair: Keypair) -> None:
        self._keypair = keypair

    @classmethod
    def from_secret(cls, secret: Secret) -> Self:
        """Read a 64-byte keypair in base58 or as a JSON array of bytes; raises KeyRefused."""
        text = secret.reveal().strip()
        try:
            keypair = (
                Keypair.from_bytes(bytes(json.loads(text)))
                if text.startswith("[")
                else Keypair.from_base58_string(text)
            )
        except (ValueError, TypeError):
            # Stop: another try reads the same value. `from None`, because the cause may quote the key.
            raise KeyRefused("PRIVATE_KEY is neither a base58 keypair of 64 bytes nor a JSON array of them") from None
        return cls(keypair)

    @property
    def pubkey(self) -> Pubkey:
        """The wallet's address."""
        return self._keypair.pubkey()

    def derived_address(self, purpose: str) -> Pubkey:
        """Return the address of the account that `purpose` names."""
        return self._derive(purpose).pubkey()

    def sign(self, message: MessageV0, purposes: Sequence[str] = ()) -> VersionedTransaction:
        """Sign `message` with the wallet's key and the derived keys of `purposes`.

        Raises ValueError when the message wants other signers.
        """
        try:
            return VersionedTransaction(message, [self._keypair, *(self._derive(purpose) for purpose in purposes)])
        except Exception as error:
            # solders raises its own SignerError class: stop, since the same message wants the same signers.
            raise ValueError(f"the message wants other signers than {self.pubkey} and {list(purposes)}") from error

    def _derive(self, purpose: str) -> Keypair:
        # HKDF (RFC 5869) with SHA-256, one block.
        key = hmac.digest(_DERIVATION_SALT, self._keypair.secret(), hashlib.sha256)
        return Keypair.from_seed(hmac.digest(key, purpose.encode() + b"\x01", hashlib.sha256))

    def __repr__(self) -> str:
        return f"Signer({self.pubkey})"
