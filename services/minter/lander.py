"""The landing protocol: plan, intend, send, judge; the shell around `landing.next_step`.

For each side effect, what is persisted before it: a send has its bytes on the log; a second signature has the proof
of the first one's death in the step that led to it, and the fence refuses it if anybody else spoke meanwhile. Dying on
any line leaves the log saying what is in flight, and the next worker starts by reading it.
"""

import asyncio
import base64
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bubblegum.reach import MAX_TRANSACTION_BYTES
from chassis.clock import Clock
from chassis.log import RetryLater, SequenceConflict
from chassis.logs import get_logger
from contracts.mint import Attempt, FailureCode
from services.minter.fees import PriorityFees
from services.minter.funds import Funds, outlay
from services.minter.gate import Gate, Passage
from services.minter.landing import Landed, Refused, Send, Sign, SignatureState, Wait, next_step
from services.minter.plan import (
    MAX_COMPUTE_UNITS,
    LookupTable,
    compose,
    compute_limit,
    reference,
    wire_size,
    wire_text,
)
from services.minter.ports import Chain, ChainUnavailable, RecentBlockhash
from services.minter.refusals import Refusal, classify
from services.minter.shapes import Shape, Shapes
from services.minter.signer import MessageRefused, Signer, SignerUnavailable, unsigned
from services.minter.watcher import SignatureWatcher

PAUSE = 5.0
"""Seconds before a request is tried again that the cluster cannot take now (busy, or the wallet is empty)."""

_logger = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """What the log holds of one transaction: every attempt, and the newest one's wire bytes."""

    attempts: tuple[Attempt, ...]
    wire: bytes


class Settled(Exception):
    """The log already says how this transaction ended; there is nothing left to do."""


class Work(Protocol):
    """What a transaction is to do."""

    @property
    def label(self) -> str:
        """What it is, for log lines and for its mark on chain: no other transaction has the same."""
        ...

    @property
    def co_signers(self) -> Sequence[str]:
        """Purposes of the derived keys that sign beside the wallet."""
        ...

    @property
    def tables(self) -> Sequence[LookupTable]:
        """The address lookup tables that it is compiled with."""
        ...

    @property
    def shape(self) -> Shape | None:
        """What it has in common with others that cost as much; None when it must be simulated for itself."""
        ...

    @property
    def shared(self) -> bool:
        """Whether any of the fee payers may pay for it; otherwise the wallet does."""
        ...

    async def instructions(self, payer: Pubkey) -> Sequence[Instruction]:
        """Return what the transaction is to do, paid for by `payer`. May raise ChainUnavailable."""
        ...


class Transaction(Work, Protocol):
    """One transaction to land, and its place on the log."""

    async def read(self) -> SignedRecord | None:
        """Return what the log holds; None when nothing was signed yet. Raises Settled when it has ended."""
        ...

    async def intend(self, attempt: Attempt, wire_base64: str, earlier: tuple[Attempt, ...]) -> None:
        """Put the attempt on the log if nobody has spoken since `read`; raises SequenceConflict."""
        ...


@dataclass(frozen=True, slots=True)
class OnChain:
    """The transaction landed with this attempt."""

    attempt: Attempt
    state: SignatureState


