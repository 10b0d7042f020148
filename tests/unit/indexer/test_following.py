"""Trees are followed without holes, from wherever the log says, in whatever order a node tells."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bubblegum.instructions import BubblegumInstruction
from bubblegum.leaf import LeafSchemaV2
from bubblegum.programs import BUBBLEGUM
from bubblegum.transaction import ExecutedTransaction
from chassis.clock import ManualClock
from chassis.log import LogUnavailable
from contracts.observation import MAX_OBSERVED, LeafFate
from services.indexer.chain import listing, reading
from services.indexer.chain.following import TreeFollower
from services.indexer.chain.listing import Landed
from services.indexer.ports import ChainUnavailable
from services.indexer.preference import REST_SECONDS
from tests.support.leaves import ModelTree, key, metadata_v1, metadata_v2, transaction
from tests.support.memory_log import MemoryLog
from tests.support.memory_tables import MemoryTables
from tests.support.tree_histories import CATS, MemoryHistory, expected_leaves, observed, project, with_collection

TREE, OWNER, BUYER = key(2), key(3), key(6)
ADDRESS = str(TREE)


class World:
    def __init__(self, version: int = 1) -> None:
        self.model = ModelTree(TREE, version)
        self.history = MemoryHistory()
        self.others: list[MemoryHistory] = []
        self.log, self.tables = MemoryLog(), MemoryTables()
        self.metadata = metadata_v1() if version == 1 else metadata_v2()

    def follower(self) -> TreeFollower:
        """A new process: it knows what the log says and nothing else."""
        return TreeFollower(self.log, [self.history, *self.others], self.tables, ManualClock())

    def mint(self, count: int) -> None:
        for _ in range(count):
            self.history.ran(self.model.mint(OWNER, self.metadata))

    async def agrees(self) -> None:
        """What was said follows without holes, and the tables hold the model's leaves."""
        after = 0
        for fact in observed(self.log):
            assert fact.after == after
            after = fact.sequence
        assert after == self.model.seq
        await project(self.log, self.tables)
        assert not self.tables.parked
        assert {row.leaf_index: row.leaf_hash for row in self.tables.assets.values()} == expected_leaves(self.model)
        assert self.tables.observed_trees[ADDRESS].root == self.model.tree.root
        assert self.tables.observed_trees[ADDRESS].seq == self.model.seq


@pytest.mark.parametrize("version", [1, 2])
async def test_a_tree_from_its_making(version: int) -> None:
    world = World(version)
    await with_collection(world.log, world.tables, ADDRESS)
    model = world.model
    world.history.ran(model.create())
    world.mint(3)
    world.history.ran(model.mint(OWNER, world.metadata), err="failed")
    model.leaves.pop(3)
    model.tree.truncate(3)
    model.seq -= 1
    world.history.ran(model.transfer(0, BUYER), model.burn(2))
    followed = await world.follower().catch_up(CATS, ADDRESS)
    assert (followed.seq, followed.missing) == (5, ())
    await world.agrees()
    first, _, burned = sorted(world.tables.assets.values(), key=lambda row: row.leaf_index)
    assert (first.owner, first.fate, first.minted_slot) == (str(BUYER), LeafFate.LIVING, 101)
    assert (burned.owner, burned.fate) == (str(OWNER), LeafFate.BURNED)
    # Nothing new is asked for twice, by this process or the next.
    assert {tx.signature for tx in world.history.transactions if tx.err}.isdisjoint(world.history.asked)
    asked = len(world.history.asked)
    await world.follower().catch_up(CATS, ADDRESS)
    assert len(world.history.asked) == asked
    world.mint(1)
    await world.follower().catch_up(CATS, ADDRESS)
    assert len(world.history.asked) == asked + 1
    await world.agrees()


