"""The metadata that a mint instruction carries, V1 and V2, with its Borsh layout and the program's limits.

Used by the encoders, the hashes, the decoder, and by the services to refuse a request before it costs a fee. Field
order is the wire order of the program's public interface. Limits are those of token metadata, which Bubblegum shares;
lengths are in bytes of UTF-8, not characters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeVar

from solders.pubkey import Pubkey

from bubblegum.borsh import Reader, Writer
from bubblegum.errors import DecodeError, MetadataError

MAX_NAME_BYTES: Final = 32
MAX_SYMBOL_BYTES: Final = 10
MAX_URI_BYTES: Final = 200
MAX_CREATORS: Final = 5
MAX_BASIS_POINTS: Final = 10_000
"""100 % in basis points."""
INHERIT_BASIS_POINTS: Final = 0xFFFF
"""V2 with a core collection only: the royalty is the collection's. The client's SELLER_FEE_BASIS_POINTS_INHERIT."""


class TokenStandard(IntEnum):
    """Token metadata's kind of token. Bubblegum mints NON_FUNGIBLE only."""

    NON_FUNGIBLE = 0
    FUNGIBLE_ASSET = 1
    FUNGIBLE = 2
    NON_FUNGIBLE_EDITION = 3


class TokenProgramVersion(IntEnum):
    """Which token program a decompressed V1 asset would use."""

    ORIGINAL = 0
    TOKEN_2022 = 1


class UseMethod(IntEnum):
    """How the uses of an asset are counted down."""

    BURN = 0
    MULTIPLE = 1
    SINGLE = 2


class AssetDataSchema(IntEnum):
    """How the asset data of a V2 leaf is to be read."""

    BINARY = 0
    JSON = 1
    MSG_PACK = 2


EnumT = TypeVar("EnumT", bound=IntEnum)


def read_enum(kind: type[EnumT], value: int) -> EnumT:
    """The member of `kind` with this number; DecodeError when there is none."""
    try:
        return kind(value)
    except ValueError as error:
        # A number that the interface does not know: the bytes are not what they were said to be.
        raise DecodeError(f"{value} is no {kind.__name__}") from error


@dataclass(frozen=True, slots=True)
class Creator:
    """One creator; `share` in per cent of the royalty, `verified` only if the creator signed the mint."""

    address: Pubkey
    verified: bool
    share: int

    def write(self, out: Writer) -> None:
        """Append the 34 bytes of this creator."""
        out.pubkey(self.address).boolean(self.verified).u8(self.share)

    @classmethod
    def read(cls, source: Reader) -> "Creator":
        """Take a creator from `source`; DecodeError when it is not one."""
        return cls(source.pubkey(), source.boolean(), source.u8())


@dataclass(frozen=True, slots=True)
class Collection:
    """V1's reference to a token-metadata collection, by its mint."""

    verified: bool
    key: Pubkey

    def write(self, out: Writer) -> None:
        """Append the 33 bytes of this reference."""
        out.boolean(self.verified).pubkey(self.key)

    @classmethod
    def read(cls, source: Reader) -> "Collection":
        """Take a reference from `source`; DecodeError when it is not one."""
        return cls(source.boolean(), source.pubkey())


@dataclass(frozen=True, slots=True)
class Uses:
    """V1's count of uses."""

    use_method: UseMethod
    remaining: int
    total: int

    def write(self, out: Writer) -> None:
        """Append the 17 bytes of this count."""
        out.u8(self.use_method).u64(self.remaining).u64(self.total)

    @classmethod
    def read(cls, source: Reader) -> "Uses":
        """Take a count from `source`; DecodeError when it is not one."""
        return cls(read_enum(UseMethod, source.u8()), source.u64(), source.u64())