@dataclass(frozen=True, slots=True)
class Paid:
    """Instructions, and the account that pays for the transaction."""

    payer: Pubkey
    instructions: Sequence[Instruction]


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
        self._signer = signer
        self._watcher = watcher
        self._clock = clock
        self._slots = asyncio.Semaphore(max_in_flight)
        self._fees = fees
        self._funds = funds
        self._gate = gate
        self._shapes = Shapes(clock)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let every landing hand its transaction back at its next step; the log says where it stands."""
        self._stopping.set()

    async def land(self, transaction: Transaction) -> OnChain | Refusal:
        """Return once the transaction is on chain or provably never will be.

        Raises Settled when the log already says how it ended, RetryLater when it cannot go on now.
        """
        async with self._slots:
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
                    refusal = await self._sign(transaction, number, attempts)
                    if refusal is not None:
                        return refusal
                    record, sent_at = await transaction.read(), None
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
                    self._shapes.forget(transaction.shape)
                    return refusal

    async def _readmit(
        self, gate: Gate, passage: Passage, transaction: Transaction, record: SignedRecord | None
    ) -> SignedRecord | None:
        """Return what the log holds, with what it had lost of this transaction and the chain has not."""
        if passage.horizon is None:
            return record
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

    async def _sign(self, transaction: Transaction, number: int, earlier: tuple[Attempt, ...]) -> Refusal | None:
        """Plan and intend one attempt. A refused intention is no error: the caller reads who was first."""
        try:
            paid = await self._paid(transaction)
            blockhash = await self._chain.recent_blockhash()
            # A second attempt is simulated for itself: the first one did not land by what was known.
            known = self._shapes.units(transaction.shape) if number == 1 else None
            compute_units = await self._simulate(transaction, paid, blockhash) if known is None else known
        except ChainUnavailable as error:
            # Nothing was signed. Try again later: no node could be asked.
            raise RetryLater(f"planning {transaction.label}: {error}", after=1.0) from error
        if isinstance(compute_units, Refusal):
            return compute_units
        signed = await self._signed(transaction, paid, blockhash, compute_units)
        if isinstance(signed, Refusal):
            return signed
        attempt = Attempt(
            number=number,
            signature=str(signed.signatures[0]),
            blockhash=str(blockhash.blockhash),
            last_valid_block_height=blockhash.last_valid_block_height,
        )
        if attempt.signature in {each.signature for each in earlier}:
            # The same bytes again, which are dead: the blockhash has not moved on since. Soon it will have.
            raise RetryLater(f"{transaction.label} waits for another blockhash", after=1.0)
        try:
            await transaction.intend(attempt, wire_text(signed), earlier)
        except SequenceConflict:
            # Another worker holds this attempt. Our bytes were sent nowhere and are forgotten here.
            _logger.info("following another worker's attempt", transaction=transaction.label, number=number)
        return None

    async def _paid(self, work: Work) -> Paid:
        """Return the work's instructions and who pays. Raises RetryLater when nobody can, and ChainUnavailable."""
        wallet = self._signer.pubkey
        if self._funds is not None and work.shared:
            payer = await self._funds.choose()
            paid = Paid(payer, await work.instructions(payer))
            # A plan that was made without fee payers may have no room for one: the wallet pays then.
            if payer == wallet or wire_size(_widest(work, paid)) <= MAX_TRANSACTION_BYTES:
                return paid
        paid = Paid(wallet, await work.instructions(wallet))
        if self._funds is not None:
            await self._funds.require(outlay(paid.instructions, wallet))
        return paid

    async def _signed(
        self, transaction: Work, paid: Paid, blockhash: RecentBlockhash, compute_units: int
    ) -> VersionedTransaction | Refusal:
        price = await self._fees.price(paid.instructions, compute_units) if self._fees else 0
        message = compose(
            paid.instructions,
            paid.payer,
            blockhash,
            mark=reference(transaction.label),
            compute_units=compute_units,
            micro_lamports=price,
            tables=transaction.tables,
        )
        try:
            return await self._signer.sign(message, transaction.co_signers)
        except MessageRefused as error:
            _logger.error("signer refused", transaction=transaction.label, reason=str(error))
            return Refusal(
                FailureCode.SIGNER_REFUSED,
                f"The minter's signer may not sign this transaction: {error}.",
                "Compare the transaction with the signer's policy, then raise the ceiling or correct the request.",
            )
        except SignerUnavailable as error:
            # Nothing was signed. Try again later: the key is elsewhere, and nobody answers there.
            raise RetryLater(f"signing {transaction.label}: {error}", after=1.0) from error

    async def rehearse(self, work: Work) -> Refusal | None:
        """Simulate what is not to be signed yet, unless its shape is known; return the refusal that it met, if any.

        Raises RetryLater when it cannot go on now.
        """
        if self._shapes.units(work.shape) is not None:
            return None
        try:
            outcome = await self._simulate(work, await self._paid(work), await self._chain.recent_blockhash())
        except ChainUnavailable as error:
            # Nothing was decided. Try again later: no node could be asked.
            raise RetryLater(f"rehearsing {work.label}: {error}", after=1.0) from error
        return outcome if isinstance(outcome, Refusal) else None

    async def _simulate(self, transaction: Work, paid: Paid, blockhash: RecentBlockhash) -> int | Refusal:
        work = paid.instructions
        message = compose(
            work,
            paid.payer,
            blockhash,
            mark=reference(transaction.label),
            compute_units=MAX_COMPUTE_UNITS,
            micro_lamports=0,
            tables=transaction.tables,
        )
        outcome = await self._chain.simulate(unsigned(message))
        if outcome.error is None:
            units = compute_limit(outcome.units_consumed, len(work))
            self._shapes.learn(transaction.shape, units)
            return units
        if self._funds is not None:
            spent = outlay(work, self._signer.pubkey)
            await self._funds.refused(outcome.error, message, spent, shared=transaction.shared)
        refusal = classify(outcome.error)
        if refusal is None:
            raise RetryLater(f"{transaction.label} cannot land now: {outcome.error}", after=PAUSE)
        return refusal

    async def _send(self, record: SignedRecord, label: str) -> None:
        try:
            await self._chain.send(record.wire)
        except ChainUnavailable as error:
            # It may have been taken all the same. The loop looks at the chain and sends again.
            _logger.warning("send not acknowledged", transaction=label, reason=str(error))


def _widest(work: Work, paid: Paid) -> MessageV0:
    """Return the longest message of the work: one with a priority fee."""
    return compose(
        paid.instructions,
        paid.payer,
        RecentBlockhash(Hash.default(), 0),
        mark=reference(work.label),
        compute_units=MAX_COMPUTE_UNITS,
        micro_lamports=1,
        tables=work.tables,
    )


def wire_bytes(wire_base64: str) -> bytes:
    """Return the wire bytes of a transaction that the log holds."""
    return base64.b64decode(wire_base64, validate=True)
