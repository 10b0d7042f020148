"""One transaction of a chunk's plan, as the log tells of it: its attempts, its outcome, and what is said of it next.

Used by `minting`, landed by `lander`. Everything that is said of it carries the fence of all that was ever said of it.
"""

from collections.abc import Sequence

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from chassis.log import EventLog, InvalidEvent, MissingFact
from contracts.collection import CollectionCreated
from contracts.fact import Event, Fact
from contracts.mint import (
    Attempt,
    Confirmed,
    Failed,
    ItemFailure,
    Pinned,
    PlannedTransaction,
    Signed,
    transaction_fence,
    transaction_label,
)
from contracts.streams import MINT
from services.minter.gate import Passage
from services.minter.lander import OnChain, Settled, SignedRecord, wire_bytes
from services.minter.plan import LookupTable, fee_payer, metadata_fault, mint_instructions, minted_leaves
from services.minter.planning import items_of, shape_of
from services.minter.ports import ConfirmedTransaction
from services.minter.refusals import Refusal


class MintTransaction:
    """One transaction of a chunk's plan on the log; implements `lander.Transaction`."""

    co_signers: Sequence[str] = ()
    shared = True

    def __init__(
        self,
        log: EventLog,
        cause: Event[Fact],
        collection: CollectionCreated,
        pinned: Pinned,
        planned: PlannedTransaction,
        table: LookupTable | None,
        wallet: Pubkey,
        *,
        passage: Passage | None = None,
        reopen: bool = False,
        unspoken: bool = False,
    ) -> None:
        """`table` is what the plan names; InvalidEvent when the plan does not fit the chunk.

        `passage` is how the gate was open when the plan was read; None when it was closed, or there is none.
        `unspoken` is a transaction that was planned a moment ago: the first look at the log would find nothing and is
        left out. If somebody has spoken of it all the same, the fence refuses what we say, and the log is read.
        """
        self._log = log
        self._cause = cause
        self.collection = collection
        self._pinned = pinned
        self.planned = planned
        self.items = items_of(pinned, planned.items)
        self.tables: Sequence[LookupTable] = (table,) if table else ()
        self.shape = shape_of(planned)
        self._wallet = wallet
        self._passage = passage
        self._reopen = reopen
        self._unspoken = unspoken
        self._sequence = 0

    @property
    def label(self) -> str:
        """Operation, chunk and number."""
        return transaction_label(self._pinned.operation, self._pinned.chunk, self.planned.tx)

    @property
    def fence(self) -> str:
        """The pattern of everything that is said of this transaction."""
        return transaction_fence(self._pinned.operation, self._pinned.chunk, self.planned.tx)

    async def read(self) -> SignedRecord | None:
        """Return the attempts on the log; raises Settled when confirmed, failed or finalized stands after them.

        With `reopen`, a confirmation does not settle it: the chain has forgotten what was confirmed. Raises
        InvalidEvent when what stands there is about other items than those of the plan.
        """
        if self._unspoken:
            self._unspoken = False
            return None
        newest = await self._log.last_matching(MINT, self.fence)
        if newest is None:
            return None
        self._sequence = newest.sequence
        if isinstance(newest.data, Signed):
            return self._record(newest.data)
        if isinstance(newest.data, Confirmed) and self._reopen:
            signed = await self._log.last(
                Signed, operation=self._pinned.operation, chunk=self._pinned.chunk, tx=self.planned.tx
            )
            if signed is None:
                raise MissingFact(f"{self.label} is confirmed and was never signed")
            return self._record(signed.data)
        if isinstance(newest.data, Failed):
            self._expect(newest.data.failure.items)
        raise Settled(self.label)

    def _expect(self, items: tuple[int, ...]) -> None:
        if items != self.planned.items:
            raise InvalidEvent(f"the log tells of items {items} in {self.label}, the plan of {self.planned.items}")

    def made_in(self, passage: Passage) -> bool:
        """Return whether its plan was read in this passage."""
        return self._passage == passage

    def _record(self, signed: Signed) -> SignedRecord:
        self._expect(signed.items)
        return SignedRecord((*signed.earlier, signed.attempt), wire_bytes(signed.transaction))

    async def instructions(self, payer: Pubkey) -> Sequence[Instruction]:
        """Return the mint instructions of its items."""
        return mint_instructions(
            self.collection, self._pinned.recipient, self.items, self._wallet, self.planned.tree, payer
        )

    def metadata_fault(self) -> str | None:
        """Return why the program would refuse its item; None when it would not, and for several items.

        Those were looked at when they were planned: what would be refused stands alone (`packing`).
        """
        if len(self.items) > 1:
            return None
        faults = (metadata_fault(self.collection, item, self._wallet) for item in self.items)
        return next((fault for fault in faults if fault is not None), None)

    async def intend(self, attempt: Attempt, wire_base64: str, earlier: tuple[Attempt, ...]) -> None:
        """Publish `mint.signed`, fenced."""
        signed = Signed(
            operation=self._pinned.operation,
            chunk=self._pinned.chunk,
            tx=self.planned.tx,
            collection=self._pinned.collection,
            tree=self.planned.tree,
            items=self.planned.items,
            attempt=attempt,
            transaction=wire_base64,
            fee_payer=fee_payer(wire_bytes(wire_base64)),
            earlier=earlier,
        )
        await self._tell(signed)

    async def confirm(self, landed: OnChain, transaction: ConfirmedTransaction) -> None:
        """Publish `mint.confirmed`; if somebody else did, theirs stands."""
        confirmed = Confirmed(
            operation=self._pinned.operation,
            chunk=self._pinned.chunk,
            tx=self.planned.tx,
            collection=self._pinned.collection,
            tree=self.planned.tree,
            signature=landed.attempt.signature,
            slot=transaction.executed.slot,
            leaves=minted_leaves(transaction.executed, self.planned.tree, self.items),
            fee=transaction.fee,
            attempt=landed.attempt.number,
        )
        await self._tell(confirmed)

    async def fail(self, refusal: Refusal) -> None:
        """Publish `mint.failed`; SequenceConflict when somebody signed or settled it meanwhile.

        What was confirmed before is taken back by it: who says this has proof that none of the attempts is on chain.
        """
        confirmed = await self._log.last(
            Confirmed, operation=self._pinned.operation, chunk=self._pinned.chunk, tx=self.planned.tx
        )
        failure = ItemFailure(items=self.planned.items, code=refusal.code, reason=refusal.reason, cure=refusal.cure)
        await self._tell(
            Failed(
                operation=self._pinned.operation,
                chunk=self._pinned.chunk,
                tx=self.planned.tx,
                failure=failure,
                dropped=confirmed.data.signature if confirmed else None,
            )
        )

    async def _tell(self, fact: Fact) -> None:
        self._sequence = await self._log.publish(
            fact, cause=self._cause, expected_sequence=self._sequence, fence=self.fence
        )
