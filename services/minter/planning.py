"""Planning a chunk: its one plan on the log, made by the minter that comes first and followed by all.

Used by `minting` before anything of a chunk is signed, and by whoever ends a chunk that is not to be minted. Nothing is
published before a rehearsal on the chain says whether one of the items would be refused: a plan is never changed, so
what fails alone has to stand alone in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from msgspec.structs import replace
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from chassis.log import EventLog, InvalidEvent, Message, MissingFact, RetryLater, SequenceConflict
from chassis.logs import get_logger
from contracts.collection import CollectionCreated
from contracts.fact import Event, Fact
from contracts.mint import FailureCode, Pinned, PinnedItem, Planned, PlannedTransaction, chunk_fence
from contracts.streams import MINT
from services.minter.lander import Lander
from services.minter.packing import Rooms, pack
from services.minter.plan import LookupTable, mint_instructions
from services.minter.relearning import completed, without
from services.minter.shapes import Shape

MAX_CONFLICTS: Final = 8
"""Refused publishes of one plan before the chunk is left for a later delivery; a chunk has few facts."""
_ABOUT_ONE_ITEM: Final = frozenset({FailureCode.METADATA_REFUSED, FailureCode.PROGRAM_REFUSED})
"""Refusals that may concern one item of a transaction; all others concern its tree, its collection or the wallet."""

_logger = get_logger(__name__)


def shape_of(planned: PlannedTransaction) -> Shape | None:
    """Return the transaction's shape; None for a doubtful one, which is simulated for itself."""
    if planned.doubtful:
        return None
    return Shape(planned.tree, len(planned.items), planned.lookup_table is not None)


async def agreed(log: EventLog, cause: Event[Fact], plan: Planned) -> Planned:
    """Put `plan` on the log unless the chunk has one; return the one that holds.

    An empty plan says that the chunk's items are never to be signed. Raises RetryLater and LogUnavailable.
    """
    chunk = {"operation": plan.operation, "chunk": plan.chunk}
    for _ in range(MAX_CONFLICTS):
        # In this order: a plan that is said after the first read makes the publish fail.
        newest = await log.last_matching(MINT, chunk_fence(plan.operation, plan.chunk))
        standing = await log.last(Planned, **chunk)
        if standing is not None:
            return standing.data
        if newest is None:
            raise MissingFact(f"chunk {plan.operation}.{plan.chunk} is planned and was never pinned")
        try:
            await log.publish(
                plan,
                cause=cause,
                expected_sequence=newest.sequence,
                fence=chunk_fence(plan.operation, plan.chunk),
            )
        except SequenceConflict:
            continue  # somebody spoke of the chunk meanwhile: read it
        return plan
    raise RetryLater(f"chunk {plan.operation}.{plan.chunk} is much spoken of", after=0.5)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A transaction that is planned and not on the log yet; implements `drafting.Work`."""

    collection: CollectionCreated
    pinned: Pinned
    items: tuple[PinnedItem, ...]
    tree: str
    tables: Sequence[LookupTable]
    shape: Shape | None
    wallet: Pubkey
    co_signers: Sequence[str] = ()
    shared: bool = True

    @property
    def label(self) -> str:
        """Chunk and items."""
        return f"{self.pinned.operation}.{self.pinned.chunk} {[item.index for item in self.items]}"

    async def instructions(self, payer: Pubkey) -> Sequence[Instruction]:
        """Return the mint instructions of its items."""
        return mint_instructions(self.collection, self.pinned.recipient, self.items, self.wallet, self.tree, payer)


class Planner:
    """Plans chunks."""

    def __init__(self, log: EventLog, lander: Lander, wallet: Pubkey, payer: Pubkey | None = None) -> None:
        """`payer` is one of the fee payers that share the mints with the wallet, if there are any."""
        self._log = log
        self._lander = lander
        self._wallet = wallet
        self._payer = payer

    async def standing(self, operation: UUID, chunk: int) -> Planned | None:
        """Return the chunk's plan; None when it has none yet."""
        found = await self._log.last(Planned, operation=operation, chunk=chunk)
        return found.data if found else None

    async def give_up(self, message: Message[Pinned]) -> Planned:
        """Plan nothing, for ever, unless the chunk has a plan; return the one that holds. Raises RetryLater."""
        pinned = message.data
        nothing = Planned(operation=pinned.operation, chunk=pinned.chunk, collection=pinned.collection, transactions=())
        return await agreed(self._log, message.event, nothing)

    async def plan(
        self,
        message: Message[Pinned],
        collection: CollectionCreated,
        rooms: Rooms,
        begun: Sequence[PlannedTransaction] = (),
    ) -> Planned:
        """Make the chunk's plan, put it on the log, and return the one that holds. Raises RetryLater.

        `begun` are transactions of an earlier plan, which the log has lost: they stand in the new one as they were.
        """
        pinned = without(message.data, begun)
        transactions = pack(collection, pinned, rooms, self._wallet, payer=self._payer)
        apart = await self._refused_alone(collection, pinned, transactions, rooms)
        if apart:
            _logger.warning("items planned apart", chunk=message.subject, items=sorted(apart))
            transactions = pack(collection, pinned, rooms, self._wallet, apart=apart, payer=self._payer)
        plan = Planned(
            operation=pinned.operation,
            chunk=pinned.chunk,
            collection=pinned.collection,
            transactions=completed([_taken_over(each, rooms) for each in begun], transactions),
        )
        return await agreed(self._log, message.event, plan)

    async def _refused_alone(
        self,
        collection: CollectionCreated,
        pinned: Pinned,
        transactions: Sequence[PlannedTransaction],
        rooms: Rooms,
    ) -> frozenset[int]:
        """Return the items that the chain refuses for what they are, found by simulating them one by one."""
        refused: set[int] = set()
        for planned in transactions:
            if len(planned.items) == 1:
                continue  # whatever it meets, it meets alone
            refusal = await self._rehearse(collection, pinned, planned.items, planned, rooms)
            if refusal not in _ABOUT_ONE_ITEM:
                continue
            for index in planned.items:
                if await self._rehearse(collection, pinned, (index,), planned, rooms, alone=True) is not None:
                    refused.add(index)
        return frozenset(refused)

    async def _rehearse(
        self,
        collection: CollectionCreated,
        pinned: Pinned,
        items: tuple[int, ...],
        planned: PlannedTransaction,
        rooms: Rooms,
        *,
        alone: bool = False,
    ) -> FailureCode | None:
        table = rooms.table(planned.tree)
        work = Rehearsal(
            collection,
            pinned,
            items_of(pinned, items),
            planned.tree,
            (table,) if table else (),
            None if alone else shape_of(planned),
            self._wallet,
        )
        refusal = await self._lander.rehearse(work)
        return refusal.code if refusal else None


def _taken_over(planned: PlannedTransaction, rooms: Rooms) -> PlannedTransaction:
    """Return the transaction for a new plan: with its tree's table it fits, if it ever has to be signed again."""
    table = rooms.table(planned.tree)
    return replace(planned, lookup_table=str(table.address) if table else None, doubtful=True)


def items_of(pinned: Pinned, indexes: Sequence[int]) -> tuple[PinnedItem, ...]:
    """Return the chunk's items with these indexes, in the order of the indexes; InvalidEvent for a foreign one."""
    by_index = {item.index: item for item in pinned.items}
    try:
        return tuple(by_index[index] for index in indexes)
    except KeyError as error:
        # Stop: plan and content are both on the log for ever, and do not fit.
        raise InvalidEvent(f"chunk {pinned.operation}.{pinned.chunk} has no item {error}") from None
