"""A NATS server whose users show JWTs, as hosted NATS does, and the .creds file of one of them.

Claims by https://docs.nats.io/running-a-nats-service/nats_admin/security/jwt. Not done here: anything that the server
does not ask for to let a user in.
"""

import base64
import binascii
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from localnet.child import ChildSpec
from localnet.nats_server import NatsOptions, nats_spec

SEED, OPERATOR, ACCOUNT, USER = 18 << 3, 14 << 3, 0, 20 << 3
"""What NKeys begin with, so that the first letter of their base32 is S, O, A or U."""


class Key:
    """An NKey: an Ed25519 key pair that says what it is for."""

    def __init__(self, kind: int) -> None:
        self._pair = Ed25519PrivateKey.generate()
        self.seed = _checked(bytes([SEED | kind >> 5, (kind & 31) << 3]) + self._pair.private_bytes_raw())
        self.public = _checked(bytes([kind]) + self._pair.public_key().public_bytes_raw())

    def vouch(self, subject: str, kind: str, **claims: Any) -> str:
        """The JWT by which this key says that `subject` is an account or a user of it, or that it is itself."""
        body = {
            "jti": subject, "iat": 1, "iss": self.public, "name": kind, "sub": subject,
            "nats": {"type": kind, "version": 2, **claims},
        }  # fmt: skip
        signed = f"{_part({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_part(body)}"
        return f"{signed}.{_text(self._pair.sign(signed.encode()))}"


@dataclass(frozen=True, slots=True)
class OperatedServer:
    """How to run it, and how its user comes in."""

    spec: ChildSpec
    credentials: str
    """Contents of a .creds file."""


def operated_server(directory: Path) -> OperatedServer:
    """A server with one account and one user, who may do everything in it."""
    operator, account, system, user = Key(OPERATOR), Key(ACCOUNT), Key(ACCOUNT), Key(USER)
    everything = {"subs": -1, "data": -1, "payload": -1}
    storage = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
    connections = {"imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
    accounts = {
        account.public: operator.vouch(account.public, "account", limits={**everything, **connections, **storage}),
        system.public: operator.vouch(system.public, "account", limits={**everything, **connections}),
    }
    lines = (
        f"operator: {operator.vouch(operator.public, 'operator')}",
        f"system_account: {system.public}",
        "resolver: MEMORY",
        f"resolver_preload: {json.dumps(accounts)}",
    )
    spec = nats_spec(NatsOptions(data_dir=directory))

    async def prepare() -> None:
        assert spec.prepare is not None
        await spec.prepare()
        with (directory / "nats.conf").open("a") as configuration:
            configuration.write("\n".join(lines) + "\n")

    return OperatedServer(
        spec=replace(spec, prepare=prepare),
        credentials=(
            f"-----BEGIN NATS USER JWT-----\n{account.vouch(user.public, 'user', **everything)}\n"
            "------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
        ),
    )


def _checked(content: bytes) -> str:
    """An NKey as text: with its checksum, in base32."""
    return base64.b32encode(content + binascii.crc_hqx(content, 0).to_bytes(2, "little")).rstrip(b"=").decode()


def _part(content: dict[str, Any]) -> str:
    return _text(json.dumps(content).encode())


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
