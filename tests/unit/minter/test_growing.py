"""Further trees and lookup tables: when they are made, what the log says of them, and what a table is held to."""

import asyncio
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum.programs import SYSTEM
from bubblegum.transaction import ExecutedInstruction, ExecutedTransaction, nest
from chassis.log import RetryLater
from contracts.collection import CollectionTableCreated, CollectionTreeAdded, Standard
from contracts.mint import Attempt, FailureCode
from services.minter.growing import NEVER, Growth, TreeMaker, executed, table_tx, tree_tx
from services.minter.lander import Lander, OnChain, Transaction
from services.minter.landing import Commitment, SignatureState
from services.minter.packing import Rooms
from services.minter.ports import Chain, ChainUnavailable, ConfirmedTransaction, FinalizedHead
from services.minter.refusals import Refusal
from services.minter.signer import Signer
from services.minter.trees import CollectionTrees
from tests.support import samples
from tests.support.memory_log import MemoryLog
from tests.support.packing import created, key, room

SIGNER = Signer(Keypair.from_seed(bytes(32)))
CREATED = created(Standard.V2)
ID, ASSET = CREATED.collection, Pubkey.from_string(CREATED.collection_address)
CAUSE = samples.event(samples.PINNED)
REFUSAL = Refusal(FailureCode.PROGRAM_REFUSED, "No.", "Ask again.")
CAPACITY = 8
MOST_TREES = 16


@dataclass
class Ledger:
    """Lands whatever it is given, and shows it as it ran."""

    refuses: frozenset[int] = frozenset()
    shows: Sequence[Pubkey] | None = None
    """Addresses that every table holds; None: those that it was asked to."""
    hidden: bool = False
    down: bool = False
    landed: list[tuple[int, Sequence[Instruction]]] = field(default_factory=list[tuple[int, Sequence[Instruction]]])

    async def land(self, transaction: Transaction) -> OnChain | Refusal:
        number = int(transaction.label.rsplit(".", 1)[1])
        if number in self.refuses:
            return REFUSAL
        self.landed.append((number, await transaction.instructions(SIGNER.pubkey)))
        await asyncio.sleep(0)
        attempt = Attempt(number=1, signature=samples.SIGNATURE, blockhash=samples.BLOCKHASH, last_valid_block_height=1)
        return OnChain(attempt, SignatureState(7, Commitment.CONFIRMED))

    async def minimum_rent(self, size: int) -> int:
        return size

    async def finalized_head(self) -> FinalizedHead:
        return FinalizedHead(5, 5)

    async def transaction(self, signature: str) -> ConfirmedTransaction | None:
        if self.down:
            raise ChainUnavailable("down")
        if self.hidden:
            return None
        calls = tuple(
            nest(ExecutedInstruction(each.program_id, tuple(one.pubkey for one in each.accounts), bytes(each.data)), [])
            for each in self.landed[-1][1]
        )
        return ConfirmedTransaction(ExecutedTransaction(signature, 7, None, calls), 5_000)

    async def accounts(self, addresses: Sequence[str]) -> Sequence[bytes | None]:
        data = bytes(self.landed[-1][1][1].data)
        asked = [Pubkey.from_bytes(data[start : start + 32]) for start in range(12, len(data), 32)]
        held = asked if self.shows is None else list(self.shows)
        # The account's layout: state, deactivation slot, last extended slot, its start index, authority, padding.
        meta = struct.pack("<IQQBB", 1, 2**64 - 1, 5, 0, 1) + bytes(SIGNER.pubkey) + bytes(2)
        return [meta + b"".join(bytes(each) for each in held)]


def maker(ledger: Ledger, log: MemoryLog, *, tables: bool = True) -> TreeMaker:
    return TreeMaker(log, cast("Chain", ledger), cast("Lander", ledger), SIGNER, lookup_tables=tables)


# One tree, one table -------------------------------------------------------------------------------------------------


async def test_the_first_tree_is_told_by_created_and_every_further_one_by_itself() -> None:
    log, ledger = MemoryLog(), Ledger()
    making = maker(ledger, log)
    for number in (0, 1, 2):
        assert isinstance(await making.make_tree(CAUSE, ID, number, Standard.V2, CREATED.tree), OnChain)
    assert [number for number, _ in ledger.landed] == [tree_tx(0), tree_tx(1), tree_tx(2)]
    added = log.facts(CollectionTreeAdded)
    assert [fact.number for fact in added] == [1, 2]
    assert len({fact.tree_address for fact in added} | {str(making.tree_address(ID, 0))}) == 3
    assert await making.has_tree(ID, 2)
    assert not await making.has_tree(ID, 3)


async def test_a_refused_tree_is_told_by_nobody() -> None:
    log = MemoryLog()
    making = maker(Ledger(frozenset({tree_tx(1)})), log)
    assert await making.make_tree(CAUSE, ID, 1, Standard.V2, CREATED.tree) == REFUSAL
    assert log.facts() == []


async def test_a_table_is_told_with_what_it_holds() -> None:
    log, ledger = MemoryLog(), Ledger()
    await maker(ledger, log).make_table(CAUSE, ID, 1, Standard.V2, ASSET)
    (told,) = log.facts(CollectionTableCreated)
    ((number, work),) = ledger.landed
    assert number == table_tx(1)
    assert told.table_address == str(work[0].accounts[0].pubkey)
    assert str(ASSET) in told.addresses
    assert str(SIGNER.pubkey) not in told.addresses, "who signs must stand in the transaction itself"


