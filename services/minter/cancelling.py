"""Ending what a cancelled operation has not signed: everything that no attempt stands for can be failed for good.

Handles `mint.cancelled` for the chunks that are pinned by then; `minting` does the same for those pinned later.
Every `failed` is published under its transaction's fence, expecting that nothing was ever said of it: where an attempt
is on the log the publish is refused, and that transaction goes its own way to its end. Not done here: chunks that are
not pinned, which the ipfs service ends.
"""

import asyncio
from typing import Final

from chassis.log import EventLog, InvalidEvent, Message, SequenceConflict
from chassis.logs import get_logger
from contracts.fact import Event
from contracts.mint import Cancelled, Failed, FailureCode, ItemFailure, Pinned, Requested, transaction_fence
from services.minter.plan import PlannedTransaction, transactions

REASON: Final = "The operation was cancelled before this NFT was minted."
CURE: Final = "Send the mint again if it is wanted after all."

_logger = get_logger(__name__)


class Cancelling:
    """The handler of the minter's consumer of cancellations."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def on_cancelled(self, message: Message[Cancelled]) -> None:
        """End the unsigned transactions of every chunk that is pinned."""
        operation = message.data.operation
        requested = await self._log.last(Requested, operation=operation)
        if requested is None:
            raise InvalidEvent(f"{message.subject} cancels what was never requested")
        ended = 0
        for chunk in range(requested.data.chunk_count):
            pinned = await self._log.last(Pinned, operation=operation, chunk=chunk)
            if pinned is not None:
                ended += await end_unsigned(self._log, message.event, pinned.data)
        _logger.info("operation cancelled", operation=str(operation), transactions=ended)


async def end_unsigned(log: EventLog, cancelled: Event[Cancelled], pinned: Pinned) -> int:
    """Fail every transaction of the chunk of which nothing was said yet; return how many. Raises LogUnavailable."""
    return sum(await asyncio.gather(*(_end(log, cancelled, pinned, planned) for planned in transactions(pinned))))


async def _end(log: EventLog, cancelled: Event[Cancelled], pinned: Pinned, planned: PlannedTransaction) -> bool:
    items = tuple(item.index for item in planned.items)
    failure = ItemFailure(items=items, code=FailureCode.CANCELLED, reason=REASON, cure=CURE)
    failed = Failed(operation=pinned.operation, chunk=pinned.chunk, tx=planned.tx, failure=failure)
    fence = transaction_fence(pinned.operation, pinned.chunk, planned.tx)
    try:
        await log.publish(failed, cause=cancelled, expected_sequence=0, fence=fence)
    except SequenceConflict:  # go on: it is signed or has ended, and may have landed
        return False
    return True
