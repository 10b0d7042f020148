"""The text of an API key: how it is made, recognised and digested. Pure, but for the randomness.

`mst_<12 characters: its id><32 random characters><6 characters: CRC-32>`, all of them letters and digits. The prefix
lets secret scanners find a leaked key, and the checksum lets them, and the gateway, tell a key from something that
looks like one without asking anybody. Used by the command line, which makes keys, and by the
gateway, which checks them.
"""

import hashlib
import re
import secrets
import string
import zlib
from typing import Final, Self

import msgspec

PREFIX: Final = "mst_"
ID_CHARACTERS: Final = 12
SECRET_CHARACTERS: Final = 32
"""190 bits."""
CHECK_CHARACTERS: Final = 6
ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase

_KEY = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{ID_CHARACTERS}}})[0-9A-Za-z]{{{SECRET_CHARACTERS + CHECK_CHARACTERS}}}")


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key with a right checksum. Its text is shown once, to whoever asked for it, and kept nowhere."""

    id: str
    sha256: str
    """Digest of the whole text, in lower-case hexadecimal."""
    text: str

    def __repr__(self) -> str:
        """Return the public part only, so that a log line or a traceback gives nothing away."""
        return f"ApiKey({self.id})"

    @classmethod
    def new(cls) -> Self:
        """Return a fresh key."""
        body = PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(ID_CHARACTERS + SECRET_CHARACTERS))
        return cls._of(body + _checksum(body))

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return the key that `text` is, None when it is none or has a wrong checksum. Says nothing of its validity."""
        if not _KEY.fullmatch(text) or _checksum(text[:-CHECK_CHARACTERS]) != text[-CHECK_CHARACTERS:]:
            return None
        return cls._of(text)

    @classmethod
    def _of(cls, text: str) -> Self:
        start = len(PREFIX)
        return cls(id=text[start : start + ID_CHARACTERS], sha256=hashlib.sha256(text.encode()).hexdigest(), text=text)


def _checksum(body: str) -> str:
    """Return the CRC-32 of `body` in base 62, padded."""
    rest, digits = zlib.crc32(body.encode()), ""
    for _ in range(CHECK_CHARACTERS):
        rest, digit = divmod(rest, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