async def test_what_is_said_of_a_leaf() -> None:
    world = World(2)
    await with_collection(world.log, world.tables, ADDRESS)
    model, collection = world.model, key(4)
    other = ModelTree(key(70), 2)
    world.history.ran(
        other.mint(OWNER, world.metadata), model.mint(OWNER, metadata_v2(collection=collection), collection)
    )
    schema = model.leaves[0]
    assert isinstance(schema, LeafSchemaV2)
    frozen = replace(schema, delegate=BUYER, flags=0b110)
    world.history.ran(model.other(BubblegumInstruction.FREEZE_V2, *model.rewrite(0, frozen)))
    await world.follower().catch_up(CATS, ADDRESS)
    await world.agrees()
    (row,) = world.tables.assets.values()
    assert (row.owner, row.delegate, row.frozen, row.transferable) == (str(OWNER), str(BUYER), True, False)
    assert row.collection_address == str(collection)
    out = model.other(BubblegumInstruction.SET_COLLECTION_V2, *model.rewrite(0, replace(frozen, flags=0b001)))
    world.history.ran(replace(out, accounts=(*[key(9)] * 8, BUBBLEGUM)))
    await world.follower().catch_up(CATS, ADDRESS)
    await world.agrees()
    (row,) = world.tables.assets.values()
    assert (row.frozen, row.transferable, row.collection_address) == (True, True, None)


async def test_pages_and_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 7)
    monkeypatch.setattr(reading, "BATCH", 5)
    world = World()
    await with_collection(world.log, world.tables, ADDRESS)
    world.mint(30)
    await world.follower().catch_up(CATS, ADDRESS)
    assert len(observed(world.log)) > 3
    await world.agrees()
    assert sorted(world.history.asked) == sorted(tx.signature for tx in world.history.transactions)


async def test_a_crash_at_any_message_is_gone_on_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 7)
    monkeypatch.setattr(reading, "BATCH", 3)
    world = World()
    await with_collection(world.log, world.tables, ADDRESS)
    world.mint(20)
    for attempt in range(100):
        # Every life may say one message, or is refused one transaction.
        world.history.refuse = attempt % 2
        world.log.fail_publishes = [LogUnavailable("killed")] if attempt % 3 == 0 else []
        try:
            followed = await world.follower().catch_up(CATS, ADDRESS)
        except (ChainUnavailable, LogUnavailable):
            continue
        if followed.seq == world.model.seq:
            break
    world.history.refuse, world.log.fail_publishes = 0, []
    await world.follower().catch_up(CATS, ADDRESS)
    await world.agrees()


async def test_one_message_is_bounded_and_nothing_is_skipped_behind_it() -> None:
    world = World()
    world.model = ModelTree(TREE, depth=10, buffer_size=32)
    await with_collection(world.log, world.tables, ADDRESS)
    mints = [world.model.mint(OWNER, world.metadata) for _ in range(MAX_OBSERVED + 50)]
    world.history.ran(*mints[:300])
    world.history.ran(*mints[300:])
    log = world.log
    publish, said = log.publish, 0

    async def once(*given: object, **named: object) -> int:
        nonlocal said
        said += 1
        if said == 2:
            raise LogUnavailable("killed between two messages of one batch")
        return await publish(*given, **named)  # type: ignore[arg-type] # passed on as it came

    log.publish = once  # type: ignore[method-assign] # this process dies after its first message
    with pytest.raises(LogUnavailable):
        await world.follower().catch_up(CATS, ADDRESS)
    assert [len(fact.leaves) for fact in observed(log)] == [MAX_OBSERVED]
    await world.follower().catch_up(CATS, ADDRESS)
    await world.agrees()


async def test_transactions_of_a_slot_in_any_order() -> None:
    world = World()
    await with_collection(world.log, world.tables, ADDRESS)
    world.mint(12)
    random.Random(7).shuffle(world.history.transactions)
    followed = await world.follower().catch_up(CATS, ADDRESS)
    assert followed.missing == ()
    await world.agrees()


