"""What is left of a chunk's plan that the log has lost: by the transactions on the log, and by those on the chain.

Used by `minting` before a chunk is planned. A plan decides which items a transaction mints; if it is lost, a new one
may decide otherwise, and an item whose transaction landed would be signed again in another one. So a chunk without a
plan is looked for first, by all transactions that it can have had; only after a loss. On the log is one whose intent
was on its way when the connection was lost, or was put back; on the chain one that bears its mark. A plan that stands
is compared with the same, for it may have been on its way when another one was lost.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn
from uuid import UUID

from msgspec.structs import replace

from bubblegum.changes import Minted
from bubblegum.decode import decode
from chassis.log import EventLog, RetryLater
from chassis.logs import get_logger
from contracts.mint import Pinned, Planned, PlannedTransaction, Signed, transaction_fence, transaction_label
from contracts.streams import MINT
from services.minter.gate import Gate, Horizon, Passage
from services.minter.ports import Chain, ChainUnavailable

MAX_COMPARED: Final = 4096
"""Chunks whose plans are remembered as compared."""

_logger = get_logger(__name__)


class Unexplained(Exception):
    """A transaction mints what its chunk does not hold. Never expected; a person must look."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What tells one minted item from another."""

    tree: str
    owner: str
    name: str
    uri: str


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
                raise Unexplained(f"transaction {transaction_label(pinned.operation, pinned.chunk, tx)} minted {leaf}")
            left.remove(item)
            indexes.append(item.index)
        found.append(PlannedTransaction(tx=tx, tree=leaves[0].tree, items=tuple(indexes)))
    return tuple(found)


def without(pinned: Pinned, planned: Sequence[PlannedTransaction]) -> Pinned:
    """Return the chunk with the items only that are in none of these transactions; raises Unexplained."""
    gone = [index for each in planned for index in each.items]
    if not set(gone) <= {item.index for item in pinned.items} or len(set(gone)) < len(gone):
        raise Unexplained(f"chunk {pinned.operation}.{pinned.chunk} does not hold {gone}, each of them once")
    return replace(pinned, items=tuple(item for item in pinned.items if item.index not in gone))


def fits(
    pinned: Pinned, plan: Planned, signed: Sequence[PlannedTransaction], minted: Mapping[int, Sequence[Leaf]]
) -> bool:
    """Return whether the plan holds all that was signed of the chunk, and leaves like those that were minted of it."""
    planned = {each.tx: each for each in plan.transactions}
    items = {item.index: item for item in pinned.items}

    def wanted(tx: int) -> list[tuple[str, str, str]]:
        found = planned.get(tx)
        return [(found.tree, items[index].name, items[index].uri) for index in found.items] if found else []

    return all(
        each.tx in planned and (planned[each.tx].tree, planned[each.tx].items) == (each.tree, each.items)
        for each in signed
    ) and all([(leaf.tree, leaf.name, leaf.uri) for leaf in leaves] == wanted(tx) for tx, leaves in minted.items())


def completed(
    begun: Sequence[PlannedTransaction], others: Sequence[PlannedTransaction]
) -> tuple[PlannedTransaction, ...]:
    """Return one plan of both: those that were begun keep their numbers, the others take what numbers are free."""
    if not begun:
        return tuple(others)
    taken = {each.tx for each in begun}
    free = (number for number in range(len(begun) + len(others) + max(taken) + 1) if number not in taken)
    renumbered = [
        PlannedTransaction(tx=tx, tree=o.tree, items=o.items, lookup_table=o.lookup_table, doubtful=o.doubtful)
        for tx, o in zip(free, others, strict=False)
    ]
    return tuple(sorted([*begun, *renumbered], key=lambda each: each.tx))


