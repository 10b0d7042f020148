"""Base58 with Bitcoin's alphabet, as JSON-RPC writes instruction data.

Used by `bubblegum.transaction`. Addresses and signatures have solders' own parsers; this is for data of any length, so
the length is bounded: the conversion is quadratic and the text comes from outside.
"""

from operator import mul
from typing import Final

from bubblegum.errors import DecodeError

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
MAX_CHARACTERS: Final = 16_384
"""Above the 10 KiB that an inner instruction's data can have."""

# Long numbers are slow, so digits are put together, and taken apart, in groups that fit into a machine word.
_GROUP: Final = 10
_WEIGHTS: Final = tuple(58**exponent for exponent in reversed(range(_GROUP)))
_GROUP_BASE: Final = 58**_GROUP
_NO_DIGIT: Final = 255
_DIGITS: Final = bytes(_ALPHABET.find(chr(code)) & _NO_DIGIT for code in range(256))
"""By character code, its digit; _NO_DIGIT for what is not of the alphabet."""
_PAIRS: Final = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


def encode(data: bytes) -> str:
    """The text of these bytes; every leading zero byte is a leading '1'."""
    zeros = len(data) - len(data.lstrip(b"\0"))
    number = int.from_bytes(data, "big")
    pairs: list[str] = []
    while number:
        number, group = divmod(number, _GROUP_BASE)
        for _ in range(_GROUP // 2):
            group, pair = divmod(group, 58 * 58)
            pairs.append(_PAIRS[pair])
    return "1" * zeros + "".join(reversed(pairs)).lstrip("1")


def decode(text: str) -> bytes:
    """The bytes of this text; DecodeError when it is too long or holds a character that is not of the alphabet."""
    if len(text) > MAX_CHARACTERS:
        raise DecodeError(f"base58 of {len(text)} characters, the limit is {MAX_CHARACTERS}")
    digits = text.encode("latin-1", "replace").translate(_DIGITS)
    if _NO_DIGIT in digits:
        raise DecodeError(f"{text[digits.index(_NO_DIGIT)]!r} is no base58 character")
    digits = bytes(-len(digits) % _GROUP) + digits
    number = 0
    for start in range(0, len(digits), _GROUP):
        number = number * _GROUP_BASE + sum(map(mul, digits[start : start + _GROUP], _WEIGHTS))
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