async def test_a_hole_is_named_and_closed_when_the_node_shows_it() -> None:
    world = World()
    await with_collection(world.log, world.tables, ADDRESS)
    world.mint(10)
    lost = world.history.transactions[3].signature
    for where in (world.history.hidden, world.history.unreadable):
        where.add(lost)
        followed = await world.follower().catch_up(CATS, ADDRESS)
        assert (followed.seq, followed.missing) == (3, (range(4, 5),))
        where.clear()
    world.mint(1)
    followed = await world.follower().catch_up(CATS, ADDRESS)
    assert (followed.seq, followed.missing) == (11, ())
    await world.agrees()


async def test_two_followers_say_everything_once() -> None:
    world = World()
    await with_collection(world.log, world.tables, ADDRESS)
    world.mint(4)
    one, other = world.follower(), world.follower()
    publish = world.log.publish

    async def late(*given: object, **named: object) -> int:
        world.log.publish = publish  # type: ignore[method-assign] # only the first one is late
        await other.catch_up(CATS, ADDRESS)
        return await publish(*given, **named)  # type: ignore[arg-type] # passed on as it came

    world.log.publish = late  # type: ignore[method-assign] # the other one speaks just before
    await one.catch_up(CATS, ADDRESS)
    await world.agrees()


async def test_an_instruction_that_nobody_knows_moves_the_tree_all_the_same() -> None:
    world = World()
    await with_collection(world.log, world.tables, ADDRESS)
    world.mint(2)
    schema = world.model.leaves[1]
    unknown = world.model.other(BubblegumInstruction.VERIFY_CREATOR, *world.model.rewrite(1, schema))
    world.history.ran(type(unknown)(unknown.program_id, unknown.accounts, bytes(8), unknown.inner))
    await world.follower().catch_up(CATS, ADDRESS)
    await world.agrees()
    row = next(row for row in world.tables.assets.values() if row.leaf_index == 1)
    assert (row.fate, row.owner) == (LeafFate.UNKNOWN, str(OWNER))


async def test_running_looks_by_itself_and_sooner_when_it_hears() -> None:
    world, clock = World(), ManualClock()
    await with_collection(world.log, world.tables, ADDRESS)
    follower = TreeFollower(world.log, [world.history], world.tables, clock, interval=100)

    async def seen(changes: int, within: float) -> bool:
        """Whether so many changes are on the log before `within` seconds of the clock have passed."""
        end = clock.monotonic() + within
        while sum(len(fact.leaves) for fact in observed(world.log)) < changes and clock.monotonic() < end:
            await clock.advance(1)
        return sum(len(fact.leaves) for fact in observed(world.log)) == changes

    world.mint(1)
    running = asyncio.create_task(follower.run())
    assert await seen(1, within=5)
    world.mint(1)
    assert not await seen(2, within=50)
    follower.wake([ADDRESS, "a tree that nobody knows"])
    assert await seen(2, within=10)
    world.mint(1)
    assert await seen(3, within=110)  # the ear was silent
    world.mint(1)
    world.history.refuse = 1
    follower.wake([ADDRESS])
    assert await seen(4, within=210)  # refused once, looked for again
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await world.agrees()


async def test_more_than_can_wait_behind_a_hole_is_left_for_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bubblegum.sequence.MAX_WAITING", 5)
    world = World()
    await with_collection(world.log, world.tables, ADDRESS)
    world.mint(30)
    world.history.hidden.add(world.history.transactions[2].signature)
    followed = await world.follower().catch_up(CATS, ADDRESS)
    assert followed.missing == (range(3, 4),)
    assert len(world.history.asked) < 20
    world.history.hidden.clear()
    assert (await world.follower().catch_up(CATS, ADDRESS)).seq == 30
    await world.agrees()


