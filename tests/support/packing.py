"""A pinned chunk and the trees of its collection, for the tests of packing and planning."""

from collections.abc import Sequence
from uuid import UUID

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from contracts.collection import CollectionCreated, Standard, TreeShape
from contracts.mint import Pinned, PinnedItem
from services.minter.packing import Rooms, TreeRoom
from services.minter.plan import LookupTable, table_addresses
from tests.support.samples import COLLECTION, OPERATION

WALLET = Keypair.from_seed(bytes(32)).pubkey()
CAPACITY = TreeShape().capacity


def key(number: int) -> Pubkey:
    """An address that the number determines."""
    return Keypair.from_seed(bytes([number]) * 32).pubkey()


RECIPIENT, ASSET = key(1), key(2)


def created(standard: Standard, collection: UUID = COLLECTION) -> CollectionCreated:
    """A collection of WALLET on chain."""
    return CollectionCreated(
        collection=collection,
        name="Rivers",
        symbol="RVR",
        standard=standard,
        uri="ipfs://bafkreic",
        collection_address=str(ASSET),
        tree_address=str(key(10)),
        creator_address=str(WALLET),
        tree=TreeShape(),
        signatures=(),
        slot=1,
        fee=5_000,
    )


def item(index: int, name: str = "Item #1", uri_bytes: int = 35) -> PinnedItem:
    """An item with a URI of so many bytes."""
    return PinnedItem(index=index, name=name, symbol="RVR", uri="u" * uri_bytes, image_uri="ipfs://bafkreia")


def pinned(items: Sequence[PinnedItem]) -> Pinned:
    """A chunk."""
    return Pinned(operation=OPERATION, chunk=0, collection=COLLECTION, recipient=str(RECIPIENT), items=tuple(items))


def table(standard: Standard, number: int = 0) -> LookupTable:
    """The lookup table of tree `number`."""
    return LookupTable(key(100 + number), table_addresses(standard, ASSET, key(10 + number), WALLET))


def room(
    standard: Standard, number: int = 0, *, tabled: bool = True, minted: int = 0, capacity: int = CAPACITY
) -> TreeRoom:
    """A tree."""
    found = table(standard, number) if tabled else None
    return TreeRoom(number, str(key(10 + number)), found, capacity, minted=minted, minted_at_first=minted)


def rooms(standard: Standard, trees: int = 1, *, tabled: bool = True) -> Rooms:
    """Empty trees."""
    return Rooms([room(standard, number, tabled=tabled) for number in range(trees)])
