"""Ending what a cancelled operation has not signed: everything that no attempt stands for can be failed for good.

Handles `mint.cancelled` for the chunks that are pinned by then; `minting` does the same for those pinned later.
Every `failed` is published under its transaction's fence, expecting that nothing was ever said of it: where an attempt
is on the log the publish is refused, and that transaction goes its own way to its end. Not done here: chunks that are
not pinned, which the ipfs service ends.
"""

import asyncio
from typing import Final

from chassis.log import EventLog, Message, MissingFact, SequenceConflict
from chassis.logs import get_logger
from contracts.fact import Event, Fact
from contracts.mint import Cancelled, Failed, FailureCode, ItemFailure, Pinned, Planned, Requested, transaction_fence
from services.minter.planning import agreed
from services.minter.refusals import Refusal

CANCELLED: Final = Refusal(
    FailureCode.CANCELLED,
    "The operation was cancelled before this NFT was minted.",
    "Send the mint again if it is wanted after all.",
)

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
            raise MissingFact(f"{message.subject} cancels what was never requested")
        ended = 0
        for chunk in range(requested.data.chunk_count):
            pinned = await self._log.last(Pinned, operation=operation, chunk=chunk)
            if pinned is not None:
                ended += await end_unsigned(self._log, message.event, pinned.data)
        _logger.info("operation cancelled", operation=str(operation), transactions=ended)


async def end_unsigned(log: EventLog, cause: Event[Fact], pinned: Pinned, refusal: Refusal = CANCELLED) -> int:
    """Fail every transaction of the chunk of which nothing was said yet; return how many.

    A chunk without a plan gets an empty one, so that nobody plans it afterwards. Raises RetryLater and LogUnavailable.
    """
    nothing = Planned(operation=pinned.operation, chunk=pinned.chunk, collection=pinned.collection, transactions=())
    plan = await agreed(log, cause, nothing)
    parts = {planned.tx: planned.items for planned in plan.transactions}
    everything = {0: tuple(item.index for item in pinned.items)}
    ends = [_end(log, cause, pinned, tx, items, refusal) for tx, items in (parts or everything).items()]
    return sum(await asyncio.gather(*ends))


async def _end(
    log: EventLog, cause: Event[Fact], pinned: Pinned, tx: int, items: tuple[int, ...], refusal: Refusal
) -> bool:
    failure = ItemFailure(items=items, code=refusal.code, reason=refusal.reason, cure=refusal.cure)
    failed = Failed(operation=pinned.operation, chunk=pinned.chunk, tx=tx, failure=failure)
    fence = transaction_fence(pinned.operation, pinned.chunk, tx)
    try:
        await log.publish(failed, cause=cause, expected_sequence=0, fence=fence)
    except SequenceConflict:  # go on: it is signed or has ended, and may have landed
        return False
    return True