async def test_a_tree_with_a_hole_is_read_ever_more_rarely() -> None:
    world, clock = World(), ManualClock()
    await with_collection(world.log, world.tables, ADDRESS)
    world.mint(3)
    world.history.hidden.add(world.history.transactions[1].signature)
    running = asyncio.create_task(TreeFollower(world.log, [world.history], world.tables, clock, interval=10).run())
    for _ in range(200):
        await clock.advance(5)
    assert 4 < len(world.history.asked) < 30  # of a hundred looks
    world.history.hidden.clear()
    for _ in range(800):
        await clock.advance(5)
    assert sum(len(fact.leaves) for fact in observed(world.log)) == 3
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await world.agrees()


@pytest.mark.parametrize("first", [0, 6, 7, 8, 14])
@pytest.mark.parametrize("then", [1, 6, 7, 8, 14, 15])
async def test_edges_of_pages(monkeypatch: pytest.MonkeyPatch, first: int, then: int) -> None:
    monkeypatch.setattr(listing, "PAGE", 7)
    world = World()
    await with_collection(world.log, world.tables, ADDRESS)
    for count in (first, then):
        world.mint(count)
        assert (await world.follower().catch_up(CATS, ADDRESS)).shows(world.model.seq)
    await world.agrees()
    assert sorted(world.history.asked) == sorted(tx.signature for tx in world.history.transactions)


async def test_a_slot_that_is_listed_in_another_order_than_it_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE", 3)
    world = World()
    await with_collection(world.log, world.tables, ADDRESS)
    world.mint(9)
    ran = world.history.transactions
    in_one_slot = [replace(tx, slot=200) for tx in ran]
    world.history.transactions = in_one_slot[::-1]
    assert (await world.follower().catch_up(CATS, ADDRESS)).shows(9)
    await world.agrees()


async def test_what_one_node_has_forgotten_the_next_one_tells() -> None:
    world = World()
    await with_collection(world.log, world.tables, ADDRESS)
    world.mint(10)
    whole = MemoryHistory(list(world.history.transactions))
    del world.history.transactions[:4]
    assert (await world.follower().catch_up(CATS, ADDRESS)).missing == (range(1, 5),)
    assert observed(world.log) == [], "nothing is said behind a hole"
    world.others = [MemoryHistory(), MemoryHistory(list(whole.transactions), refuse=100), whole]
    assert (await world.follower().catch_up(CATS, ADDRESS)).shows(10)
    await world.agrees()


async def test_a_node_that_does_not_answer_is_asked_last_for_a_while() -> None:
    world, clock = World(), ManualClock()
    await with_collection(world.log, world.tables, ADDRESS)
    world.mint(3)
    broken, whole = MemoryHistory(world.history.transactions, refuse=1), MemoryHistory(world.history.transactions)
    follower = TreeFollower(world.log, [broken, whole], world.tables, clock)
    for _ in range(3):
        assert (await follower.catch_up(CATS, ADDRESS)).shows(3)
    assert broken.listed == 1
    await clock.advance(REST_SECONDS)
    await follower.catch_up(CATS, ADDRESS)
    assert broken.listed == 2
    broken.refuse = whole.refuse = 100
    world.mint(1)
    with pytest.raises(ChainUnavailable, match="injected; injected"):
        await follower.catch_up(CATS, ADDRESS)


async def test_fewer_changes_than_the_account_counts_are_asked_of_the_next_node() -> None:
    world = World()
    await with_collection(world.log, world.tables, ADDRESS)
    world.mint(4)
    world.others = [MemoryHistory(list(world.history.transactions))]
    world.history.hidden.add(world.history.transactions[3].signature)
    follower = world.follower()
    assert (await follower.catch_up(CATS, ADDRESS)).seq == 3
    assert (await follower.catch_up(CATS, ADDRESS, 4)).seq == 4
    assert (await follower.catch_up(CATS, ADDRESS, 5)).seq == 4, "what nobody has is not there"
    await world.agrees()


