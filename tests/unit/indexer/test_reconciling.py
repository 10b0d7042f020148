"""The order of the questions, and what of the answers is believed; on a tree and providers in memory."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import pytest

from bubblegum import pda
from bubblegum.borsh import Writer
from bubblegum.merkle import TreeConfig
from bubblegum.programs import BUBBLEGUM, SPL_ACCOUNT_COMPRESSION
from chassis import metrics
from chassis.clock import ManualClock, SystemClock
from contracts.observation import CollectionDrift, DriftKind
from services.indexer.adapters.das import ShownAssets
from services.indexer.chain.assets import ObservedTree
from services.indexer.chain.differences import Told
from services.indexer.chain.parts import Parts
from services.indexer.chain.proofs import AssetProof
from services.indexer.chain.reading import Followed
from services.indexer.chain.reconciling import FINALITY, LARGE_TREE_SECONDS, Reconciler
from services.indexer.ports import Account, Accounts, ChainUnavailable
from services.indexer.rounds import Partly
from tests.support.ending import end
from tests.support.indexing import counted, uid
from tests.support.leaves import ModelTree, key, metadata_v1
from tests.support.memory_log import MemoryLog
from tests.support.memory_tables import MemoryTables
from tests.support.tree_histories import CATS, with_collection

TREE = key(2)
ADDRESS = str(TREE)


def account_of(model: ModelTree) -> bytes:
    """The tree's account, of which the last root is all that is true."""
    out = Writer().u8(1).u8(0).u32(model.buffer_size).u32(model.depth).pubkey(pda.tree_config(TREE)).u64(1)
    out.boolean(False).raw(bytes(5)).u64(model.seq).u64(0).u64(1)
    for _ in range(model.buffer_size):
        out.raw(model.tree.root).raw(bytes(32 * model.depth)).u32(0).u32(0)
    return out.raw(bytes(32 * model.depth)).raw(bytes(32)).u32(len(model.tree)).u32(0).done()