class Relearner:
    """Finds transactions of chunks that have no plan."""

    def __init__(self, log: EventLog, gate: Gate, chain: Chain) -> None:
        self._log = log
        self._gate = gate
        self._compared: OrderedDict[tuple[UUID, int], Passage] = OrderedDict()
        self._chain = chain

    @property
    def passage(self) -> Passage | None:
        """How the gate is open now; None while it is closed."""
        return self._gate.passage

    async def admitted(self) -> None:
        """Return when the gate is open, and the log so whole as it can be; raises RetryLater while it is closed."""
        await self._gate.admit()

    async def begun(self, pinned: Pinned) -> tuple[PlannedTransaction, ...]:
        """Return the transactions of the chunk that were signed or landed under a plan that is lost; raises RetryLater.

        Waits at the gate: what is planned before the log is whole again may contradict what is put back.
        """
        passage = await self._gate.admit()
        if passage.horizon is None:
            return ()
        signed, minted = await self._look(pinned, passage.horizon)
        try:
            return (*signed, *explain(without(pinned, signed), minted))
        except Unexplained as error:
            self._stop(str(error))

    async def compare(self, pinned: Pinned, plan: Planned) -> None:
        """Raise RetryLater if anything of the chunk was begun that is not of its plan.

        A plan may have been on its way when another one was lost. Looked at once for each chunk with work left and
        passage of the gate; while it is closed nothing is begun.
        """
        passage, chunk = self._gate.passage, (pinned.operation, pinned.chunk)
        if passage is None or passage.horizon is None or self._compared.get(chunk) == passage:
            return
        if await self._has_work(plan):
            signed, minted = await self._look(pinned, passage.horizon)
            if not fits(pinned, plan, signed, minted):
                self._stop(f"chunk {pinned.operation}.{pinned.chunk} was begun by another plan than it has")
        self._compared[chunk] = passage
        if len(self._compared) > MAX_COMPARED:
            self._compared.popitem(last=False)

    async def _has_work(self, plan: Planned) -> bool:
        for each in plan.transactions:
            newest = await self._log.last_matching(MINT, transaction_fence(plan.operation, plan.chunk, each.tx))
            if newest is None or isinstance(newest.data, Signed):
                return True
        return False

    async def _look(
        self, pinned: Pinned, horizon: Horizon
    ) -> tuple[list[PlannedTransaction], Mapping[int, Sequence[Leaf]]]:
        """Return what is signed on the log, and the leaves of what else has landed, by transaction."""
        signed: list[PlannedTransaction] = []
        minted: dict[int, Sequence[Leaf]] = {}
        try:
            for tx in range(len(pinned.items)):
                intent = await self._log.last(Signed, operation=pinned.operation, chunk=pinned.chunk, tx=tx)
                label = transaction_label(pinned.operation, pinned.chunk, tx)
                if intent is not None:
                    signed.append(PlannedTransaction(tx=tx, tree=intent.data.tree, items=intent.data.items))
                elif lost := await self._gate.landed(label, horizon):
                    minted[tx] = await self._leaves(lost[0].signature)
        except ChainUnavailable as error:
            # Unknown is not absent: nothing is planned or signed until a node can tell.
            raise RetryLater(f"looking for chunk {pinned.operation}.{pinned.chunk}: {error}", after=1.0) from error
        except Unexplained as error:
            self._stop(str(error))
        return signed, minted

    def _stop(self, reason: str) -> NoReturn:
        # Neither planned nor signed, so never minted twice; a person has to look.
        _logger.critical("something was begun that no plan explains", reason=reason)
        raise RetryLater(reason, after=60.0)

    async def _leaves(self, signature: str) -> list[Leaf]:
        found = await self._chain.transaction(signature)
        if found is None:
            raise ChainUnavailable(f"{signature} is listed and not shown yet")
        minted = [change for change in decode(found.executed) if isinstance(change, Minted)]
        if not minted:
            raise Unexplained(f"{signature} carries a mark and mints nothing")
        return [Leaf(str(each.tree), str(each.owner), each.metadata.name, each.metadata.uri) for each in minted]