async def test_a_node_that_is_behind_is_noticed_and_not_read_from_the_beginning() -> None:
    world = World()
    await with_collection(world.log, world.tables, ADDRESS)
    world.mint(8)
    await world.follower().catch_up(CATS, ADDRESS)
    behind = MemoryHistory(world.history.transactions[:5])
    world.history = behind
    with pytest.raises(ChainUnavailable, match="minimum context slot"):
        await world.follower().catch_up(CATS, ADDRESS)
    # One that takes part in nothing but knows of newer blocks: it does not know what was read last.
    behind.transactions.append(transaction(slot=500))
    await world.follower().catch_up(CATS, ADDRESS)
    assert behind.asked == [behind.transactions[-1].signature]
    await world.agrees()


async def test_a_node_that_tells_two_slots_of_one_transaction_is_not_believed() -> None:
    """From the slot of the last change on nodes are asked: one that was made up would end all following."""
    world = World()
    world.mint(2)
    liar = MemoryHistory(list(world.history.transactions))
    true = liar.transaction

    async def far_ahead(signature: str) -> ExecutedTransaction:
        return replace(await true(signature), slot=1 << 60)

    liar.transaction = far_ahead  # type: ignore[method-assign] # a node's answer
    follower = TreeFollower(world.log, [liar], world.tables, ManualClock())
    with pytest.raises(ChainUnavailable, match="two different"):
        await follower.catch_up(CATS, ADDRESS)
    assert not observed(world.log)


async def test_a_node_that_lists_a_transaction_later_than_its_followers() -> None:
    """What was passed by is found again, although something newer was read already and is on the log."""
    world = World()
    await with_collection(world.log, world.tables, ADDRESS)
    world.mint(3)
    late = world.history.transactions[2].signature
    world.history.ran(err="failed")
    world.history.hidden.add(late)
    await world.follower().catch_up(CATS, ADDRESS)
    assert observed(world.log)[-1].signature == world.history.transactions[-1].signature
    world.history.hidden.clear()
    world.mint(20)
    follower, asked = world.follower(), len(world.history.asked)
    assert (await follower.catch_up(CATS, ADDRESS)).shows(23)
    # What is new, what was passed by, and the transaction of the last change that was said, in whose slot it could be.
    assert len(world.history.asked) == asked + 20 + 2
    await follower.catch_up(CATS, ADDRESS)
    assert len(world.history.asked) == asked + 20 + 2
    await world.agrees()


@pytest.mark.parametrize("shifted", [False, True])
async def test_a_node_that_loses_its_place_between_two_pages(monkeypatch: pytest.MonkeyPatch, shifted: bool) -> None:
    monkeypatch.setattr(listing, "PAGE", 4)
    world = World()
    await with_collection(world.log, world.tables, ADDRESS)
    world.mint(10)
    world.history.ran(err="failed")
    signatures, lost = world.history.signatures, world.history.transactions[7].signature

    async def forgetful(address: str, before: str | None, *rest: Any) -> Sequence[Landed]:
        if before != lost or not world.history.asked:
            return await signatures(address, before, *rest)
        return await signatures(address, world.history.transactions[6].signature, *rest) if shifted else []

    world.history.signatures = forgetful  # type: ignore[method-assign] # another node behind the same URL answers
    with pytest.raises(ChainUnavailable, match="another history"):
        await world.follower().catch_up(CATS, ADDRESS)
    world.history.signatures = signatures  # type: ignore[method-assign]
    assert (await world.follower().catch_up(CATS, ADDRESS)).shows(10)
    await world.agrees()


async def test_a_hole_that_too_much_lies_behind_is_closed_by_what_was_passed_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bubblegum.sequence.MAX_WAITING", 5)
    world = World()
    await with_collection(world.log, world.tables, ADDRESS)
    world.mint(2)
    world.history.ran(err="failed")
    world.history.hidden.add(world.history.transactions[1].signature)
    follower = world.follower()
    await follower.catch_up(CATS, ADDRESS)
    world.history.hidden.clear()
    world.mint(10)
    while not (followed := await follower.catch_up(CATS, ADDRESS)).shows(12):
        assert followed.seq > 1, "each look comes further"
    await world.agrees()
