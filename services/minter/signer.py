"""Key custody: the one gate through which the minter signs.

One wallet pays, signs as tree creator and as collection authority; its key is in this process or with a remote signer.
Accounts that must sign their own creation (a tree, a collection) get keypairs derived from a seed, so that a restart
signs for the same addresses: the wallet's own key, or a seed of its own where the wallet's key is not here. Nothing is
signed that `signing.policy` does not let through.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Self

from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from chassis.settings import Secret
from services.minter.signing.keys import Key, KeyRefused, LocalKey, SignerUnavailable, read_keypair
from services.minter.signing.policy import MessageRefused, Policy

__all__ = ["KeyRefused", "MessageRefused", "Signer", "SignerUnavailable", "unsigned"]

_DERIVATION_SALT = b"mintstream account v1"
MIN_SEED_BYTES = 32
"""Shortest seed text: a shorter one could be guessed."""


class Signer:
    """Signs with the wallet's key, and with keys derived from a seed."""

    __slots__ = ("_key", "_policy", "_seed")

    def __init__(self, key: Key | Keypair, *, seed: Secret | None = None, policy: Policy | None = None) -> None:
        """Take the wallet's key; raises KeyRefused without a seed to derive from. A Keypair is a key in this process.

        `seed` is used in place of the wallet's key. The accounts of collections that are being made depend on it.
        """
        self._key: Key = LocalKey(key) if isinstance(key, Keypair) else key
        self._policy = policy or Policy()
        if seed is not None:
            if len(seed.reveal().encode()) < MIN_SEED_BYTES:
                raise KeyRefused(f"DERIVATION_SEED is shorter than {MIN_SEED_BYTES} bytes")
            self._seed = seed.reveal().encode()
        elif isinstance(self._key, LocalKey):
            self._seed = self._key.seed
        else:
            raise KeyRefused(
                "DERIVATION_SEED is missing: the wallet's key is not in this process, and the keys with which new "
                "trees and collections sign their creation are derived from a seed"
            )

    @classmethod
    def from_secret(cls, secret: Secret, *, seed: Secret | None = None, policy: Policy | None = None) -> Self:
        """Read a 64-byte keypair in base58 or as a JSON array of bytes; raises KeyRefused."""
        return cls(read_keypair(secret), seed=seed, policy=policy)

    @property
    def pubkey(self) -> Pubkey:
        """The wallet's address."""
        return self._key.pubkey

    def derived_address(self, purpose: str) -> Pubkey:
        """Return the address of the account that `purpose` names."""
        return self._derive(purpose).pubkey()

    async def sign(self, message: MessageV0, purposes: Sequence[str] = ()) -> VersionedTransaction:
        """Sign `message` with the wallet's key and the derived keys of `purposes`.

        Raises MessageRefused when the policy or the remote signer forbids it, SignerUnavailable when nobody signs now,
        ValueError when the message wants other signers than these.
        """
        derived = {keypair.pubkey(): keypair for keypair in map(self._derive, purposes)}
        wanted = message.account_keys[: message.header.num_required_signatures]
        if set(wanted) != {self.pubkey, *derived}:
            raise ValueError(f"the message wants other signers than {self.pubkey} and {list(purposes)}")
        self._policy.check(message, frozenset({self.pubkey}), frozenset(derived))
        content = to_bytes_versioned(message)
        signatures = [
            derived[key].sign_message(content) if key in derived else await self._key.sign(content) for key in wanted
        ]
        return VersionedTransaction.populate(message, signatures)

    def _derive(self, purpose: str) -> Keypair:
        # HKDF (RFC 5869) with SHA-256, one block.
        key = hmac.digest(_DERIVATION_SALT, self._seed, hashlib.sha256)
        return Keypair.from_seed(hmac.digest(key, purpose.encode() + b"\x01", hashlib.sha256))

    def __repr__(self) -> str:
        return f"Signer({self.pubkey})"


def unsigned(message: MessageV0) -> VersionedTransaction:
    """Return the transaction with empty signatures, for simulations, which check none."""
    return VersionedTransaction.populate(message, [Signature.default()] * message.header.num_required_signatures)
