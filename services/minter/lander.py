"""The landing protocol: plan, intend, send, judge; the shell around `landing.next_step`.

For each side effect, what is persisted before it: a send has its bytes on the log; a second signature has the proof
of the first one's death in the step that led to it, and the fence refuses it if anybody else spoke meanwhile. Dying on
any line leaves the log saying what is in flight, and the next worker starts by reading it.
"""

import asyncio
import base64
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from chassis import telemetry
from chassis.clock import Clock
from chassis.log import RetryLater, SequenceConflict
from chassis.logs import get_logger
from contracts.mint import Attempt
from services.minter.drafting import Drafter, Work
from services.minter.fees import PriorityFees
from services.minter.funds import Funds
from services.minter.gate import Gate, Passage
from services.minter.landing import Landed, Refused, Send, Sign, SignatureState, Wait, next_step
from services.minter.plan import wire_text
from services.minter.ports import Chain, ChainUnavailable
from services.minter.refusals import Refusal
from services.minter.signer import Signer
from services.minter.watcher import SignatureWatcher

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """What the log holds of one transaction: every attempt, and the newest one's wire bytes."""

    attempts: tuple[Attempt, ...]
    wire: bytes


class Settled(Exception):
    """The log already says how this transaction ended; there is nothing left to do."""


class Transaction(Work, Protocol):
    """One transaction to land, and its place on the log."""

    async def read(self) -> SignedRecord | None:
        """Return what the log holds; None when nothing was signed yet. Raises Settled when it has ended."""
        ...

    def made_in(self, passage: Passage) -> bool:
        """Return whether what the transaction is made from was read in this passage of the gate, or is never lost."""
        ...

    async def intend(self, attempt: Attempt, wire_base64: str, earlier: tuple[Attempt, ...]) -> None:
        """Put the attempt on the log if nobody has spoken since the last `read` or `intend`; else SequenceConflict."""
        ...


@dataclass(frozen=True, slots=True)
class OnChain:
    """The transaction landed with this attempt."""

    attempt: Attempt
    state: SignatureState