@dataclass
class World:
    """Every part at once: the chain, the tables and DAS, as the model has them unless a test says otherwise."""

    model: ModelTree
    shown_ids: list[frozenset[str]] = field(default_factory=list[frozenset[str]])
    shown_slot: int | None = None
    chain: ModelTree | None = None
    """The tree of the accounts, when it is not the model."""
    no_account: bool = False
    """Whether the node has no account of the tree."""
    min_slot: int = 0
    """The latest slot that an answer had to be of."""
    moves_on: bool = False
    """Whether the tree is observed further while it is read."""
    leaves_read: int = 0
    looked: int = 0
    slot: int = 50
    refused: int = 0
    """How many requests for accounts fail."""
    wrong_proofs: bool = False
    das_fails: bool = False
    tables_behind: bool = False
    missing: tuple[range, ...] = ()
    unseen: int = 0
    """Changes that the account counts and no node shows."""
    unseen_after: Mapping[str, int] = field(default_factory=dict[str, int])
    """What the tables were told of them."""
    asked: list[str] = field(default_factory=list[str])

    def parts(self, collections: MemoryTables, witnesses: Sequence["Witness"] = ()) -> Parts:
        """This world in every place."""
        return Parts(
            accounts=self,
            follower=self,
            providers=self,
            comparisons=self,
            collections=collections,
            witnesses=witnesses,
        )

    def ids(self) -> list[str]:
        return [str(pda.asset_id(TREE, index)) for index in sorted(self.model.leaves)]

    async def accounts(self, addresses: Sequence[str], commitment: str, *, min_slot: int = 0) -> Accounts:
        self.asked.append(commitment)
        self.min_slot = max(self.min_slot, min_slot)
        if self.refused:
            self.refused -= 1
            raise ChainUnavailable("injected")
        minted = len(self.model.tree)
        config = TreeConfig(key(1), key(1), self.model.tree.capacity, minted, False, True, 1)
        found = {
            str(pda.tree_config(TREE)): Account(str(BUBBLEGUM), config.to_bytes()),
            ADDRESS: Account(str(SPL_ACCOUNT_COMPRESSION), account_of(self.chain or self.model)),
        }
        if self.no_account:
            del found[ADDRESS]
        return Accounts(self.slot, {address: found[address] for address in addresses if address in found})

    async def catch_up(self, collection: UUID, tree: str, up_to: int) -> Followed:
        self.asked.append(f"follow up to {up_to}")
        return Followed(collection, tree, self.model.seq - self.unseen, self.missing)

    async def observed_tree(self, tree: str) -> ObservedTree | None:
        if self.tables_behind:
            return None
        self.looked += 1
        later = 1 if self.moves_on and self.looked > 1 else 0
        return ObservedTree(tree, CATS, self.model.seq + later, self.model.tree.root, 50)

    async def leaf_hashes(self, tree: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        self.leaves_read += 1
        return list(enumerate(self.model.tree.leaves()))[after + 1 :][:limit]

    async def living_assets(
        self, collection: UUID, collection_address: str, after: str, limit: int
    ) -> list[tuple[str, str, bytes]]:
        leaves = [(name, ADDRESS, self.model.leaves[index].hash()) for index, name in enumerate(self.ids())]
        return sorted(each for each in leaves if each[0] > after)[:limit]

    async def told(self, collection: UUID, slot: int, unseen_after: Mapping[str, int]) -> Told:
        self.asked.append(f"tables up to {slot}")
        self.unseen_after = unseen_after
        count = len(self.model.leaves)
        return Told(log=count, projection=count, observed=len(self.model.tree), living=count)

    async def shown(self, collection_address: str, trees: frozenset[str], most: int) -> list[ShownAssets]:
        if self.das_fails:
            raise ChainUnavailable("injected")
        return [ShownAssets(ids, self.shown_slot) for ids in self.shown_ids or [frozenset(self.ids())]]

    async def proof(self, asset_id: str) -> AssetProof:
        index = self.ids().index(asset_id)
        proof = AssetProof(
            ADDRESS, self.model.tree.root, self.model.tree.leaf(index), tuple(self.model.tree.proof(index)), index
        )
        return replace(proof, root=bytes(31) + b"\1") if self.wrong_proofs else proof


@dataclass
class Witness:
    """Another node, which tells this tree, or none."""

    model: ModelTree | None

    async def accounts(self, addresses: Sequence[str], commitment: str, *, min_slot: int = 0) -> Accounts:
        if self.model is None:
            raise ChainUnavailable("injected")
        data = account_of(self.model)
        return Accounts(50, {each: Account(str(SPL_ACCOUNT_COMPRESSION), data) for each in addresses})


async def differences(
    world: World, log: MemoryLog | None = None, witnesses: Sequence[Witness] = ()
) -> dict[DriftKind, int]:
    """Compare, and return how many there are of each kind."""
    log, tables = log or MemoryLog(), MemoryTables()
    await with_collection(log, tables, ADDRESS)
    await Reconciler(log, world.parts(tables, witnesses), SystemClock()).reconcile(None)
    return {each.kind: each.count for each in log.facts(CollectionDrift)[-1].differences}


def minted(count: int, name: str = "N") -> ModelTree:
    model = ModelTree(TREE)
    for number in range(count):
        model.mint(key(3), metadata_v1(f"{name}{number}"))
    return model


@pytest.fixture
def world() -> World:
    return World(minted(4))


async def test_the_chain_is_asked_before_the_tables(world: World) -> None:
    assert await differences(world) == {}
    assert world.asked[:3] == ["finalized", "follow up to 4", "tables up to 50"]
    assert world.unseen_after == {}


async def test_das_that_shows_other_assets(world: World) -> None:
    ids = world.ids()
    world.shown_ids = [frozenset([*ids[1:], "another"])]
    assert await differences(world) == {DriftKind.DAS_BEHIND: 1, DriftKind.DAS_AHEAD: 1}
    world.shown_ids = [frozenset(ids), frozenset(ids[2:])]
    assert await differences(world) == {DriftKind.PROVIDERS_DIFFER: 2}


async def test_the_metric_is_what_the_log_tells_last(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, float] = {}

    def tell(value: float, kind: str) -> None:
        told[kind] = value

    monkeypatch.setattr(metrics.DRIFT, "set", tell)
    log, ids = MemoryLog(), world.ids()
    world.shown_ids = [frozenset(ids[2:])]
    assert await differences(world, log) == {DriftKind.DAS_BEHIND: 2}
    assert told == dict.fromkeys(DriftKind, 0) | {DriftKind.DAS_BEHIND: 2}
    told.clear()
    await differences(world, log)  # another process, to which nothing is new
    assert len(log.facts(CollectionDrift)) == 1
    assert told[DriftKind.DAS_BEHIND] == 2
    world.shown_ids = []
    assert await differences(world, log) == {}
    assert told == dict.fromkeys(DriftKind, 0)


async def test_who_no_longer_compares_tells_of_no_drift(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An indexer that lost the lead lives on: what it told would stand for ever, beside what the next leader tells."""
    told: dict[str, float] = {}
    compared = asyncio.Event()

    def tell(value: float, kind: str) -> None:
        told[kind] = value
        if value:
            compared.set()

    monkeypatch.setattr(metrics.DRIFT, "set", tell)
    world.shown_ids = [frozenset(world.ids()[2:])]
    log, tables = MemoryLog(), MemoryTables()
    await with_collection(log, tables, ADDRESS)
    comparing = asyncio.create_task(Reconciler(log, world.parts(tables), SystemClock()).run())
    await compared.wait()
    await end([comparing])
    assert told == dict.fromkeys(DriftKind, 0)


async def test_das_that_does_not_answer_is_no_difference(world: World) -> None:
    world.das_fails = True
    assert await differences(world) == {}


async def test_no_proof_is_believed_that_does_not_lead_to_the_root(world: World) -> None:
    world.wrong_proofs = True
    assert await differences(world) == {DriftKind.PROOF_REFUSED: 3}


async def test_missing_changes_are_told(world: World) -> None:
    world.missing = (range(5, 7),)
    log = MemoryLog()
    assert await differences(world, log) == {DriftKind.OBSERVATION_BEHIND: 1}
    (behind,) = log.facts(CollectionDrift)[-1].differences
    assert behind.examples == (f"{ADDRESS}: 5 to 6",)


async def test_what_no_node_shows_is_not_looked_for_among_the_confirmed(world: World) -> None:
    world.unseen = 2
    log = MemoryLog()
    assert await differences(world, log) == {DriftKind.OBSERVATION_BEHIND: 2}
    (behind,) = log.facts(CollectionDrift)[-1].differences
    assert (behind.alarm, behind.examples) == (False, (f"{ADDRESS}: 3 to 4",))
    assert world.unseen_after == {ADDRESS: 49}, "the last observed change was in slot 50"
    world.unseen = 4
    assert await differences(world) == {DriftKind.OBSERVATION_BEHIND: 4}
    assert world.unseen_after == {ADDRESS: -1}, "nothing is known of the tree"


async def test_a_node_without_the_trees_account_proves_nothing(world: World) -> None:
    world.no_account = True
    log = MemoryLog()
    assert await differences(world, log) == {DriftKind.OBSERVATION_BEHIND: 1}
    (behind,) = log.facts(CollectionDrift)[-1].differences
    assert (behind.alarm, behind.examples) == (False, (f"{ADDRESS}: its account",))
    assert world.unseen_after == {ADDRESS: 49}, "what was confirmed since the last observed change may be there"


async def test_a_node_that_stands_still_is_not_asked(world: World) -> None:
    """By a count from another node it is known how far the chain is."""
    log = MemoryLog()
    await log.publish(counted(CATS, 4, slot=2000), cause=None)
    await differences(world, log)
    assert world.min_slot == 2000 - FINALITY


async def test_a_comparison_at_a_slot_of_the_far_future_silences_nobody(world: World) -> None:
    log = MemoryLog()
    world.slot = 1 << 60
    await differences(world, log)
    world.slot, world.missing = 40, (range(5, 7),)
    assert await differences(world, log) == {DriftKind.OBSERVATION_BEHIND: 1}


async def test_a_node_that_tells_another_root_at_the_same_change_is_an_alarm(world: World) -> None:
    agreeing = [Witness(minted(4)), Witness(minted(3)), Witness(None)]  # one is behind, one does not answer
    assert await differences(world, witnesses=agreeing) == {}
    assert await differences(world, witnesses=[*agreeing, Witness(minted(4, "other"))]) == {DriftKind.ROOT_DIFFERS: 1}


async def test_another_leaf_than_the_chains_is_an_alarm(world: World) -> None:
    leaf_hashes = world.leaf_hashes

    async def forged(tree: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        return [(index, bytes(32) if index == 2 else leaf) for index, leaf in await leaf_hashes(tree, after, limit)]

    world.leaf_hashes = forged  # type: ignore[method-assign] # somebody wrote into the table
    assert await differences(world) == {DriftKind.ROOT_DIFFERS: 1}

    async def lost(tree: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        return [each for each in await leaf_hashes(tree, after, limit) if each[0] != 2]

    world.leaf_hashes = lost  # type: ignore[method-assign] # a row is gone
    assert await differences(world) == {DriftKind.ROOT_DIFFERS: 1}


async def test_a_comparison_of_an_older_slot_is_not_said(world: World) -> None:
    log = MemoryLog()
    await differences(world, log)
    world.slot, world.missing = 40, (range(5, 7),)
    assert await differences(world, log) == {}
    assert len(log.facts(CollectionDrift)) == 1


async def test_a_collection_that_cannot_be_read_keeps_nobody_waiting(world: World) -> None:
    log, tables = MemoryLog(), MemoryTables()
    for collection in (CATS, uid("dogs")):
        await with_collection(log, tables, ADDRESS, collection)
    world.refused = 1
    with pytest.raises(Partly) as partly:
        await Reconciler(log, world.parts(tables), SystemClock()).reconcile(None)
    (compared,) = log.facts(CollectionDrift)
    assert partly.value.collections == {CATS, uid("dogs")} - {compared.collection}


async def test_another_root_in_the_account_is_an_alarm_whatever_the_rows_give(world: World) -> None:
    world.chain = minted(4, "other")
    assert await differences(world) == {DriftKind.ROOT_DIFFERS: 1, DriftKind.PROOF_REFUSED: 3}


async def test_rows_that_change_while_they_are_read_are_no_alarm(world: World) -> None:
    world.moves_on = True
    leaf_hashes = world.leaf_hashes

    async def newer(tree: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        return [(index, bytes(32)) for index, _ in await leaf_hashes(tree, after, limit)]

    world.leaf_hashes = newer  # type: ignore[method-assign] # of a later change than the root's
    assert await differences(world) == {}


async def test_a_root_is_recomputed_when_something_has_changed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, tables = ManualClock(), MemoryTables()
    log = MemoryLog()
    await with_collection(log, tables, ADDRESS)
    reconciler = Reconciler(log, world.parts(tables), clock)

    async def recomputed() -> bool:
        before = world.leaves_read
        await reconciler.reconcile(None)
        return world.leaves_read > before

    def change() -> None:
        world.model.mint(key(3), metadata_v1("More"))

    assert await recomputed()
    assert not await recomputed(), "nothing has changed"
    change()
    assert await recomputed()
    monkeypatch.setattr("services.indexer.chain.reconciling.LARGE_TREE", 2)
    change()
    assert not await recomputed(), "a large tree was looked at a moment ago"
    await clock.advance(LARGE_TREE_SECONDS)
    assert await recomputed()


async def test_das_of_a_large_collection_is_not_compared(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.indexer.chain.reconciling.MAX_COMPARED", 3)
    log = MemoryLog()
    world.shown_ids = [frozenset()]
    assert await differences(world, log) == {}
    assert log.facts(CollectionDrift)[-1].das is None


async def test_how_far_das_is_behind_is_told(world: World) -> None:
    world.shown_slot, world.shown_ids = 30, [frozenset(world.ids()[1:])]
    log = MemoryLog()
    await differences(world, log)
    (behind,) = log.facts(CollectionDrift)[-1].differences
    assert behind.explanation.endswith("DAS is 20 slots behind.")


async def test_nothing_is_compared_with_tables_that_lag(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.indexer.chain.reconciling.PROJECTION_PAUSE", 0)
    world.tables_behind = True
    with pytest.raises(Partly, match="change 4"):
        await differences(world)