@dataclass(frozen=True, slots=True)
class MetadataArgs:
    """Metadata of a V1 leaf. Defaults are the official client's."""

    name: str
    symbol: str
    uri: str
    seller_fee_basis_points: int
    primary_sale_happened: bool = False
    is_mutable: bool = True
    edition_nonce: int | None = None
    token_standard: TokenStandard | None = TokenStandard.NON_FUNGIBLE
    collection: Collection | None = None
    uses: Uses | None = None
    token_program_version: TokenProgramVersion = TokenProgramVersion.ORIGINAL
    creators: tuple[Creator, ...] = ()

    def validate(self) -> None:
        """Raise MetadataError, naming the field, if the program would refuse this metadata."""
        _validate_common(self.name, self.symbol, self.uri, self.creators)
        _validate_basis_points(self.seller_fee_basis_points)

    def to_bytes(self) -> bytes:
        """The Borsh bytes, as hashed and as sent."""
        out = Writer()
        out.string(self.name).string(self.symbol).string(self.uri).u16(self.seller_fee_basis_points)
        out.boolean(self.primary_sale_happened).boolean(self.is_mutable)
        out.option(self.edition_nonce, out.u8).option(self.token_standard, out.u8)
        out.option(self.collection, lambda value: value.write(out))
        out.option(self.uses, lambda value: value.write(out))
        out.u8(self.token_program_version)
        out.vector(self.creators, lambda creator: creator.write(out))
        return out.done()

    @classmethod
    def read(cls, source: Reader) -> "MetadataArgs":
        """Take V1 metadata from `source`; DecodeError when it is not there."""
        return cls(
            name=source.string(),
            symbol=source.string(),
            uri=source.string(),
            seller_fee_basis_points=source.u16(),
            primary_sale_happened=source.boolean(),
            is_mutable=source.boolean(),
            edition_nonce=source.option(source.u8),
            token_standard=source.option(lambda: read_enum(TokenStandard, source.u8())),
            collection=source.option(lambda: Collection.read(source)),
            uses=source.option(lambda: Uses.read(source)),
            token_program_version=read_enum(TokenProgramVersion, source.u8()),
            creators=source.vector(lambda: Creator.read(source)),
        )


@dataclass(frozen=True, slots=True)
class MetadataArgsV2:
    """Metadata of a V2 leaf; `collection` is an MPL-Core collection. Defaults are the official client's."""

    name: str
    symbol: str
    uri: str
    seller_fee_basis_points: int
    primary_sale_happened: bool = False
    is_mutable: bool = True
    token_standard: TokenStandard | None = TokenStandard.NON_FUNGIBLE
    creators: tuple[Creator, ...] = ()
    collection: Pubkey | None = None

    def validate(self) -> None:
        """Raise MetadataError, naming the field, if the program would refuse this metadata."""
        _validate_common(self.name, self.symbol, self.uri, self.creators)
        inherits = self.seller_fee_basis_points == INHERIT_BASIS_POINTS and self.collection is not None
        if not inherits:
            _validate_basis_points(self.seller_fee_basis_points)

    def to_bytes(self) -> bytes:
        """The Borsh bytes, as hashed and as sent."""
        out = Writer()
        out.string(self.name).string(self.symbol).string(self.uri).u16(self.seller_fee_basis_points)
        out.boolean(self.primary_sale_happened).boolean(self.is_mutable)
        out.option(self.token_standard, out.u8)
        out.vector(self.creators, lambda creator: creator.write(out))
        out.option(self.collection, out.pubkey)
        return out.done()

    @classmethod
    def read(cls, source: Reader) -> "MetadataArgsV2":
        """Take V2 metadata from `source`; DecodeError when it is not there."""
        return cls(
            name=source.string(),
            symbol=source.string(),
            uri=source.string(),
            seller_fee_basis_points=source.u16(),
            primary_sale_happened=source.boolean(),
            is_mutable=source.boolean(),
            token_standard=source.option(lambda: read_enum(TokenStandard, source.u8())),
            creators=source.vector(lambda: Creator.read(source)),
            collection=source.option(source.pubkey),
        )


def _validate_common(name: str, symbol: str, uri: str, creators: Sequence[Creator]) -> None:
    for field, value, limit in (
        ("name", name, MAX_NAME_BYTES),
        ("symbol", symbol, MAX_SYMBOL_BYTES),
        ("uri", uri, MAX_URI_BYTES),
    ):
        size = len(value.encode())
        if size > limit:
            raise MetadataError(field, f"{size} bytes of UTF-8, the limit is {limit}")
    if len(creators) > MAX_CREATORS:
        raise MetadataError("creators", f"{len(creators)} of them, the limit is {MAX_CREATORS}")
    if len({creator.address for creator in creators}) != len(creators):
        raise MetadataError("creators", "an address occurs twice")
    if any(not 0 <= creator.share <= 100 for creator in creators):
        raise MetadataError("creators", "a share is not between 0 and 100")
    total = sum(creator.share for creator in creators)
    if creators and total != 100:
        raise MetadataError("creators", f"shares add up to {total}, not 100")


def _validate_basis_points(value: int) -> None:
    if not 0 <= value <= MAX_BASIS_POINTS:
        raise MetadataError("seller_fee_basis_points", f"{value} is not between 0 and {MAX_BASIS_POINTS}")
