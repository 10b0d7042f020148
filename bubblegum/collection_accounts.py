"""The accounts of collections that assets are minted into, read: MPL-Core's, and token metadata's.

Used by the minter before it takes over a collection that was made elsewhere. Layouts: the account definitions of the
programs' public clients. Whose account it is (its owner program) is not in its data: the caller has to know that.
"""

from dataclasses import dataclass
from typing import Final

from solders.pubkey import Pubkey

from bubblegum.borsh import Reader
from bubblegum.errors import DecodeError
from bubblegum.types import Collection, Creator, Uses

CORE_COLLECTION_KEY: Final = 5
_PLUGIN_HEADER_KEY: Final = 3
_PLUGIN_REGISTRY_KEY: Final = 4
_METADATA_KEY: Final = 4
PLUGIN_ROYALTIES: Final = 0
PLUGIN_BUBBLEGUM_V2: Final = 15
_AUTHORITY_ADDRESS: Final = 3
_MAX_PLUGINS: Final = 64
"""More than MPL-Core has types of plugins."""


@dataclass(frozen=True, slots=True)
class CoreCollection:
    """An MPL-Core collection account. `basis_points` are those of its Royalties plugin, 0 without one."""

    update_authority: Pubkey
    name: str
    uri: str
    plugins: frozenset[int]
    basis_points: int

    @classmethod
    def parse(cls, data: bytes) -> "CoreCollection":
        """Read the account's data; DecodeError when it is not a collection."""
        source = Reader(data)
        if source.u8() != CORE_COLLECTION_KEY:
            raise DecodeError("not an MPL-Core collection")
        authority, name, uri = source.pubkey(), source.string(), source.string()
        source.raw(8)  # num_minted, current_size
        plugins = _plugins(data, source) if source.remaining else {}
        royalties = plugins.get(PLUGIN_ROYALTIES)
        return cls(authority, name, uri, frozenset(plugins), 0 if royalties is None else _basis_points(data, royalties))

    @property
    def takes_compressed(self) -> bool:
        """Whether Bubblegum V2 may add leaves to it."""
        return PLUGIN_BUBBLEGUM_V2 in self.plugins


def _plugins(data: bytes, source: Reader) -> dict[int, int]:
    """Return the offset of every plugin by its type."""
    if source.u8() != _PLUGIN_HEADER_KEY:
        raise DecodeError("something else than plugins follows the collection")
    registry = Reader(data, source.u64())
    if registry.u8() != _PLUGIN_REGISTRY_KEY:
        raise DecodeError("no plugin registry where the header says that it is")
    count = registry.u32()
    if count > _MAX_PLUGINS:
        raise DecodeError(f"{count} plugins")
    found: dict[int, int] = {}
    for _ in range(count):
        kind = registry.u8()
        if registry.u8() == _AUTHORITY_ADDRESS:
            registry.pubkey()
        found[kind] = registry.u64()
    registry.u32()  # external plugins, which say nothing that is asked for
    return found


def _basis_points(data: bytes, offset: int) -> int:
    source = Reader(data, offset)
    if source.u8() != PLUGIN_ROYALTIES:
        raise DecodeError("no royalties where the registry says that they are")
    return source.u16()


@dataclass(frozen=True, slots=True)
class MetadataAccount:
    """Token metadata's account of a mint. `is_sized`: it has the details without which nothing is minted into it."""

    update_authority: Pubkey
    mint: Pubkey
    name: str
    symbol: str
    uri: str
    seller_fee_basis_points: int
    is_sized: bool

    @classmethod
    def parse(cls, data: bytes) -> "MetadataAccount":
        """Read the account's data; DecodeError when it is not a mint's metadata."""
        source = Reader(data)
        if source.u8() != _METADATA_KEY:
            raise DecodeError("not a token metadata account")
        authority, mint = source.pubkey(), source.pubkey()
        # The program fills its texts up with NULs to their longest.
        name, symbol, uri = (source.string().rstrip("\0") for _ in range(3))
        basis_points = source.u16()
        source.option(lambda: source.vector(lambda: Creator.read(source)))
        source.boolean()  # primary sale happened
        source.boolean()  # is mutable
        source.option(source.u8)  # edition nonce
        source.option(source.u8)  # token standard
        source.option(lambda: Collection.read(source))
        source.option(lambda: Uses.read(source))
        return cls(authority, mint, name, symbol, uri, basis_points, source.option(source.u8) is not None)
