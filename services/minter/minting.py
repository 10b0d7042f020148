"""Minting: the transactions of a pinned chunk, from the log to the chain and back to the log.

Handles `mint.pinned` (plan the chunk, land every transaction of its plan) and `mint.confirmed` (watch it to finality,
land it again if a fork dropped it). What the log says last of a transaction, over all its facts, is its state.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from typing import NoReturn
from uuid import UUID

from solders.pubkey import Pubkey

from chassis.clock import Clock
from chassis.log import EventLog, Message, MissingFact, RetryLater, SequenceConflict
from chassis.logs import get_logger
from contracts.collection import CollectionCreated
from contracts.fact import Event, Fact
from contracts.mint import (
    Cancelled,
    Confirmed,
    Finalized,
    Pinned,
    Planned,
    PlannedTransaction,
    Signed,
    transaction_fence,
)
from services.minter.cancelling import CANCELLED, end_unsigned
from services.minter.gate import Passage
from services.minter.growing import Growth, executed
from services.minter.lander import Lander, OnChain, Settled
from services.minter.landing import Commitment, Landed, next_step
from services.minter.mint_transaction import MintTransaction
from services.minter.packing import Rooms
from services.minter.plan import LookupTable
from services.minter.planning import Planner
from services.minter.ports import Chain, ChainUnavailable
from services.minter.refusals import COLLECTION_GONE, METADATA, Refusal
from services.minter.relearning import Relearner
from services.minter.trees import CollectionTrees
from services.minter.watcher import SignatureWatcher

FINALITY_DELAY = 13.0
"""Seconds from confirmation to finality: 31 blocks at 400 ms, and a little more."""
FINALITY_RETRY = 2.0
DELAY_LOOK = 30.0
"""Most seconds between two looks at whether the delay between batches has passed."""
NEVER_CREATED = replace(COLLECTION_GONE, reason="The collection was never created.")

_logger = get_logger(__name__)


class Minting:
    """The handlers of the minter's consumers of pinned chunks and of confirmations."""

    def __init__(
        self,
        log: EventLog,
        chain: Chain,
        lander: Lander,
        watcher: SignatureWatcher,
        wallet: Pubkey,
        clock: Clock,
        trees: CollectionTrees | None = None,
        growth: Growth | None = None,
        relearner: Relearner | None = None,
        payer: Pubkey | None = None,
    ) -> None:
        """Without `growth`, a collection whose trees are full gets no further one.

        `payer` is one of the fee payers that share the mints with the wallet, if there are any.
        """
        self._log = log
        self._chain = chain
        self._lander = lander
        self._watcher = watcher
        self._wallet = wallet
        self._clock = clock
        self._trees = trees or CollectionTrees(log, chain, clock)
        self._growth = growth
        self._planner = Planner(log, lander, wallet, payer)
        self._relearner = relearner

    async def on_pinned(self, message: Message[Pinned]) -> None:
        """Land every transaction of the chunk; returns when each is confirmed or failed on the log."""
        pinned = message.data
        cancelled = await self._log.last(Cancelled, operation=pinned.operation)
        if cancelled is not None:
            # What is signed already is followed to its end below; everything else ends here, without any delay.
            await end_unsigned(self._log, cancelled.event, pinned)
        elif pinned.not_before is not None and (early := (pinned.not_before - self._clock.now()).total_seconds()) > 0:
            # Not all of it at once: a clock that is wrong now may be right at the next look.
            raise RetryLater("the delay between batches has not passed", after=min(early, DELAY_LOOK))
        passage = self._relearner.passage if self._relearner is not None else None
        collection = await self._collection_of(pinned)
        plan, rooms = await self._plan(message, collection)
        if not plan.transactions:
            # Without a collection nothing was planned; with one only a cancellation plans nothing.
            await end_unsigned(self._log, message.event, pinned, CANCELLED if collection else NEVER_CREATED)
            return
        if collection is None:
            raise MissingFact(f"{message.subject} is planned, and its collection is not on the log")
        transactions = [
            await self._transaction(message.event, collection, pinned, each, passage, unspoken=rooms is not None)
            for each in plan.transactions
        ]
        work: list[Awaitable[object]] = [self._land(transaction) for transaction in transactions]
        if self._growth is not None and rooms is not None and self._growth.due(rooms):
            work.append(self._growth.grow(message.event, collection, rooms))
        # Each transaction goes its own way to its own end; the first trouble, if any, decides about the message.
        for result in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def on_later_pinned(self, message: Message[Pinned]) -> None:
        """See `on_pinned`; of first chunks it does nothing, which come by a way of their own (`MINTER_FIRST`)."""
        if message.data.chunk:
            await self.on_pinned(message)

    async def _plan(
        self, message: Message[Pinned], collection: CollectionCreated | None
    ) -> tuple[Planned, Rooms | None]:
        """Return the chunk's plan, and the rooms that it was made for if it was made just now."""
        pinned = message.data
        standing = await self._planner.standing(pinned.operation, pinned.chunk)
        if standing is not None:
            if self._relearner is not None:
                await self._relearner.compare(pinned, standing)
            return standing, None
        if collection is None:
            return await self._planner.give_up(message), None
        begun = () if self._relearner is None else await self._relearner.begun(pinned)
        try:
            if self._growth is None:
                rooms = await self._trees.rooms(collection)
            else:
                rooms = await self._growth.make_room(message.event, collection, len(pinned.items))
        except ChainUnavailable as error:
            # Nothing was planned. Begin again when a node answers.
            raise RetryLater(f"planning {message.subject}: {error}", after=1.0) from error
        return await self._planner.plan(message, collection, rooms, begun), rooms

    async def _land(self, transaction: MintTransaction) -> None:
        try:
            outcome = await self._outcome(transaction)
            if isinstance(outcome, Refusal):
                await transaction.fail(outcome)
                _logger.warning("transaction refused", transaction=transaction.label, code=outcome.code)
            else:
                await transaction.confirm(outcome, await executed(self._chain, outcome))
        except Settled:
            # The log says how it ended: an earlier delivery of this message, or another worker, was here.
            return
        except SequenceConflict as error:
            # Somebody spoke between our reading and our telling. Read again and follow.
            raise RetryLater(str(error), after=0.2) from error

    async def _outcome(self, transaction: MintTransaction) -> OnChain | Refusal:
        """Return how the transaction ends; raises Settled and RetryLater."""
        fault = transaction.metadata_fault()
        if fault is None or await transaction.read() is not None:
            # What is signed may land, whatever this version's rules for metadata say.
            return await self._lander.land(transaction)
        return replace(METADATA, reason=f"The program would refuse the metadata: {fault}.")

    async def on_confirmed(self, message: Message[Confirmed]) -> None:
        """Wait until the transaction is final and say so; if a fork dropped it, land it again."""
        confirmed = message.data
        age = (self._clock.now() - message.stored_at).total_seconds()
        if abs(age) < FINALITY_DELAY:  # beyond that our clock is behind the log's, and tells nothing
            raise RetryLater("not final yet", after=FINALITY_DELAY - max(age, 0.0))
        signed = await self._log.last(Signed, operation=confirmed.operation, chunk=confirmed.chunk, tx=confirmed.tx)
        if signed is None:
            await self._missing(f"{message.subject} was confirmed and never signed")
        attempts = (*signed.data.earlier, signed.data.attempt)
        view = await self._watcher.view(attempts)
        step = next_step(attempts, view, since_send=0.0)
        if isinstance(step, Landed) and step.state.commitment is Commitment.FINALIZED:
            if (step.attempt.signature, step.state.slot) == (confirmed.signature, confirmed.slot):
                await self._finalize(message, step)
            else:
                # A fork dropped the block that was told of. In another one the leaves may have other numbers.
                await self._tell_again(message)
        elif isinstance(step, Landed) or view is None or view.finalized_height is None:
            # Without a head that fits, a look may have missed what is in a block: that proves no fork.
            raise RetryLater("not final yet", after=FINALITY_RETRY)
        else:
            _logger.error("confirmed transaction dropped by a fork", subject=message.subject)
            await self._tell_again(message)

    async def _tell_again(self, message: Message[Confirmed]) -> None:
        """Land and confirm anew what a fork has moved or dropped; unless that was done, which has its own message."""
        confirmed = message.data
        newest = await self._log.last(Confirmed, operation=confirmed.operation, chunk=confirmed.chunk, tx=confirmed.tx)
        if newest is None or newest.sequence <= message.sequence:
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
        fence = transaction_fence(confirmed.operation, confirmed.chunk, confirmed.tx)
        try:
            await self._log.publish(finalized, cause=message.event, expected_sequence=message.sequence, fence=fence)
        except SequenceConflict:
            # Stop: it is said already, or the log has lost the confirmation, which is told again and heard then.
            return

    async def _land_again(self, message: Message[Confirmed]) -> None:
        confirmed = message.data
        pinned = await self._log.last(Pinned, operation=confirmed.operation, chunk=confirmed.chunk)
        collection = await self._collection(confirmed.collection)
        if pinned is None or collection is None:
            await self._missing(f"{message.subject} has no pinned content or no collection on the log")
        passage = self._relearner.passage if self._relearner is not None else None
        plan = await self._planner.standing(confirmed.operation, confirmed.chunk)
        planned = next((each for each in plan.transactions if each.tx == confirmed.tx), None) if plan else None
        if planned is None:
            await self._missing(f"{message.subject} was confirmed and never planned")
        await self._land(await self._transaction(message.event, collection, pinned.data, planned, passage, reopen=True))

    async def _missing(self, reason: str) -> NoReturn:
        """Raise MissingFact; RetryLater, without a limit, while nobody knows whether the log has only lost it."""
        if self._relearner is not None:
            await self._relearner.admitted()
        raise MissingFact(reason)

    async def _transaction(
        self,
        cause: Event[Fact],
        collection: CollectionCreated,
        pinned: Pinned,
        planned: PlannedTransaction,
        passage: Passage | None,
        *,
        reopen: bool = False,
        unspoken: bool = False,
    ) -> MintTransaction:
        table = await self._table(collection, planned)
        return MintTransaction(
            self._log,
            cause,
            collection,
            pinned,
            planned,
            table,
            self._wallet,
            passage=passage,
            reopen=reopen,
            unspoken=unspoken,
        )

    async def _table(self, collection: CollectionCreated, planned: PlannedTransaction) -> LookupTable | None:
        if planned.lookup_table is None:
            return None
        table = await self._trees.table(collection, planned.tree)
        if table is None or str(table.address) != planned.lookup_table:
            raise MissingFact(f"the plan names lookup table {planned.lookup_table}, which the log does not know")
        return table

    async def _collection_of(self, pinned: Pinned) -> CollectionCreated | None:
        """Return the chunk's collection; None when it was never created, which only a log that is whole can tell.

        Nobody asks for a mint into a collection that is not on the log. So if it is not there now, the log may have
        lost it, and with it what was signed. Raises RetryLater and MissingFact.
        """
        found = await self._collection(pinned.collection)
        if found is not None or self._relearner is None:
            return found
        if await self._relearner.begun(pinned):
            raise MissingFact(f"chunk {pinned.operation}.{pinned.chunk} is signed, and its collection not on the log")
        return await self._collection(pinned.collection)

    async def _collection(self, collection: UUID) -> CollectionCreated | None:
        found = await self._log.last(CollectionCreated, collection=collection)
        return found.data if found else None
