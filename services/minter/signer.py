"""Key custody: the one gate through which the minter signs.

One wallet signs as tree creator and as collection authority, and pays; further fee payers may share the mints with it.
Their keys are in this process or with a remote signer.
Accounts that must sign their own creation (a tree, a collection) get keypairs derived from a seed, so that a restart
signs for the same addresses: the wallet's own key, or a seed of its own where the wallet's key is not here. Nothing is
signed that `signing.policy` does not let through.
"""

import hashlib
import hmac
from collections.abc import Sequence

from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from chassis.settings import Secret
from services.minter.signing.keys import Key, KeyRefused, LocalKey, SignerUnavailable
from services.minter.signing.policy import MessageRefused, Policy

__all__ = ["KeyRefused", "MessageRefused", "Signer", "SignerUnavailable", "unsigned"]

_DERIVATION_SALT = b"mintstream account v1"
MIN_SEED_BYTES = 32
"""Shortest seed text: a shorter one could be guessed."""


class Signer:
    """Signs with the wallet's key and the fee payers', and with keys derived from a seed."""

    __slots__ = ("_key", "_keys", "_policy", "_seed")

    def __init__(
        self,
        key: Key | Keypair,
        *,
        seed: Secret | None = None,
        policy: Policy | None = None,
        payers: Sequence[Key | Keypair] = (),
    ) -> None:
        """Take the wallet's key and those of further fee payers; raises KeyRefused without a seed to derive from.

        A Keypair is a key in this process. `seed` is used in place of the wallet's key. The accounts of collections
        that are being made depend on it.
        """
        keys = [LocalKey(each) if isinstance(each, Keypair) else each for each in (key, *payers)]
        self._key: Key = keys[0]
        self._keys: dict[Pubkey, Key] = {each.pubkey: each for each in keys}
        if len(self._keys) < len(keys):
            raise KeyRefused("FEE_PAYERS names a wallet twice, or the minting wallet, which pays in any case")
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

    @property
    def pubkey(self) -> Pubkey:
        """The wallet's address."""
        return self._key.pubkey

    @property
    def payers(self) -> tuple[Pubkey, ...]:
        """The addresses of the further fee payers."""
        return tuple(address for address in self._keys if address != self.pubkey)

    def derived_address(self, purpose: str) -> Pubkey:
        """Return the address of the account that `purpose` names."""
        return self._derive(purpose).pubkey()

    async def sign(self, message: MessageV0, purposes: Sequence[str] = ()) -> VersionedTransaction:
        """Sign `message` with those of our wallets' keys that it wants and the derived keys of `purposes`.

        Raises MessageRefused when the policy or the remote signer forbids it, SignerUnavailable when nobody signs now,
        ValueError when the message wants other signers than these.
        """
        derived = {keypair.pubkey(): keypair for keypair in map(self._derive, purposes)}
        wanted = message.account_keys[: message.header.num_required_signatures]
        if set(wanted) - self._keys.keys() != derived.keys():
            raise ValueError(f"the message wants other signers than {list(map(str, self._keys))} and {list(purposes)}")
        self._policy.check(message, frozenset(self._keys), frozenset(derived))
        content = to_bytes_versioned(message)
        signatures = [
            derived[key].sign_message(content) if key in derived else await self._keys[key].sign(content)
            for key in wanted
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
