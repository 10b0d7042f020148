"""The signing gate: nothing is signed or sent while the log may have forgotten what was signed before.

Closed at the minter's start and whenever its connection to the log was lost. It opens when the indexer has answered a
challenge that was put on the log after the connection was back (`contracts.guard`). If the log ever lost its tail, it
opens only when the lost intents cannot land any more: the finalized block height is beyond every last valid block
height that they could have had. From then on each transaction is looked for on the chain by its mark before it is
signed or sent (`Gate.lost_attempt`); what is found goes back onto the log as the attempt that it was.

Asked by the lander. Not done here: restoring the log (the indexer), and landing.
"""

import asyncio
from collections.abc import AsyncGenerator, MutableMapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast
from uuid import UUID

import uuid_utils.compat as uuid_utils
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bubblegum.reference import reference
from chassis.clock import Clock
from chassis.connectivity import Connectivity
from chassis.log import EventLog, LogReader, LogUnavailable, Message, RawMessage, RetryLater, SequenceConflict
from chassis.logs import get_logger
from contracts.fact import Event
from contracts.guard import Bounded, Challenged, Truncated, Verified, Witness
from contracts.mint import Attempt
from contracts.registry import UndecodableMessage, decode
from contracts.streams import GUARD
from services.minter.ports import Chain, ChainUnavailable

LAG_MARGIN: Final = 32
"""Blocks by which the node that bounds a loss may be behind the one whose blockhash a lost intent carried."""
PATIENCE: Final = 2.0
"""Seconds that a landing waits at the closed gate before it hands its message back."""
HANDED_BACK: Final = 1.0
"""Seconds after which a message comes again that found the gate closed."""
PAUSE: Final = 0.5
"""Seconds between two tries of what the log or the chain could not answer, and between two looks at the height."""

_logger = get_logger(__name__)


class GateClosed(Exception):
    """Nothing may be signed or sent now; says why."""


@dataclass(frozen=True, slots=True)
class LostIntent:
    """A transaction that is on chain: its signature, and its bytes on the wire."""

    signature: str
    wire: bytes


class Trail(Protocol):
    """What the chain remembers of an address."""

    async def landed(self, mark: Pubkey, at_least: int) -> Sequence[LostIntent]:
        """Return the transactions without an error that name `mark`, oldest first, as of `at_least` (a slot) or later.

        Raises ChainUnavailable, also when the node that answers is not that far yet.
        """
        ...


class WatchedLog(EventLog, LogReader, Protocol):
    """The log, and whether the connection to it was cut."""

    @property
    def connectivity(self) -> Connectivity:
        """Counts the cuts."""
        ...

    @property
    def witnesses(self) -> MutableMapping[str, Witness]:
        """By stream: the newest message that was acknowledged to this process."""
        ...


@dataclass(frozen=True, slots=True)
class Horizon:
    """Up to where whatever was lost is settled: every bank from `slot` on shows all of it that ever landed.

    `block_height` is beyond no lost intent's last valid block height, so it bounds theirs.
    """

    block_height: int
    slot: int


@dataclass(frozen=True, slots=True)
class Passage:
    """The gate was open in this epoch of the connection; `horizon` is None when the log never lost anything."""

    epoch: int
    horizon: Horizon | None


def is_settled(finalized_height: int, bound: int) -> bool:
    """Return whether nothing with a last valid block height of at most `bound` can land any more.

    A transaction can land in the block after its last valid one (see `landing`); a finalized height beyond `bound`
    means that this block is settled as well.
    """
    return finalized_height > bound


