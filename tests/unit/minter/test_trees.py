"""The trees of a collection: which by the log, how full by the chain, and when there has to be another."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast
from uuid import UUID

import pytest
from solders.pubkey import Pubkey

from bubblegum import pda
from bubblegum.merkle import TreeConfig
from chassis.clock import Clock as WallClock
from contracts.collection import (
    MAX_TREES,
    CollectionTableCreated,
    CollectionTreeAdded,
    Standard,
    TreeShape,
)
from contracts.fact import Event, Fact
from services.minter.growing import NEVER, Growth, TreeMaker, unmovable
from services.minter.lander import OnChain
from services.minter.landing import Commitment, SignatureState
from services.minter.packing import Rooms
from services.minter.ports import Chain, ChainUnavailable
from services.minter.refusals import TREE_FULL, Refusal
from services.minter.trees import CollectionTrees
from tests.support.memory_log import MemoryLog
from tests.support.packing import CAPACITY, WALLET, created, key, room, table
from tests.support.samples import COLLECTION, FIRST, REQUESTED, SIGNATURE, event

COLLECTION_ON_CHAIN = created(Standard.V2)


@dataclass
class Configs:
    """A chain of which only trees' configs are asked; `minted` by tree address."""

    minted: dict[str, int] = field(default_factory=dict[str, int])
    asked: int = 0
    down: bool = False

    async def accounts(self, addresses: Sequence[str]) -> Sequence[bytes | None]:
        self.asked += 1
        if self.down:
            raise ChainUnavailable("down")
        by_config = {str(pda.tree_config(Pubkey.from_string(tree))): count for tree, count in self.minted.items()}
        return [self._config(by_config[each]) if each in by_config else None for each in addresses]

    def _config(self, minted: int) -> bytes:
        return TreeConfig(WALLET, WALLET, CAPACITY, minted, False, True, 2).to_bytes()


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.at = 0.0

    def monotonic(self) -> float:
        return self.at


def added(number: int) -> CollectionTreeAdded:
    return CollectionTreeAdded(
        collection=COLLECTION,
        number=number,
        tree_address=str(key(10 + number)),
        tree=TreeShape(),
        signature=SIGNATURE,
        slot=1,
    )


def tabled(number: int) -> CollectionTableCreated:
    found = table(Standard.V2, number)
    return CollectionTableCreated(
        collection=COLLECTION,
        number=number,
        tree_address=str(key(10 + number)),
        table_address=str(found.address),
        addresses=tuple(str(each) for each in found.addresses),
        signature=SIGNATURE,
        slot=1,
    )


async def world(*facts: Fact) -> tuple[CollectionTrees, Configs, Clock, MemoryLog]:
    log, chain, clock = MemoryLog(), Configs({str(key(10)): 7, str(key(11)): 9}), Clock()
    for fact in facts:
        await log.publish(fact, cause=None)
    return CollectionTrees(log, cast("Chain", chain), cast("WallClock", clock)), chain, clock, log


async def test_trees_and_tables_are_those_of_the_log_and_counts_those_of_the_chain() -> None:
    trees, _, _, _ = await world(tabled(0), added(1), added(3))
    rooms = await trees.rooms(COLLECTION_ON_CHAIN)
    assert [(each.number, each.address, each.minted) for each in rooms.trees] == [
        (0, str(key(10)), 7),
        (1, str(key(11)), 9),
    ]
    assert rooms.table(str(key(10))) == table(Standard.V2, 0)
    assert rooms.table(str(key(11))) is None
    assert await trees.table(COLLECTION_ON_CHAIN, str(key(10))) == table(Standard.V2, 0)


