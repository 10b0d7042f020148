"""Base58 with Bitcoin's alphabet, as JSON-RPC writes instruction data.

Used by `bubblegum.transaction`. Addresses and signatures have solders' own parsers; this is for data of any length, so
the length is bounded: the conversion is quadratic and the text comes from outside.
"""

from collections.abc import Iterator
from typing import Final

from bubblegum.errors import DecodeError

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
MAX_CHARACTERS: Final = 16_384
"""Above the 10 KiB that an inner instruction's data can have."""

# Long numbers are slow, so digits are taken apart in groups that fit into a machine word.
_GROUP: Final = 10
_GROUP_BASE: Final = 58**_GROUP
# They are put together all at once: first each digit, a byte, with its neighbour, then these pairs, then the fours, up
# to lanes of so many bytes. What stands in a lane of n bytes after that is below 58**n, which fits into it.
_LANE_BYTES: Final = 64
_LANE_BASE: Final = 58**_LANE_BYTES
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
    number = 0
    for lane in _lanes(digits):
        number = number * _LANE_BASE + lane
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _lanes(digits: bytes) -> Iterator[int]:
    """The digits as numbers of _LANE_BYTES digits each, the most significant first."""
    size = len(digits) + -len(digits) % _LANE_BYTES
    number = int.from_bytes(digits, "big")
    half, weight = 1, 58
    while half < _LANE_BYTES:
        lower = int.from_bytes((bytes(half) + b"\xff" * half) * (size // (2 * half)), "big")
        number = (number & lower) + (number >> 8 * half & lower) * weight
        half, weight = 2 * half, weight * weight
    joined = number.to_bytes(size, "big")
    return (int.from_bytes(joined[start : start + _LANE_BYTES], "big") for start in range(0, size, _LANE_BYTES))
