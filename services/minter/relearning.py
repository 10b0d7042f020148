"""What the chain knows of a chunk whose plan the log has lost.

Used by `minting` before a chunk is planned. A plan decides which items a transaction mints; if it is lost, a new one
may decide otherwise, and an item whose lost transaction landed would be signed again in another one. So a chunk without
a plan is looked for on the chain first, by the marks of all transactions that it can have had; only after a loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from bubblegum.changes import Minted
from bubblegum.decode import decode
from chassis.log import RetryLater
from chassis.logs import get_logger
from contracts.mint import Pinned, PlannedTransaction
from services.minter.gate import Gate
from services.minter.ports import Chain, ChainUnavailable

_logger = get_logger(__name__)


class Unexplained(Exception):
    """A landed transaction minted what its chunk does not hold. Never expected; a person must look."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What tells one minted item from another."""

    tree: str
    owner: str
    name: str
    uri: str


def label_of(operation: UUID, chunk: int, tx: int) -> str:
    """Return the name by which a transaction of a chunk is marked on chain."""
    return f"{operation}.{chunk}.{tx}"


def explain(pinned: Pinned, minted: Mapping[int, Sequence[Leaf]]) -> tuple[PlannedTransaction, ...]:
    """Return the part of the lost plan by which `minted`, leaves by transaction, came to be; raises Unexplained.

    Items with equal content are equal: the first one that is left is taken.
    """
    left = list(pinned.items)
    found: list[PlannedTransaction] = []
    for tx, leaves in sorted(minted.items()):
        indexes: list[int] = []
        for leaf in leaves:
            item = next((each for each in left if (each.name, each.uri) == (leaf.name, leaf.uri)), None)
            if item is None or leaf.owner != pinned.recipient or leaf.tree != leaves[0].tree:
                raise Unexplained(f"transaction {label_of(pinned.operation, pinned.chunk, tx)} minted {leaf}")
            left.remove(item)
            indexes.append(item.index)
        found.append(PlannedTransaction(tx=tx, tree=leaves[0].tree, items=tuple(indexes)))
    return tuple(found)


def completed(
    landed: Sequence[PlannedTransaction], others: Sequence[PlannedTransaction]
) -> tuple[PlannedTransaction, ...]:
    """Return one plan of both: those that landed keep their numbers, the others take what numbers are free."""
    if not landed:
        return tuple(others)
    taken = {each.tx for each in landed}
    free = (number for number in range(len(landed) + len(others) + max(taken) + 1) if number not in taken)
    renumbered = [
        PlannedTransaction(tx=tx, tree=o.tree, items=o.items, lookup_table=o.lookup_table, doubtful=o.doubtful)
        for tx, o in zip(free, others, strict=False)
    ]
    return tuple(sorted([*landed, *renumbered], key=lambda each: each.tx))


class Relearner:
    """Finds landed transactions of chunks that have no plan."""

    def __init__(self, gate: Gate, chain: Chain) -> None:
        self._gate = gate
        self._chain = chain

    async def landed(self, pinned: Pinned) -> tuple[PlannedTransaction, ...]:
        """Return the transactions of the chunk that landed under a plan that is lost; raises RetryLater.

        Waits at the gate: what is planned before the log is whole again may contradict what is put back.
        """
        passage = await self._gate.admit()
        if passage.horizon is None:
            return ()
        minted: dict[int, Sequence[Leaf]] = {}
        try:
            for tx in range(len(pinned.items)):
                label = label_of(pinned.operation, pinned.chunk, tx)
                if lost := await self._gate.landed(label, passage.horizon):
                    minted[tx] = await self._leaves(lost[0].signature)
            return explain(pinned, minted)
        except ChainUnavailable as error:
            # Unknown is not absent: nothing is planned until a node can tell.
            raise RetryLater(f"looking for chunk {pinned.operation}.{pinned.chunk}: {error}", after=1.0) from error
        except Unexplained as error:
            # Not planned, so never minted twice; a person has to look.
            _logger.critical("the chain holds what no plan explains", reason=str(error))
            raise RetryLater(str(error), after=60.0) from error

    async def _leaves(self, signature: str) -> list[Leaf]:
        found = await self._chain.transaction(signature)
        if found is None:
            raise ChainUnavailable(f"{signature} is listed and not shown yet")
        minted = [change for change in decode(found.executed) if isinstance(change, Minted)]
        if not minted:
            raise Unexplained(f"{signature} carries a mark and mints nothing")
        return [Leaf(str(each.tree), str(each.owner), each.metadata.name, each.metadata.uri) for each in minted]