class Lander:
    """Lands transactions, each exactly once; at most `max_in_flight` at a time."""

    def __init__(
        self,
        chain: Chain,
        signer: Signer,
        watcher: SignatureWatcher,
        clock: Clock,
        *,
        max_in_flight: int,
        fees: PriorityFees | None = None,
        funds: Funds | None = None,
        gate: Gate | None = None,
    ) -> None:
        """Without `fees` no priority fee is offered; without `funds` nobody asks what can be paid.

        Without a `gate` the log is taken for one that forgets nothing.
        """
        self._chain = chain
        self._drafter = Drafter(chain, signer, clock, fees=fees, funds=funds)
        self._watcher = watcher
        self._clock = clock
        self._slots = asyncio.Semaphore(max_in_flight)
        self._gate = gate
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let every landing hand its transaction back at its next step; the log says where it stands."""
        self._stopping.set()

    async def land(self, transaction: Transaction) -> OnChain | Refusal:
        """Return once the transaction is on chain or provably never will be.

        Raises Settled when the log already says how it ended, RetryLater when it cannot go on now.
        """
        async with self._slots:
            with telemetry.span(
                "land transaction",
                attributes={"mintstream.transaction": transaction.label},
                expected=(RetryLater, Settled),
            ):
                return await self._land(transaction)

    async def _land(self, transaction: Transaction) -> OnChain | Refusal:
        record = await transaction.read()
        passed: Passage | None = None
        sent_at: float | None = None
        fresh = False
        while True:
            if self._stopping.is_set():
                raise RetryLater("the minter is stopping", after=0.0)
            attempts = record.attempts if record else ()
            # What was signed just now is nowhere yet, and what is on the log may be sent: no look comes before that.
            view = await self._watcher.view(attempts) if attempts and not fresh else None
            fresh = False
            since_send = None if sent_at is None else self._clock.monotonic() - sent_at
            step = next_step(attempts, view, since_send)
            if self._gate is not None and isinstance(step, Sign | Send):
                passage = await self._gate.admit()
                if passage != passed:
                    record, passed = await self._readmit(self._gate, passage, transaction, record), passage
                    continue
            match step:
                case Sign(number=number):
                    signed = await self._sign(transaction, number, attempts, passed)
                    if isinstance(signed, Refusal):
                        return signed
                    record, sent_at = signed or await transaction.read(), None
                    fresh = True
                case Send():
                    assert record is not None
                    await self._send(record, transaction.label)
                    sent_at = self._clock.monotonic()
                case Wait():
                    continue
                case Landed(attempt=attempt, state=state):
                    return OnChain(attempt, state)
                case Refused(refusal=refusal):
                    # What was known of its like is no longer so: the next one is simulated before it is signed.
                    self._drafter.forget(transaction.shape)
                    return refusal

    async def _readmit(
        self, gate: Gate, passage: Passage, transaction: Transaction, record: SignedRecord | None
    ) -> SignedRecord | None:
        """Return what the log holds, with what it had lost of this transaction and the chain has not."""
        if passage.horizon is None:
            return record
        if not transaction.made_in(passage):
            # What it was made from may be lost, and made anew by whoever begins at the beginning, perhaps otherwise.
            raise RetryLater(f"{transaction.label} was made from what the log may have lost", after=0.0)
        record = await transaction.read()
        earlier = record.attempts if record else ()
        try:
            lost = await gate.lost_attempt(transaction.label, earlier, passage.horizon)
        except ChainUnavailable as error:
            # Unknown is not absent: neither signed nor sent until a node can tell.
            raise RetryLater(f"looking for {transaction.label} on chain: {error}", after=1.0) from error
        if lost is None:
            return record
        attempt, wire = lost
        # A conflict means that another worker has put it back, or spoken of it: what the log says now is what counts.
        with suppress(SequenceConflict):
            await transaction.intend(attempt, base64.b64encode(wire).decode(), earlier)
        return await transaction.read()

    async def _sign(
        self, transaction: Transaction, number: int, earlier: tuple[Attempt, ...], passed: Passage | None
    ) -> SignedRecord | Refusal | None:
        """Plan and intend one attempt; return what the log holds then, None when the caller has to read that anew.

        So it does when somebody else was first, and when the gate that was `passed` has closed meanwhile.
        """
        draft = await self._drafter.draft(transaction, first=number == 1)
        if self._gate is not None and self._gate.passage != passed:
            return None
        if isinstance(draft, Refusal):
            # Another worker's attempt may be why: that was on the log before it could be on the chain.
            told = await transaction.read()
            return draft if (told.attempts if told else ()) == earlier else told
        blockhash = draft.blockhash
        attempt = Attempt(
            number=number,
            signature=str(draft.transaction.signatures[0]),
            blockhash=str(blockhash.blockhash),
            last_valid_block_height=blockhash.last_valid_block_height,
        )
        if attempt.signature in {each.signature for each in earlier}:
            # The same bytes again, which are dead: the blockhash has not moved on since. Soon it will have.
            raise RetryLater(f"{transaction.label} waits for another blockhash", after=1.0)
        try:
            await transaction.intend(attempt, wire_text(draft.transaction), earlier)
        except SequenceConflict:
            # Another worker holds this attempt. Our bytes were sent nowhere and are forgotten here.
            _logger.info("following another worker's attempt", transaction=transaction.label, number=number)
            return None
        # Acknowledged under its fence, so this is what a read would tell.
        return SignedRecord((*earlier, attempt), bytes(draft.transaction))

    async def rehearse(self, work: Work) -> Refusal | None:
        """See `Drafter.rehearse`."""
        return await self._drafter.rehearse(work)

    async def _send(self, record: SignedRecord, label: str) -> None:
        try:
            with telemetry.span(
                "sendTransaction",
                kind=telemetry.SpanKind.CLIENT,
                attributes={
                    "rpc.system.name": "jsonrpc",
                    "rpc.method": "sendTransaction",
                    "solana.signature": record.attempts[-1].signature,
                },
            ):
                await self._chain.send(record.wire)
        except ChainUnavailable as error:
            # It may have been taken all the same. The loop looks at the chain and sends again.
            _logger.warning("send not acknowledged", transaction=label, reason=str(error))


def wire_bytes(wire_base64: str) -> bytes:
    """Return the wire bytes of a transaction that the log holds."""
    return base64.b64decode(wire_base64, validate=True)
