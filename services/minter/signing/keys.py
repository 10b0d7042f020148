"""Private keys in this process: how they are given, checked and used. Nothing here shows one."""

import json
import os
import stat
from pathlib import Path
from typing import Protocol

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from chassis.settings import Secret


class KeyRefused(Exception):
    """The configured key cannot be used. Never says what it was."""


class SignerUnavailable(Exception):
    """Nobody signed just now; asking again may help. Nothing was signed."""


class Key(Protocol):
    """Signs with one private key, wherever that is."""

    @property
    def pubkey(self) -> Pubkey:
        """Its address."""
        ...

    async def sign(self, message: bytes) -> Signature:
        """Return the signature of a serialized message; raises SignerUnavailable or policy.MessageRefused."""
        ...


class LocalKey:
    """A key in this process."""

    __slots__ = ("_keypair",)

    def __init__(self, keypair: Keypair) -> None:
        self._keypair = keypair

    @property
    def pubkey(self) -> Pubkey:
        """See `Key.pubkey`."""
        return self._keypair.pubkey()

    @property
    def seed(self) -> bytes:
        """What keys are derived from when no seed is given: the secret half. Stays within key custody."""
        return self._keypair.secret()

    async def sign(self, message: bytes) -> Signature:
        """See `Key.sign`."""
        return self._keypair.sign_message(message)

    def __repr__(self) -> str:
        return f"LocalKey({self.pubkey})"


def read_keypair(secret: Secret, variable: str = "PRIVATE_KEY") -> Keypair:
    """Read a 64-byte keypair in base58 or as a JSON array of bytes; raises KeyRefused, which names `variable`."""
    text = secret.reveal().strip()
    try:
        if text.startswith("["):
            return Keypair.from_bytes(bytes(json.loads(text)))
        return Keypair.from_base58_string(text)
    except (ValueError, TypeError, RecursionError):
        # Stop: another try reads the same value. `from None`, because the cause may quote the key.
        raise KeyRefused(f"{variable} is neither a base58 keypair of 64 bytes nor a JSON array of them") from None


def read_list(secret: Secret, variable: str) -> list[Secret]:
    """Return the keys of a list, each as it was given; raises KeyRefused.

    The list is texts between commas or lines, or a JSON array of texts and arrays of bytes.
    """
    text = secret.reveal().strip()
    if not text.startswith("["):
        return [Secret(part) for part in text.replace(",", " ").split()]
    try:
        listed: list[object] = json.loads(text)
    except (ValueError, RecursionError):
        # Stop: another try reads the same value. `from None`, because the cause may quote the keys.
        raise KeyRefused(f"{variable} is no JSON array of keypairs") from None
    if listed and all(isinstance(each, int) for each in listed):
        return [secret]  # the bytes of a single one
    return [Secret(each if isinstance(each, str) else json.dumps(each)) for each in listed]


def check_key_file(variable: str, path: Path) -> None:
    """Raise KeyRefused when others than we may read or change the file that `variable` names.

    One exception: a file that belongs to another user may be readable by our group, because that is the only way in
    which a container that does not run as root can be given one (a Kubernetes secret with an fsGroup).
    """
    try:
        status = path.stat()
    except OSError as error:
        raise KeyRefused(f"cannot read {path} (from {variable}): {error.strerror}") from None
    allowed = 0o700 if status.st_uid == os.geteuid() else 0o740
    if stat.S_IMODE(status.st_mode) & ~allowed:
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        raise KeyRefused(f"others may read or change {path} (from {variable}, mode {mode}); chmod 600 it")