async def test_a_look_is_shared_for_a_while_and_what_was_taken_stays_taken() -> None:
    trees, chain, clock, log = await world()
    rooms = await trees.rooms(COLLECTION_ON_CHAIN)
    rooms.take(rooms.trees[0], 5)
    assert (await trees.rooms(COLLECTION_ON_CHAIN)).free == CAPACITY - 12
    assert chain.asked == 1
    clock.at += 10
    chain.minted[str(key(10))] = 10
    assert (await trees.rooms(COLLECTION_ON_CHAIN)).free == CAPACITY - 12, "three landed, two are on their way"
    await log.publish(added(1), cause=None)
    assert len((await trees.rooms(COLLECTION_ON_CHAIN)).trees) == 1
    trees.forget(COLLECTION)
    assert len((await trees.rooms(COLLECTION_ON_CHAIN)).trees) == 2


async def test_a_tree_that_no_node_shows_yet_is_taken_to_be_empty() -> None:
    trees, chain, _, _ = await world()
    chain.minted = {}
    assert (await trees.rooms(COLLECTION_ON_CHAIN)).free == CAPACITY
    chain.down = True
    trees.forget(COLLECTION)
    with pytest.raises(ChainUnavailable):
        await trees.rooms(COLLECTION_ON_CHAIN)


@dataclass
class Making:
    """Makes every tree, and notes which; with a refusal none."""

    refusal: Refusal | None = None
    made: list[str] = field(default_factory=list[str])

    async def has_tree(self, collection: UUID, number: int) -> bool:
        return f"tree {number}" in self.made and self.refusal is None

    async def make_table(self, cause: Event[Fact], collection: UUID, number: int, *_: object) -> None:
        self.made.append(f"table {number}")

    async def make_tree(self, cause: Event[Fact], collection: UUID, number: int, *_: object) -> OnChain | Refusal:
        self.made.append(f"tree {number}")
        return self.refusal or OnChain(FIRST, SignatureState(1, Commitment.CONFIRMED))


def filled(*minted: int) -> Rooms:
    return Rooms([room(Standard.V2, number, minted=count) for number, count in enumerate(minted)])


@pytest.mark.parametrize(
    ("at", "minted", "due"),
    [
        (0.9, [int(CAPACITY * 0.89)], False),
        (0.9, [int(CAPACITY * 0.91)], True),
        (0.9, [CAPACITY, 0], False),
        (0.9, [CAPACITY, CAPACITY], True),
        (NEVER, [CAPACITY], False),
        (0.5, [CAPACITY] * MAX_TREES, False),
    ],
)
async def test_a_further_tree_is_due_when_so_much_is_filled(at: float, minted: list[int], due: bool) -> None:
    trees, _, _, _ = await world()
    assert Growth(cast("TreeMaker", Making()), trees, at).due(filled(*minted)) is due


async def test_growing_makes_the_next_tree_and_its_table_first() -> None:
    trees, _, _, _ = await world()
    making = Making()
    growth = Growth(cast("TreeMaker", making), trees, 0.9)
    chunks = [growth.grow(event(REQUESTED), COLLECTION_ON_CHAIN, filled(CAPACITY, CAPACITY)) for _ in range(3)]
    assert await asyncio.gather(*chunks) == [True, True, True]
    assert making.made == ["table 2", "tree 2"], "many see the need, one tree is made"
    making.refusal = TREE_FULL
    assert not await growth.grow(event(REQUESTED), COLLECTION_ON_CHAIN, filled(CAPACITY))
    assert making.made[2:] == ["table 1", "tree 1"], "a refusal is no error of the chunk that saw the need"


@pytest.mark.parametrize(("standard", "most"), [(Standard.V1, 20), (Standard.V2, 16)])
def test_a_tree_whose_leaves_could_never_be_moved_is_not_made(standard: Standard, most: int) -> None:
    assert unmovable(standard, TreeShape(max_depth=30, max_buffer_size=512, canopy_depth=30 - most)) is None
    refusal = unmovable(standard, TreeShape(max_depth=30, max_buffer_size=512, canopy_depth=30 - most - 1))
    assert refusal is not None
    assert refusal.code == "tree_unmovable"
    assert str(30 - most) in refusal.cure


def test_a_collection_has_no_room_without_a_tree() -> None:
    with pytest.raises(ValueError, match="without a tree"):
        Rooms([])
