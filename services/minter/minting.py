"""Minting: the transactions of a pinned chunk, from the log to the chain and back to the log.

Handles `mint.pinned` (land every transaction of the chunk) and `mint.confirmed` (watch it to finality, land it again
if a fork dropped it). What the log says last of a transaction, over all its facts, is its state.
"""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from solders.instruction import Instruction
from solders.pubkey import Pubkey

from chassis.clock import Clock
from chassis.log import EventLog, InvalidEvent, Message, RetryLater, SequenceConflict
from chassis.logs import get_logger
from contracts.collection import CollectionCreated
from contracts.fact import Event, Fact
from contracts.mint import (
    Attempt,
    Cancelled,
    Confirmed,
    Failed,
    Finalized,
    ItemFailure,
    Pinned,
    PinnedItem,
    Signed,
    transaction_fence,
)
from contracts.streams import MINT
from services.minter.cancelling import end_unsigned
from services.minter.lander import Lander, OnChain, Settled, SignedRecord, wire_bytes
from services.minter.landing import Commitment, Landed, next_step
from services.minter.plan import PlannedTransaction, mint_instructions, minted_leaves, transactions
from services.minter.ports import Chain, ChainUnavailable, ConfirmedTransaction
from services.minter.refusals import COLLECTION_GONE, Refusal
from services.minter.watcher import SignatureWatcher

FINALITY_DELAY = 13.0
"""Seconds from confirmation to finality: 31 blocks at 400 ms, and a little more."""
FINALITY_RETRY = 2.0
TRANSACTION_RETRY = 0.3
"""Seconds before a node is asked again for a transaction that it says is confirmed but does not show yet."""

_logger = get_logger(__name__)


class MintTransaction:
    """One transaction of a chunk on the log; implements `lander.Transaction`."""

    co_signers: Sequence[str] = ()

    def __init__(
        self,
        log: EventLog,
        cause: Event[Fact],
        collection: CollectionCreated,
        pinned: Pinned,
        planned: PlannedTransaction,
        wallet: Pubkey,
        *,
        reopen: bool = False,
    ) -> None:
        self._log = log
        self._cause = cause
        self.collection = collection
        self._pinned = pinned
        self.planned = planned
        self._wallet = wallet
        self._reopen = reopen
        self._sequence = 0

    @property
    def label(self) -> str:
        """Operation, chunk and number."""
        return f"{self._pinned.operation}.{self._pinned.chunk}.{self.planned.tx}"

    @property
    def fence(self) -> str:
        """The pattern of everything that is said of this transaction."""
        return transaction_fence(self._pinned.operation, self._pinned.chunk, self.planned.tx)

    async def read(self) -> SignedRecord | None:
        """Return the attempts on the log; raises Settled when confirmed, failed or finalized stands after them.

        With `reopen`, a confirmation does not settle it: the chain has forgotten what was confirmed.
        """
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
                raise InvalidEvent(f"{self.label} is confirmed and was never signed")
            return self._record(signed.data)
        raise Settled(self.label)

    def _record(self, signed: Signed) -> SignedRecord:
        wanted = tuple(item.index for item in self.planned.items)
        if signed.items != wanted:
            raise InvalidEvent(f"{self.label} was signed for items {signed.items}, not {wanted}")
        return SignedRecord((*signed.earlier, signed.attempt), wire_bytes(signed.transaction))

    async def instructions(self) -> Sequence[Instruction]:
        """Return the mint instructions of its items."""
        return mint_instructions(self.collection, self._pinned.recipient, self.planned.items, self._wallet)

    async def intend(self, attempt: Attempt, wire_base64: str, earlier: tuple[Attempt, ...]) -> None:
        """Publish `mint.signed`, fenced."""
        signed = Signed(
            operation=self._pinned.operation,
            chunk=self._pinned.chunk,
            tx=self.planned.tx,
            collection=self._pinned.collection,
            tree=self.collection.tree_address,
            items=tuple(item.index for item in self.planned.items),
            attempt=attempt,
            transaction=wire_base64,
            fee_payer=str(self._wallet),
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
            tree=self.collection.tree_address,
            signature=landed.attempt.signature,
            slot=transaction.executed.slot,
            leaves=minted_leaves(transaction.executed, self.collection.tree_address, self.planned.items),
            fee=transaction.fee,
            attempt=landed.attempt.number,
        )
        await self._tell(confirmed)

    async def fail(self, refusal: Refusal) -> None:
        """Publish `mint.failed`; SequenceConflict when somebody signed or settled it meanwhile."""
        items = tuple(item.index for item in self.planned.items)
        failure = ItemFailure(items=items, code=refusal.code, reason=refusal.reason, cure=refusal.cure)
        await self._tell(
            Failed(operation=self._pinned.operation, chunk=self._pinned.chunk, tx=self.planned.tx, failure=failure)
        )

    async def _tell(self, fact: Fact) -> None:
        self._sequence = await self._log.publish(
            fact, cause=self._cause, expected_sequence=self._sequence, fence=self.fence
        )


