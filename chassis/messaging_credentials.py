"""What a NATS .creds file holds: a user's JWT, and the seed of the NKey that signs what a server asks to have signed.

Used by `chassis.messaging_client` only. nats-py leaves the signing to the library nkeys, which comes as source alone,
and images take only what is built. Formats: https://docs.nats.io/running-a-nats-service/configuration/securing_nats/
auth_intro/nkey_auth, and ADR-14. Not done here: making keys and JWTs, which `nsc` does.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_SECTION: Final = re.compile(r"-{3,}BEGIN (?P<name>[A-Z ]+)-{3,}\s*(?P<content>[^\s-]\S*)\s+-{3,}END (?P=name)-{3,}")
_JWT: Final = "NATS USER JWT"
_SEED: Final = "USER NKEY SEED"
_SEED_BYTES: Final = 36
"""Two that say what the key is for, its 32 and a checksum of two."""
_USER_SEED: Final = bytes([0x95, 0x00])
"""What a user's seed begins with: the prefixes of a seed (18 << 3) and of a user (20 << 3), in five and eight bits."""


class UnusableCredentials(ValueError):
    """The text is none of a .creds file. What is said of it holds nothing of it."""


@dataclass(frozen=True, slots=True)
class UserCredentials:
    """Who a connection is to a server, and the proof of it."""

    jwt: bytes
    _key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what the contents of a .creds file say; raises UnusableCredentials."""
        sections = {found["name"]: found["content"] for found in _SECTION.finditer(text)}
        if missing := [name for name in (_JWT, _SEED) if name not in sections]:
            raise UnusableCredentials(f"it has no section {missing[0]}: give the contents of a user's .creds file")
        return cls(sections[_JWT].encode(), _signing_key(sections[_SEED]))

    def sign(self, nonce: str) -> bytes:
        """Return the signature of what the server sent, in base64."""
        return base64.b64encode(self._key.sign(nonce.encode()))


def _signing_key(seed: str) -> Ed25519PrivateKey:
    try:
        raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except ValueError:  # stop: the text is not repeated, for it may be the seed but for one character
        raise UnusableCredentials("its seed is not in base32") from None
    if len(raw) != _SEED_BYTES or binascii.crc_hqx(raw[:-2], 0).to_bytes(2, "little") != raw[-2:]:
        raise UnusableCredentials("its seed is not whole")
    if raw[:2] != _USER_SEED:
        raise UnusableCredentials("its seed is not a user's, which begins with SU")
    return Ed25519PrivateKey.from_private_bytes(raw[2:-2])
