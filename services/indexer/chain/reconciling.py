"""Compares what log, tables, trees and DAS say of each collection, and says `collection.drift` when that has changed.

One task beside the projectors: after an operation has ended, when a caller asks for a count, and on a slow schedule.
The order of the questions makes the comparison exact while minting goes on: the finalized accounts first, then every
transaction of their trees, then the tables, of which only what was confirmed up to the accounts' slot counts. What
differs is explained in `differences`; correcting is the minter's part (a transaction that a fork dropped) or a
person's.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final
from uuid import UUID

from bubblegum.errors import DecodeError
from bubblegum.merkle import ConcurrentMerkleTree, RootBuilder
from chassis import metrics
from chassis.clock import Clock
from chassis.log import EventLog, SequenceConflict
from chassis.telemetry import get_logger
from contracts.collection import CollectionCounted, CollectionCreated
from contracts.observation import MAX_EXAMPLES, CollectionDrift, DriftKind
from contracts.registry import UndecodableMessage
from services.indexer.chain.assets import ObservedTree
from services.indexer.chain.differences import Found, OnChain, Shown, Told, drift, same
from services.indexer.chain.parts import Parts
from services.indexer.chain.proofs import holds
from services.indexer.chain.reading import Followed
from services.indexer.ports import Accounts, ChainUnavailable, CreatedCollection, StoreUnavailable
from services.indexer.rounds import Partly, Rounds
from services.indexer.slots import is_older
from services.indexer.trees import config_address, count_tree

PAGE: Final = 10_000
"""Leaves and assets read from the tables at once."""
MAX_COMPARED: Final = 200_000
"""Most living assets whose ids are compared with DAS's one by one: they are held in memory."""
LARGE_TREE: Final = 50_000
LARGE_TREE_SECONDS: Final = 3600.0
"""Trees with more leaves than that have their root recomputed at most so often: it is a hash a leaf."""
PROOFS: Final = 3
"""Proofs that are checked at each comparison."""
PROJECTION_TRIES: Final = 50
PROJECTION_PAUSE: Final = 0.2
"""How often, and after how many seconds, the tables are looked at until they show what was observed."""
REST: Final = 4.0
"""Rounds rest so many times as long as they took: the larger the collections, the rarer the comparisons."""
FINALITY: Final = 500
"""Slots after which a slot that a node has confirmed is final at every node that is well: three minutes."""
BATCH: Final = 3
"""Collections read from the tables at once."""
_NO_ID: Final = UUID(int=0)

_log = get_logger(__name__)


