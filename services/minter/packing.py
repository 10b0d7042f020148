"""Packing: which of a chunk's items share a transaction, and which tree each transaction mints into. Pure.

Greedy and in order: as many mints as fit into 1232 bytes, measured by compiling the message that will be signed, then
the next transaction. Bytes bind; the compute limit never does (44,000 to 81,000 units a mint on the deployed programs).
Called once a chunk: what it returns is put on the log (`planning.py`) and never computed again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from solders.hash import Hash
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from bubblegum.reach import MAX_TRANSACTION_BYTES
from contracts.collection import CollectionCreated
from contracts.mint import Pinned, PlannedTransaction
from services.minter.plan import (
    COMPUTE_MARGIN,
    COMPUTE_RESERVE,
    MAX_COMPUTE_UNITS,
    LookupTable,
    compose,
    metadata_fault,
    mint_instructions,
    reference,
    wire_size,
)
from services.minter.ports import RecentBlockhash

UNITS_PER_MINT: Final = 85_000
"""Compute units of one mint that packing reckons with: a little more than the most that was measured."""
MAX_MINTS: Final = MAX_COMPUTE_UNITS // int(UNITS_PER_MINT * COMPUTE_MARGIN + COMPUTE_RESERVE)
"""Most mints of one transaction by the compute limit."""
LAST_LEAVES: Final = 64
"""A tree with no more free leaves than these is filled one leaf a transaction: work on its way to it, from here or from
another minter, may take them first, and then only the item that comes too late fails."""
MAX_ON_THEIR_WAY: Final = 1024
"""Most leaves of a tree that are held back as planned and not yet minted: what failed is not held for ever."""

_ANY_BLOCKHASH: Final = RecentBlockhash(Hash.default(), 0)
_ANY_MARK: Final = reference("")


@dataclass(slots=True)
class TreeRoom:
    """One tree of a collection, and its room by what is known now. Changed by packing, which takes leaves from it."""

    number: int
    address: str
    table: LookupTable | None
    capacity: int
    minted: int
    """Leaves that the chain showed at the last look."""
    minted_at_first: int
    """Leaves that the chain showed at the first look."""
    planned: int = 0
    """Leaves that were planned here since the first look."""
    given: int = 0
    """Transactions that it was given since the last look."""

    @property
    def free(self) -> int:
        """Leaves that are neither minted nor planned here and on their way."""
        on_their_way = self.planned - (self.minted - self.minted_at_first)
        return max(0, self.capacity - self.minted - min(max(0, on_their_way), MAX_ON_THEIR_WAY))

    def look(self, minted: int) -> None:
        """Take in what the chain shows now."""
        self.minted, self.given = minted, 0


@dataclass(slots=True)
class Rooms:
    """The trees of one collection. `choose` hands them out in turn, weighted by their room."""

    trees: Sequence[TreeRoom]
    _by_address: Mapping[str, TreeRoom] = field(init=False)

    def __post_init__(self) -> None:
        if not self.trees:
            raise ValueError("a collection without a tree")
        self._by_address = {tree.address: tree for tree in self.trees}

    @property
    def free(self) -> int:
        """Leaves left in all trees together."""
        return sum(tree.free for tree in self.trees)

    @property
    def filled(self) -> float:
        """The part of all leaves that is minted or planned, 0 to 1."""
        return 1 - self.free / sum(tree.capacity for tree in self.trees)

    def table(self, tree: str) -> LookupTable | None:
        """Return the lookup table of the tree at this address; None when it has none."""
        found = self._by_address.get(tree)
        return found.table if found else None

    def choose(self) -> TreeRoom:
        """Return the tree for the next transaction: D'Hondt's method, so that turns are shared as the room is.

        When all are full it is the newest one, where the mint is refused with the reason.
        """
        return max(self.trees, key=lambda tree: (tree.free / (tree.given + 1), tree.number if tree.free <= 0 else 0))

    def take(self, tree: TreeRoom, leaves: int) -> None:
        """Note that a transaction with so many mints was planned into `tree`."""
        tree.planned += leaves
        tree.given += 1


def pack(
    collection: CollectionCreated,
    pinned: Pinned,
    rooms: Rooms,
    wallet: Pubkey,
    *,
    apart: frozenset[int] = frozenset(),
    payer: Pubkey | None = None,
) -> tuple[PlannedTransaction, ...]:
    """Return the chunk's transactions: every item in exactly one, in order; takes their leaves from `rooms`.

    With `payer`, room is left for that fee payer or another beside the wallet: a signature and an address. Items in
    `apart` and items whose metadata the program would refuse get a transaction each, so that they fail alone.
    """
    return tuple(_pack(collection, pinned, rooms, wallet, apart, payer or wallet))


def _pack(
    collection: CollectionCreated,
    pinned: Pinned,
    rooms: Rooms,
    wallet: Pubkey,
    apart: frozenset[int],
    payer: Pubkey,
) -> Iterator[PlannedTransaction]:
    lonely = apart | {item.index for item in pinned.items if metadata_fault(collection, item, wallet) is not None}
    start, tx, guess = 0, 0, 1
    while start < len(pinned.items):
        tree = rooms.choose()
        alone = tree.free <= LAST_LEAVES or pinned.items[start].index in lonely
        count = 1 if alone else _fitting(collection, pinned, start, tree, wallet, payer, lonely, guess)
        guess = 1 if alone else count
        items = pinned.items[start : start + count]
        yield PlannedTransaction(
            tx=tx,
            tree=tree.address,
            items=tuple(item.index for item in items),
            lookup_table=str(tree.table.address) if tree.table else None,
            doubtful=alone,
        )
        rooms.take(tree, count)
        start, tx = start + count, tx + 1


def _fitting(
    collection: CollectionCreated,
    pinned: Pinned,
    start: int,
    tree: TreeRoom,
    wallet: Pubkey,
    payer: Pubkey,
    lonely: frozenset[int],
    guess: int,
) -> int:
    """Return how many items from `start` on one transaction takes; at least one. `guess` is where to begin looking."""
    most = min(MAX_MINTS, tree.free, len(pinned.items) - start)
    most = next((n for n in range(1, most) if pinned.items[start + n].index in lonely), most)
    work: list[Instruction] = []

    def fits(count: int) -> bool:
        items = pinned.items[start + len(work) : start + count]
        work.extend(mint_instructions(collection, pinned.recipient, items, wallet, tree.address, payer))
        return transaction_bytes(work[:count], tree.table, payer) <= MAX_TRANSACTION_BYTES

    count = max(1, min(guess, most))
    while count > 1 and not fits(count):
        count -= 1
    if count >= guess or count == 1:
        while count < most and fits(count + 1):
            count += 1
    return count


def transaction_bytes(work: Sequence[Instruction], table: LookupTable | None, payer: Pubkey) -> int:
    """Return the bytes on the wire of the transaction that does `work`, with room for a priority fee.

    The fee is counted whether one is paid or not: a later attempt may need one, and the plan stands for ever.
    """
    message = compose(
        work,
        payer,
        _ANY_BLOCKHASH,
        mark=_ANY_MARK,
        compute_units=MAX_COMPUTE_UNITS,
        micro_lamports=1,
        tables=(table,) if table else (),
    )
    return wire_size(message)
