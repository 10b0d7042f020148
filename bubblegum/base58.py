"""Base58 with Bitcoin's alphabet, as JSON-RPC writes instruction data.

Used by `bubblegum.transaction`. Addresses and signatures have solders' own parsers; this is for data of any length, so
the length is bounded: the conversion is quadratic and the text comes from outside.
"""

from typing import Final

from bubblegum.errors import DecodeError

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS: Final = {character: value for value, character in enumerate(_ALPHABET)}
MAX_CHARACTERS: Final = 16_384
"""Above the 10 KiB that an inner instruction's data can have."""


def encode(data: bytes) -> str:
    """The text of these bytes; every leading zero byte is a leading '1'."""
    zeros = len(data) - len(data.lstrip(b"\0"))
    number = int.from_bytes(data, "big")
    digits: list[str] = []
    while number:
        number, digit = divmod(number, 58)
        digits.append(_ALPHABET[digit])
    return "1" * zeros + "".join(reversed(digits))


def decode(text: str) -> bytes:
    """The bytes of this text; DecodeError when it is too long or holds a character that is not of the alphabet."""
    if len(text) > MAX_CHARACTERS:
        raise DecodeError(f"base58 of {len(text)} characters, the limit is {MAX_CHARACTERS}")
    number = 0
    for character in text:
        digit = _DIGITS.get(character)
        if digit is None:
            raise DecodeError(f"{character!r} is no base58 character")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