@pytest.mark.parametrize(
    "ledger",
    [
        Ledger(shows=[SYSTEM]),
        Ledger(shows=[]),
        Ledger(hidden=True),
        Ledger(down=True),
    ],
    ids=["other addresses", "none", "not shown yet", "no node"],
)
async def test_a_table_is_not_used_before_a_node_shows_just_what_was_asked_for(ledger: Ledger) -> None:
    log = MemoryLog()
    with pytest.raises(RetryLater):
        await maker(ledger, log).make_table(CAUSE, ID, 0, Standard.V2, ASSET)
    assert log.facts() == []


async def test_without_tables_nothing_is_made() -> None:
    log, ledger = MemoryLog(), Ledger()
    await maker(ledger, log, tables=False).make_table(CAUSE, ID, 0, Standard.V2, ASSET)
    await maker(Ledger(frozenset({table_tx(0)})), log).make_table(CAUSE, ID, 0, Standard.V2, ASSET)
    assert ledger.landed == []
    assert log.facts() == []


async def test_what_landed_is_asked_for_again_until_it_is_shown() -> None:
    ledger = Ledger(hidden=True)
    landed = await ledger.land(cast("Transaction", Labelled("c.1")))
    assert isinstance(landed, OnChain)
    with pytest.raises(RetryLater):
        await executed(cast("Chain", ledger), landed)
    ledger.hidden = False
    assert (await executed(cast("Chain", ledger), landed)).fee == 5_000


@dataclass
class Labelled:
    """A transaction that does nothing."""

    label: str

    async def instructions(self, payer: Pubkey) -> Sequence[Instruction]:
        return []


# Growth --------------------------------------------------------------------------------------------------------------


@dataclass
class Shown:
    """The trees of the collection as the log tells of them, each with so many leaves minted."""

    log: MemoryLog
    minted: list[int]
    forgotten: int = 0

    async def rooms(self, collection: object) -> Rooms:
        trees = [
            room(Standard.V2, number, minted=minted, capacity=CAPACITY) for number, minted in enumerate(self.minted)
        ]
        trees += [
            room(Standard.V2, len(trees) + number, capacity=CAPACITY)
            for number, _ in enumerate(self.log.facts(CollectionTreeAdded))
        ]
        return Rooms(trees)

    def forget(self, collection: object) -> None:
        self.forgotten += 1


@dataclass
class World:
    """A collection whose tree has `minted` leaves of CAPACITY."""

    minted: int
    at: float = 0.9
    ledger: Ledger = field(default_factory=Ledger)
    log: MemoryLog = field(default_factory=MemoryLog)

    def __post_init__(self) -> None:
        self.shown = Shown(self.log, [self.minted])
        making = maker(self.ledger, self.log)
        self.growth = Growth(making, cast("CollectionTrees", self.shown), self.at)

    async def rooms(self) -> Rooms:
        return await self.shown.rooms(None)

    async def make_room(self, leaves: int) -> Rooms:
        return await self.growth.make_room(CAUSE, CREATED, leaves)

    @property
    def added(self) -> int:
        return len(self.log.facts(CollectionTreeAdded))


@pytest.mark.parametrize(("minted", "at", "due"), [(7, 0.9, False), (8, 0.9, True), (4, 0.5, True), (8, NEVER, False)])
async def test_a_further_tree_is_due_when_so_much_is_in_use(minted: int, at: float, due: bool) -> None:
    world = World(minted, at)
    assert world.growth.due(await world.rooms()) == due


async def test_room_is_made_until_there_is_enough() -> None:
    world = World(minted=6)
    assert (await world.make_room(2)).free == 2
    assert world.added == 0
    assert (await world.make_room(20)).free == 2 + 3 * CAPACITY
    assert world.added == world.shown.forgotten == 3


async def test_no_room_is_made_when_growth_is_turned_off() -> None:
    world = World(minted=8, at=NEVER)
    assert (await world.make_room(5)).free == 0
    assert world.ledger.landed == []


async def test_a_refused_tree_ends_the_making_and_its_table_comes_first() -> None:
    world = World(minted=8, ledger=Ledger(frozenset({tree_tx(1)})))
    assert (await world.make_room(5)).free == 0
    assert [number for number, _ in world.ledger.landed] == [table_tx(1)]


async def test_no_collection_gets_more_trees_than_the_contract_admits() -> None:
    world = World(minted=8)
    rooms: Any = await world.make_room(100 * CAPACITY)
    assert len(rooms.trees) == MOST_TREES
    assert not world.growth.possible(rooms)


async def test_two_chunks_that_want_the_same_tree_make_it_once() -> None:
    world = World(minted=8)
    rooms = await world.rooms()
    assert await asyncio.gather(*(world.growth.grow(CAUSE, CREATED, rooms) for _ in range(3))) == [True] * 3
    assert world.added == 1
    assert [number for number, _ in world.ledger.landed] == [table_tx(1), tree_tx(1)]


def test_the_sample_collection_is_the_wallets() -> None:
    assert CREATED.creator_address == str(SIGNER.pubkey)
    assert key(10) == Pubkey.from_string(CREATED.tree_address)
