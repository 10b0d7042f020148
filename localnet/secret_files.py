"""Secrets of a local stack: made once, kept in files that only their user can read.

Used by `localnet.stack`. They are real random secrets although nothing here is worth stealing: no default password
exists that could find its way to production. Not done here: showing them.
"""

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from solders.keypair import Keypair

from contracts.permissions import ROLES
from localnet.errors import StackError


@dataclass(frozen=True, slots=True)
class SecretFiles:
    """Paths of the secrets below DATA/secrets; every file holds its text and a line end."""

    api_key: Path
    jwt_secret: Path
    webhook_sealing_key: Path
    wallet_key: Path
    owner_password: Path
    reader_password: Path
    nats_passwords: Path
    """A folder: a file for each service, by its name."""

    @classmethod
    def ensure(cls, directory: Path) -> Self:
        """The files in `directory`; those that are missing are made. Raises StackError for an empty one."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.chmod(0o700)
        return cls(
            api_key=_ensure(directory / "api_key", secrets.token_urlsafe(24)),
            jwt_secret=_ensure(directory / "jwt_secret", secrets.token_urlsafe(48)),
            # 32 bytes in URL-safe base64
            webhook_sealing_key=_ensure(directory / "webhook_sealing_key", secrets.token_urlsafe(32) + "="),
            # base58 of the 64 bytes: seed and public key
            wallet_key=_ensure(directory / "wallet_key", str(Keypair())),
            owner_password=_ensure(directory / "postgres_owner_password", secrets.token_urlsafe(24)),
            reader_password=_ensure(directory / "postgres_reader_password", secrets.token_urlsafe(24)),
            nats_passwords=_ensure_each(directory / "nats", [role.name for role in ROLES]),
        )

    def nats_password(self, service: str) -> Path:
        """The file with the service's NATS password."""
        return self.nats_passwords / service


def read_secret(path: Path) -> str:
    """The text of a secret file. Raises StackError when it is empty."""
    text = path.read_text(encoding="utf-8").strip()
    if not text:
        raise StackError(f"{path} is empty: remove it, and a new secret is made (a new wallet for wallet_key)")
    return text


def _ensure_each(directory: Path, names: Sequence[str]) -> Path:
    directory.mkdir(exist_ok=True, mode=0o700)
    for name in names:
        _ensure(directory / name, secrets.token_urlsafe(24))
    return directory


def _ensure(path: Path, fresh: str) -> Path:
    """Write `fresh` if the file is missing; complete or not at all, so that a crash leaves no empty secret."""
    if not path.exists():
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(fresh + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    read_secret(path)
    return path