class Reconciler:
    """Compares every created collection. `interval` is in seconds; `pause` is the least time between two rounds."""

    def __init__(
        self, log: EventLog, parts: Parts, clock: Clock, *, interval: float = 300.0, pause: float = 5.0
    ) -> None:
        self._log = log
        self._parts = parts
        self._clock = clock
        self._rounds = Rounds(
            self.reconcile, clock, interval=interval, pause=pause, rest=REST, name="compare collections"
        )
        self._verified: dict[str, tuple[int, float]] = {}
        """By tree: the change up to which its root was recomputed and found to be the chain's, and when."""
        self._standing: dict[UUID, dict[DriftKind, int]] = {}
        """By collection: the differences that the log tells last."""

    def wake(self, collections: Iterable[UUID]) -> None:
        """Something was minted into these collections, or a caller wants them compared."""
        self._rounds.wake(collections)

    async def run(self) -> None:
        """Compare until cancelled."""
        try:
            await self._rounds.run()
        finally:
            # Whoever leads next tells it: what this process said last would stand beside that for as long as it lives.
            self._standing.clear()
            self._tell()

    async def reconcile(self, among: frozenset[UUID] | None) -> None:
        """Compare these collections, or all when None, and say what has changed.

        Raises Partly, LogUnavailable and StoreUnavailable.
        """
        after, failed = _NO_ID, dict[UUID, ChainUnavailable | StoreUnavailable]()
        while found := await self._parts.collections.created_collections(after, BATCH, among):
            after = found[-1].id
            for collection in found:
                try:
                    await self._say(await self.compare(collection))
                except (ChainUnavailable, StoreUnavailable) as error:
                    # Retry, by the caller, after the others: one tree that cannot be read keeps nobody waiting.
                    failed[collection.id] = error
        if failed:
            raise Partly(failed, next(iter(failed.values())))

    async def compare(self, collection: CreatedCollection) -> CollectionDrift:
        """Return what a collection's comparison comes to now."""
        parts = self._parts
        trees = [tree for tree in collection.trees if config_address(tree) is not None]
        addresses = [address for tree in trees for address in (config_address(tree) or "", tree)]
        accounts = await parts.accounts.accounts(addresses, "finalized", min_slot=await self._least_slot(collection.id))
        parsed = {tree: _parsed(accounts, tree) for tree in trees}
        changes = {tree: account.sequence_number if account else 0 for tree, account in parsed.items()}
        followed = [await parts.follower.catch_up(collection.id, tree, changes[tree]) for tree in trees]
        observed = {each.tree: await self._projected(each) for each in followed if each.seq}
        seen = {each.tree: each.seq for each in followed}
        behind = {tree: range(seen[tree] + 1, changes[tree] + 1) for tree in trees if seen[tree] < changes[tree]}
        holes = [f"{each.tree}: {hole.start} to {hole.stop - 1}" for each in followed for hole in _holes(each, behind)]
        unreadable = [tree for tree in trees if parsed[tree] is None]
        holes += [f"{tree}: its account" for tree in unreadable]
        counts = [
            count_tree(collection.standard, accounts.by_address.get(config_address(tree) or ""), None).minted or 0
            for tree in trees
        ]
        wrong = {tree for tree in trees if not await self._root_holds(tree, parsed[tree], observed.get(tree))}
        wrong |= await self._contradicted(observed)
        chain = OnChain(
            accounts.slot,
            sum(counts),
            unseen=sum(map(len, behind.values())),
            wrong_roots=tuple(sorted(wrong)[:MAX_EXAMPLES]),
            holes=tuple(holes[:MAX_EXAMPLES]),
        )
        # What is missing of a tree is in the slot of its last observed change or in a later one. Of a tree without an
        # account nobody told how many changes there are: a node that does not have it proves nothing.
        missing = (*behind, *unreadable)
        unseen_after = {tree: observed[tree].slot - 1 if tree in observed else -1 for tree in missing}
        told = await parts.comparisons.told(collection.id, accounts.slot, unseen_after)
        return drift(collection.id, chain, told, await self._shown(collection, accounts.slot, told))

    async def _least_slot(self, collection: UUID) -> int:
        """Return a slot that every node has finalized by now: one that has not is not asked."""
        try:
            counted = await self._log.last(CollectionCounted, collection=collection)
        except UndecodableMessage:  # stop: told where the next count is compared with it
            return 0
        return 0 if counted is None else max(0, counted.data.slot - FINALITY)

    async def _projected(self, followed: Followed) -> ObservedTree:
        """Wait until the tables show what was observed."""
        for _ in range(PROJECTION_TRIES):
            found = await self._parts.comparisons.observed_tree(followed.tree)
            if found is not None and found.seq >= followed.seq:
                return found
            await self._clock.sleep(PROJECTION_PAUSE)
        raise StoreUnavailable(f"the tables do not show change {followed.seq} of tree {followed.tree} yet")

    async def _contradicted(self, observed: Mapping[str, ObservedTree]) -> set[str]:
        """Trees that one of several nodes tells another root of, at the very change up to which they were observed."""
        contradicted: set[str] = set()
        for witness in self._parts.witnesses if observed else ():
            try:
                accounts = await witness.accounts(list(observed), "finalized")
            except ChainUnavailable:
                continue  # a node that does not answer contradicts nobody
            for tree, known in observed.items():
                account = _parsed(accounts, tree)
                if account is not None and account.root_at(known.seq) not in (None, known.root):
                    contradicted.add(tree)
        return contradicted

    async def _root_holds(self, tree: str, account: ConcurrentMerkleTree | None, known: ObservedTree | None) -> bool:
        """Whether the observed leaves give the root that account compression told, and the account, where it has it."""
        if account is None or known is None or self._verified_lately(tree, known.seq, account.num_leaves):
            return True
        on_chain = account.root_at(known.seq)
        if on_chain is not None and on_chain != known.root:
            return False
        builder, after = RootBuilder(account.max_depth), -1
        while page := await self._parts.comparisons.leaf_hashes(tree, after, PAGE):
            if page[-1][0] != after + len(page):
                return False  # a leaf that was never observed
            after = page[-1][0]
            # A million leaves are seconds of hashing: not in the event loop.
            await asyncio.to_thread(builder.extend, [leaf for _, leaf in page])
        now = await self._parts.comparisons.observed_tree(tree)
        if now is None or now.seq != known.seq:
            return True  # the tree has moved on meanwhile; the next comparison sees it whole
        if builder.root() != known.root:
            return False
        self._verified[tree] = (known.seq, self._clock.monotonic())
        return True

    def _verified_lately(self, tree: str, seq: int, leaves: int) -> bool:
        """Whether the root was found right at this change; of a large tree, a while ago at any change."""
        verified_seq, at = self._verified.get(tree, (0, 0.0))
        if not verified_seq:
            return False
        return verified_seq == seq or (leaves > LARGE_TREE and self._clock.monotonic() - at < LARGE_TREE_SECONDS)

    async def _shown(self, collection: CreatedCollection, slot: int, told: Told) -> Shown | None:
        if told.living > MAX_COMPARED:
            return None
        parts, trees = self._parts, frozenset(collection.trees)
        try:
            shown = await parts.providers.shown(collection.collection_address, trees, collection.capacity)
        except ChainUnavailable as error:
            # Go on without: DAS may be another provider, and the chain's numbers do not depend on it.
            _log.warning("cannot compare with DAS", collection=str(collection.id), reason=str(error))
            return None
        living = await self._living(collection)
        first = shown[0]
        others = frozenset[str]().union(*(each.ids ^ first.ids for each in shown[1:]))
        return Shown(
            total=len(first.ids),
            absent=_some(living.keys() - first.ids),
            surplus=_some(first.ids - living.keys()),
            differing=_some(others),
            refused_proofs=await self._refused_proofs(living),
            slots_behind=None if first.slot is None else max(0, slot - first.slot),
        )

    async def _living(self, collection: CreatedCollection) -> dict[str, tuple[str, bytes]]:
        living: dict[str, tuple[str, bytes]] = {}
        after = ""
        read = self._parts.comparisons.living_assets
        while page := await read(collection.id, collection.collection_address, after, PAGE):
            after = page[-1][0]
            living |= {asset_id: (tree, leaf) for asset_id, tree, leaf in page}
        return living

    async def _refused_proofs(self, living: dict[str, tuple[str, bytes]]) -> Found:
        refused: list[str] = []
        for asset_id in list(living)[-PROOFS:]:
            tree, leaf = living[asset_id]
            try:
                proof = await self._parts.providers.proof(asset_id)
            except ChainUnavailable:
                continue  # no proof is no wrong proof; that DAS lacks the asset shows in the ids
            # Asked for after the proof, so that its root is among the account's unless DAS made it up or is far behind.
            accounts = await self._parts.accounts.accounts([tree], "confirmed")
            account = _parsed(accounts, tree)
            if account is not None and not holds(proof, account, leaf):
                refused.append(asset_id)
        return Found(len(refused), tuple(refused))

    async def _say(self, fact: CollectionDrift) -> None:
        try:
            last = await self._log.last(CollectionDrift, collection=fact.collection)
            cause = await self._log.last(CollectionCreated, collection=fact.collection)
        except UndecodableMessage as error:  # stop: nothing can be compared with it; an operator has to look
            _log.error("a comparison on the log cannot be read", collection=str(fact.collection), reason=str(error))
            return
        for each in fact.differences:
            if each.alarm:
                _log.error(
                    "collection drifts", collection=str(fact.collection), kind=each.kind.value, count=each.count,
                    examples=each.examples,
                )  # fmt: skip
        if last is not None and (same(fact, last.data) or is_older(fact.slot, last.data.slot)):
            self._measure(last.data)
            return
        try:
            expected = last.sequence if last else 0
            await self._log.publish(fact, cause=cause.event if cause else None, expected_sequence=expected)
        except SequenceConflict:  # stop: another comparison has just been said
            return
        self._measure(fact)

    def _measure(self, standing: CollectionDrift) -> None:
        self._standing[standing.collection] = {each.kind: each.count for each in standing.differences}
        self._tell()

    def _tell(self) -> None:
        for kind in DriftKind:
            metrics.DRIFT.set(sum(each.get(kind, 0) for each in self._standing.values()), kind=kind)


def _some(ids: Iterable[str]) -> Found:
    ordered = sorted(ids)
    return Found(len(ordered), tuple(ordered[:MAX_EXAMPLES]))


def _holes(followed: Followed, behind: Mapping[str, range]) -> Iterable[range]:
    """What is missing of a tree: what its later changes show, or all that its account counts."""
    return followed.missing or ([behind[followed.tree]] if followed.tree in behind else [])


def _parsed(accounts: Accounts, tree: str) -> ConcurrentMerkleTree | None:
    account = accounts.by_address.get(tree)
    if account is None:
        return None
    try:
        return ConcurrentMerkleTree.parse(account.data)
    except DecodeError:  # stop: the count says that the collection has no valid tree
        return None