class Gate:
    """Opens and closes by itself while `run` is running."""

    def __init__(self, log: WatchedLog, chain: Chain, trail: Trail, clock: Clock) -> None:
        self._log = log
        self._chain = chain
        self._trail = trail
        self._clock = clock
        self._passage: Passage | None = None
        self._opened = asyncio.Event()
        self._reason = "the log has not been verified since the minter started"

    @property
    def passage(self) -> Passage | None:
        """How the gate is open now; None while it is closed."""
        passage = self._passage
        return passage if passage is not None and passage.epoch == self._log.connectivity.epoch else None

    async def check(self) -> None:
        """Raise GateClosed with the reason; for readiness."""
        if self.passage is None:
            raise GateClosed(f"signing gate closed: {self._reason}")

    async def admit(self) -> Passage:
        """Return when the gate is open; raises RetryLater when that takes longer than a moment."""
        if (passage := self.passage) is not None:
            return passage
        with suppress(TimeoutError):  # stop waiting here: the message comes again
            async with asyncio.timeout(PATIENCE):
                while (passage := self.passage) is None:
                    self._opened.clear()
                    await self._opened.wait()
                return passage
        raise RetryLater(f"signing gate closed: {self._reason}", after=HANDED_BACK)

    async def landed(self, label: str, horizon: Horizon) -> Sequence[LostIntent]:
        """Return what is on chain under the mark of the transaction called `label`; raises ChainUnavailable."""
        return await self._trail.landed(reference(label), horizon.slot)

    async def lost_attempt(
        self, label: str, known: Sequence[Attempt], horizon: Horizon
    ) -> tuple[Attempt, bytes] | None:
        """Return the attempt of the transaction called `label` that is on chain and not among `known`, with its bytes.

        None when there is none, which at the horizon means that there never will be. Raises ChainUnavailable.
        """
        signatures = {attempt.signature for attempt in known}
        found = await self.landed(label, horizon)
        lost = [each for each in found if each.signature not in signatures]
        if not lost:
            return None
        if len(lost) > 1:
            # Never seen and never expected: a person must look. The oldest is what the log will say.
            _logger.critical(
                "more than one transaction landed", transaction=label, signatures=[e.signature for e in lost]
            )
        blockhash = VersionedTransaction.from_bytes(lost[0].wire).message.recent_blockhash
        _logger.warning("lost intent found on chain", transaction=label, signature=lost[0].signature)
        attempt = Attempt(
            number=len(known) + 1,
            signature=lost[0].signature,
            blockhash=str(blockhash),
            # The true height was lost with the intent; this one is not below it.
            last_valid_block_height=horizon.block_height,
        )
        return attempt, lost[0].wire

    async def run(self) -> None:
        """Verify, open, and begin again when the connection is lost or a loss is told of; until cancelled."""
        while True:
            epoch = self._log.connectivity.epoch
            self._passage = None
            try:
                await self._round(epoch)
            except (LogUnavailable, ChainUnavailable) as error:
                # Retry: closed until somebody can tell.
                self._reason = f"cannot verify the log: {error}"
                _logger.warning("signing gate stays closed", reason=self._reason)
                await self._clock.sleep(PAUSE)

    async def _round(self, epoch: int) -> None:
        self._reason = "waiting for the indexer to verify the log"
        leaving = asyncio.ensure_future(self._log.connectivity.left(epoch))
        working = asyncio.ensure_future(self._open_and_listen(epoch))
        try:
            await asyncio.wait((leaving, working), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            self._passage = None
            for task in (leaving, working):
                task.cancel()
            await asyncio.gather(leaving, working, return_exceptions=True)

    async def _open_and_listen(self, epoch: int) -> None:
        """Challenge, open when answered, and return when a loss is told of that the answer did not know."""
        challenge = Challenged(challenge=uuid_utils.uuid7(), witnesses=tuple(self._log.witnesses.values()))
        asked_at = await self._log.publish(challenge, cause=None)
        truncation: UUID | None = None
        async with aclosing(cast("AsyncGenerator[RawMessage]", self._log.read(GUARD, asked_at))) as messages:
            async for raw in messages:
                try:
                    event: Event[Any] = decode(raw.subject, raw.payload)
                except UndecodableMessage as error:
                    # Stop reading it: a newer version's fact, and no answer to this challenge.
                    _logger.warning("unreadable message about the log", reason=str(error))
                    continue
                if isinstance(event.data, Truncated):
                    if self._passage is not None:
                        return
                    self._log.witnesses.clear()
                elif isinstance(event.data, Verified) and event.data.challenge == challenge.challenge:
                    truncation = event.data.truncation
                    await self._open(epoch, truncation, event)

    async def _open(self, epoch: int, truncation: UUID | None, answer: Event[Verified]) -> None:
        horizon = None
        if truncation is not None:
            self._log.witnesses.clear()
            bound = await self._bound(truncation, answer)
            self._reason = f"waiting until nothing that the log lost can land: block height {bound} final"
            slot = await self._settled(bound)
            horizon = Horizon(bound, slot)
            newest = await self._log.last_matching(GUARD, Truncated.pattern())
            if newest is None or newest.data.truncation != truncation:
                raise LogUnavailable("another loss was told of meanwhile")
        self._passage = Passage(epoch, horizon)
        self._opened.set()
        _logger.info("signing gate open", reconciling=horizon is not None)

    async def _bound(self, truncation: UUID, answer: Event[Verified]) -> int:
        """Return the loss's bound, the first that any minter told; whoever is first reads it from the chain."""
        while True:
            told: Message[Bounded] | None = await self._log.last(Bounded, truncation=truncation)
            if told is not None:
                return told.data.block_height
            # A blockhash of now: whatever was signed before the loss carries an older one.
            height = (await self._chain.recent_blockhash()).last_valid_block_height + LAG_MARGIN
            with suppress(SequenceConflict):  # another minter told first: theirs holds
                await self._log.publish(
                    Bounded(truncation=truncation, block_height=height), cause=answer, expected_sequence=0
                )

    async def _settled(self, bound: int) -> int:
        """Return a finalized slot at which everything up to `bound` is settled."""
        while True:
            head = await self._chain.finalized_head()
            if is_settled(head.block_height, bound):
                return head.slot
            await self._clock.sleep(PAUSE)