class Minting:
    """The handlers of the minter's two MINT consumers."""

    def __init__(
        self, log: EventLog, chain: Chain, lander: Lander, watcher: SignatureWatcher, wallet: Pubkey, clock: Clock
    ) -> None:
        self._log = log
        self._chain = chain
        self._lander = lander
        self._watcher = watcher
        self._wallet = wallet
        self._clock = clock

    async def on_pinned(self, message: Message[Pinned]) -> None:
        """Land every transaction of the chunk; returns when each is confirmed or failed on the log."""
        pinned = message.data
        cancelled = await self._log.last(Cancelled, operation=pinned.operation)
        if cancelled is not None:
            # What is signed already is followed to its end below; everything else ends here, without any delay.
            await end_unsigned(self._log, cancelled.event, pinned)
        elif pinned.not_before is not None and (early := (pinned.not_before - self._clock.now()).total_seconds()) > 0:
            raise RetryLater("the delay between batches has not passed", after=early)
        planned = list(transactions(pinned))
        collection = await self._collection(pinned.collection)
        if collection is None:
            await self._refuse_all(message, planned)
            return
        results = await asyncio.gather(
            *(self._land(self._transaction(message.event, collection, pinned, each)) for each in planned),
            return_exceptions=True,
        )
        # Each transaction went its own way to its own end; the first trouble, if any, decides about the message.
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _land(self, transaction: MintTransaction) -> None:
        try:
            outcome = await self._lander.land(transaction)
            if isinstance(outcome, Refusal):
                await transaction.fail(outcome)
                _logger.warning("transaction refused", transaction=transaction.label, code=outcome.code)
            else:
                await transaction.confirm(outcome, await self._executed(outcome))
        except Settled:
            # The log says how it ended: an earlier delivery of this message, or another worker, was here.
            return
        except SequenceConflict as error:
            # Somebody spoke between our reading and our telling. Read again and follow.
            raise RetryLater(str(error), after=0.2) from error

    async def _executed(self, landed: OnChain) -> ConfirmedTransaction:
        try:
            found = await self._chain.transaction(landed.attempt.signature)
        except ChainUnavailable as error:
            # It is on chain; only its details are missing. The next delivery reads them.
            raise RetryLater(str(error), after=1.0) from error
        if found is None:
            raise RetryLater(f"{landed.attempt.signature} is confirmed but not shown yet", after=TRANSACTION_RETRY)
        return found

    async def on_confirmed(self, message: Message[Confirmed]) -> None:
        """Wait until the transaction is final and say so; if a fork dropped it, land it again."""
        confirmed = message.data
        age = (self._clock.now() - message.stored_at).total_seconds()
        if age < FINALITY_DELAY:
            raise RetryLater("not final yet", after=FINALITY_DELAY - age)
        signed = await self._log.last(Signed, operation=confirmed.operation, chunk=confirmed.chunk, tx=confirmed.tx)
        if signed is None:
            raise InvalidEvent(f"{message.subject} was confirmed and never signed")
        attempts = (*signed.data.earlier, signed.data.attempt)
        view = await self._watcher.view(attempts)
        step = next_step(attempts, view, since_send=0.0)
        if isinstance(step, Landed) and step.state.commitment is Commitment.FINALIZED:
            await self._finalize(message, step)
        elif isinstance(step, Landed) or view is None or view.finalized_height is None:
            # Without a head that fits, a look may have missed what is in a block: that proves no fork.
            raise RetryLater("not final yet", after=FINALITY_RETRY)
        else:
            _logger.error("confirmed transaction dropped by a fork", subject=message.subject)
            await self._land_again(message)

    async def _finalize(self, message: Message[Confirmed], landed: Landed) -> None:
        confirmed = message.data
        finalized = Finalized(
            operation=confirmed.operation,
            chunk=confirmed.chunk,
            tx=confirmed.tx,
            signature=landed.attempt.signature,
            slot=landed.state.slot,
        )
        await self._log.publish_once(finalized, cause=message.event)

    async def _land_again(self, message: Message[Confirmed]) -> None:
        confirmed = message.data
        pinned = await self._log.last(Pinned, operation=confirmed.operation, chunk=confirmed.chunk)
        collection = await self._collection(confirmed.collection)
        if pinned is None or collection is None:
            raise InvalidEvent(f"{message.subject} has no pinned content or no collection on the log")
        planned = next(each for each in transactions(pinned.data) if each.tx == confirmed.tx)
        await self._land(self._transaction(message.event, collection, pinned.data, planned, reopen=True))

    def _transaction(
        self,
        cause: Event[Fact],
        collection: CollectionCreated,
        pinned: Pinned,
        planned: PlannedTransaction,
        *,
        reopen: bool = False,
    ) -> MintTransaction:
        return MintTransaction(self._log, cause, collection, pinned, planned, self._wallet, reopen=reopen)

    async def _collection(self, collection: UUID) -> CollectionCreated | None:
        found = await self._log.last(CollectionCreated, collection=collection)
        return found.data if found else None

    async def _refuse_all(self, message: Message[Pinned], planned: Sequence[PlannedTransaction]) -> None:
        pinned = message.data
        for each in planned:
            failure = ItemFailure(
                items=_indexes(each.items),
                code=COLLECTION_GONE.code,
                reason="The collection was never created.",
                cure=COLLECTION_GONE.cure,
            )
            failed = Failed(operation=pinned.operation, chunk=pinned.chunk, tx=each.tx, failure=failure)
            await self._log.publish_once(failed, cause=message.event)


def _indexes(items: Sequence[PinnedItem]) -> tuple[int, ...]:
    return tuple(item.index for item in items)
