"""Unsigned varints and the text bases that CIDs are written in. Used by `unixfs.cid` and `unixfs.dagpb` alone.

Every decoder here is strict: one value has one encoding, so that a CID that was parsed can be compared as text.
Source: the unsigned-varint and multibase specifications of multiformats.
"""

import base64

BASE58_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
"""Bitcoin's alphabet: no 0, O, I, l."""

_BASE58_VALUES = {character: value for value, character in enumerate(BASE58_ALPHABET)}
_BASE32_ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyz234567")

VARINT_MAX_BYTES = 9
"""The unsigned-varint specification's limit: 63 bits of value."""


def encode_varint(value: int) -> bytes:
    """Encode a non-negative integer, seven bits a byte, least significant first."""
    if value < 0:
        raise ValueError("a varint cannot be negative")
    encoded = bytearray()
    while value > 0x7F:
        encoded.append((value & 0x7F) | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def decode_varint(data: bytes, offset: int = 0) -> tuple[int, int]:
    """Decode a varint at `offset`; return its value and the offset behind it.

    Raises ValueError when it is cut short, longer than nine bytes or not minimal (a trailing zero byte).
    """
    value = 0
    for index in range(VARINT_MAX_BYTES):
        position = offset + index
        if position >= len(data):
            raise ValueError("varint is cut short")
        byte = data[position]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if byte == 0 and index > 0:
                raise ValueError("varint is not minimal")
            return value, position + 1
    raise ValueError("varint is longer than nine bytes")


def encode_base58(data: bytes) -> str:
    """Encode bytes as base58btc, without a multibase prefix."""
    number = int.from_bytes(data, "big")
    digits: list[str] = []
    while number:
        number, remainder = divmod(number, 58)
        digits.append(BASE58_ALPHABET[remainder])
    leading_zeros = len(data) - len(data.lstrip(b"\0"))
    return BASE58_ALPHABET[0] * leading_zeros + "".join(reversed(digits))


def decode_base58(text: str) -> bytes:
    """Decode base58btc. Quadratic in the length of the text: bound it first. Raises ValueError."""
    number = 0
    for character in text:
        value = _BASE58_VALUES.get(character)
        if value is None:
            raise ValueError("not a base58 text")
        number = number * 58 + value
    leading_zeros = len(text) - len(text.lstrip(BASE58_ALPHABET[0]))
    return bytes(leading_zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def encode_base32(data: bytes) -> str:
    """Encode bytes as RFC 4648 base32 in lower case without padding, without a multibase prefix."""
    return base64.b32encode(data).decode("ascii").lower().rstrip("=")


def decode_base32(text: str) -> bytes:
    """Decode lower-case, unpadded base32. Raises ValueError, also when unused trailing bits are set."""
    if not _BASE32_ALPHABET.issuperset(text):
        raise ValueError("not a base32 text")
    data = base64.b32decode(text.upper() + "=" * (-len(text) % 8))  # raises binascii.Error, a ValueError
    if encode_base32(data) != text:
        raise ValueError("base32 text has stray trailing bits")
    return data
