"""A tree's past as a node would tell it, in memory: the model's transactions behind `following.History`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from bubblegum.errors import DecodeError
from bubblegum.transaction import ExecutedInstruction, ExecutedTransaction
from chassis.log import RawMessage
from contracts.collection import TreeShape
from contracts.observation import CollectionObserved
from contracts.streams import COLLECTION
from services.indexer.chain.listing import Landed
from services.indexer.entries import plan
from services.indexer.ports import ChainUnavailable
from tests.support.indexing import collection_created, uid
from tests.support.leaves import ModelTree, transaction
from tests.support.memory_log import MemoryLog
from tests.support.memory_tables import MemoryTables

CATS = uid("cats")


@dataclass
class MemoryHistory:
    """One node's transactions from old to new.

    `hidden` are not listed, `unreadable` are no transaction, `refuse` fails so many calls. Like Agave, a node that does
    not know `before` tells nothing, and one that does not know `until` everything.
    """

    transactions: list[ExecutedTransaction] = field(default_factory=list[ExecutedTransaction])
    hidden: set[str] = field(default_factory=set[str])
    unreadable: set[str] = field(default_factory=set[str])
    refuse: int = 0
    asked: list[str] = field(default_factory=list[str])
    """The transactions that were asked for, in order."""
    listed: int = 0
    """How often the node was asked for signatures."""

    def ran(self, *instructions: ExecutedInstruction, err: object = None) -> ExecutedTransaction:
        """Append one transaction."""
        tx = transaction(*instructions, slot=100 + len(self.transactions), err=err)
        self.transactions.append(tx)
        return tx

    async def signatures(
        self, address: str, before: str | None, until: str | None, limit: int, min_slot: int
    ) -> Sequence[Landed]:
        """See `History.signatures`."""
        self.listed += 1
        if max((tx.slot for tx in self.transactions), default=0) < min_slot:
            raise ChainUnavailable("minimum context slot has not been reached")
        known = [tx.signature for tx in reversed(self.transactions)]
        start = 0 if before is None else known.index(before) + 1 if before in known else len(known)
        end = known.index(until) if until in known else len(known)
        newest_first = self.transactions[::-1][start:end]
        found = [tx for tx in newest_first if tx.signature not in self.hidden]
        return [Landed(tx.signature, tx.slot, tx.err is not None) for tx in found[:limit]]

    async def transaction(self, signature: str) -> ExecutedTransaction:
        """See `History.transaction`."""
        self.asked.append(signature)
        if self.refuse:
            self.refuse -= 1
            raise ChainUnavailable("injected")
        if signature in self.unreadable:
            raise DecodeError("injected")
        return next(tx for tx in self.transactions if tx.signature == signature)


async def with_collection(log: MemoryLog, tables: MemoryTables, tree: str, collection: UUID = CATS) -> None:
    """A created collection with this tree, on the log and in the tables."""
    shape = TreeShape(max_depth=5, max_buffer_size=8, canopy_depth=0)
    await log.publish(collection_created(collection, tree_address=tree, tree=shape, slot=1), cause=None)
    await project(log, tables)


async def project(log: MemoryLog, tables: MemoryTables) -> list[RawMessage]:
    """Bring the tables up to the log's COLLECTION stream; returns what was new."""
    after = tables.watermarks[COLLECTION.name]
    new = log.streams[COLLECTION.name][after:]
    if new:
        await tables.apply(COLLECTION.name, after, [plan(raw) for raw in new])
    return new


def observed(log: MemoryLog) -> list[CollectionObserved]:
    """What was said of trees."""
    return log.facts(CollectionObserved)


def expected_leaves(model: ModelTree) -> dict[int, bytes]:
    """Leaf hashes by index, as the model's tree has them."""
    return dict(enumerate(model.tree.leaves()))
