"""`Cid`: a content identifier, parsed from text or bytes and written back. Used wherever a CID is more than a string.

Hostile input is the normal case: parsing bounds the length first, accepts one text per base and value, and raises
`CidError` for anything else. Not done here: fetching or checking that content exists.

Source: the CID specification of multiformats (version 0 is a bare sha2-256 multihash of a dag-pb node in base58btc;
version 1 is varint(version) varint(codec) multihash, with a multibase prefix in text).
"""

import hashlib
from dataclasses import dataclass
from enum import IntEnum

from unixfs.multibase import (
    decode_base32,
    decode_base58,
    decode_varint,
    encode_base32,
    encode_base58,
    encode_varint,
)

SHA2_256 = 0x12
"""The multihash code of sha2-256, the only hash that the importer makes and that a block is verified with."""

SHA2_256_BYTES = 32

MAX_TEXT_LENGTH = 256
"""Characters; far above any CID in use (59 for sha2-256 in base32), low enough that parsing costs nothing."""

_MIN_DIGEST_BYTES = 20
_MAX_DIGEST_BYTES = 64


class CidError(ValueError):
    """The text or the bytes are not a CID that this project accepts. Fatal: the same input fails again."""


class Codec(IntEnum):
    """Multicodec content types of the nodes that UnixFS files are made of."""

    RAW = 0x55
    DAG_PB = 0x70


@dataclass(frozen=True, slots=True)
class Cid:
    """A content identifier: version (0 or 1), multicodec, multihash code and digest.

    Equality is exact: a version 0 CID and the version 1 CID of the same node differ (see `as_v1`).
    """

    version: int
    codec: int
    hash_code: int
    digest: bytes

    def __post_init__(self) -> None:
        if self.version not in (0, 1):
            raise CidError(f"CID version {self.version} is unknown")
        if self.version == 0 and (self.codec != Codec.DAG_PB or self.hash_code != SHA2_256):
            raise CidError("a version 0 CID names a dag-pb node by sha2-256")
        if self.hash_code == SHA2_256 and len(self.digest) != SHA2_256_BYTES:
            raise CidError("a sha2-256 digest has 32 bytes")
        if not _MIN_DIGEST_BYTES <= len(self.digest) <= _MAX_DIGEST_BYTES:
            raise CidError("the digest's length is outside 20 to 64 bytes")

    @classmethod
    def of_block(cls, block: bytes, codec: Codec, version: int = 1) -> "Cid":
        """Return the sha2-256 CID of a block's bytes."""
        return cls(version, codec, SHA2_256, hashlib.sha256(block).digest())

    @classmethod
    def parse(cls, text: str) -> "Cid":
        """Parse base58btc version 0 (`Qm…`) or version 1 in base32 (`b…`) or base58btc (`z…`). Raises CidError."""
        if not 2 <= len(text) <= MAX_TEXT_LENGTH:
            raise CidError("a CID's text has 2 to 256 characters")
        try:
            if len(text) == 46 and text.startswith("Qm"):
                return cls.from_bytes(decode_base58(text))
            if text[0] == "b":
                cid = cls.from_bytes(decode_base32(text[1:]))
            elif text[0] == "z":
                cid = cls.from_bytes(decode_base58(text[1:]))
            else:
                raise CidError("a CID starts with Qm, b (base32) or z (base58btc)")
        except CidError:
            raise  # fatal, already named
        except ValueError as error:  # fatal: the text is not in the base that it claims
            raise CidError(str(error)) from error
        if cid.version == 0:
            raise CidError("a version 0 CID has no multibase prefix")
        return cid

    @classmethod
    def from_bytes(cls, data: bytes) -> "Cid":
        """Parse a binary CID that fills `data` to its last byte. Raises CidError."""
        if len(data) == 34 and data[:2] == bytes((SHA2_256, SHA2_256_BYTES)):
            return cls(0, Codec.DAG_PB, SHA2_256, data[2:])
        try:
            version, offset = decode_varint(data)
            codec, offset = decode_varint(data, offset)
            hash_code, offset = decode_varint(data, offset)
            length, offset = decode_varint(data, offset)
        except ValueError as error:  # fatal: these bytes will never be a CID
            raise CidError(str(error)) from error
        if version != 1:
            raise CidError(f"CID version {version} is unknown")
        if len(data) - offset != length:
            raise CidError("the digest's length is not the one that the multihash states")
        return cls(version, codec, hash_code, data[offset:])

    @property
    def multihash(self) -> bytes:
        """The binary multihash: varint(code) varint(length) digest. The same for both versions of one node."""
        return encode_varint(self.hash_code) + encode_varint(len(self.digest)) + self.digest

    @property
    def uri(self) -> str:
        """The `ipfs://` URI."""
        return f"ipfs://{self}"

    def as_v1(self) -> "Cid":
        """Return the version 1 CID of the same node."""
        return self if self.version == 1 else Cid(1, self.codec, self.hash_code, self.digest)

    def verifies(self, block: bytes) -> bool:
        """Tell whether `block` is what this CID names. A hash other than sha2-256 verifies nothing."""
        return self.hash_code == SHA2_256 and hashlib.sha256(block).digest() == self.digest

    def __bytes__(self) -> bytes:
        if self.version == 0:
            return self.multihash
        return encode_varint(self.version) + encode_varint(self.codec) + self.multihash

    def __str__(self) -> str:
        """Canonical text: base58btc for version 0, base32 with its `b` for version 1."""
        if self.version == 0:
            return encode_base58(bytes(self))
        return "b" + encode_base32(bytes(self))
