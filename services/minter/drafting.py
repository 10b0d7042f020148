"""Drafting: from work to a signed transaction. Who pays, what it costs, what it offers, whose signatures.

Used by the lander. Nothing here is put on the log or sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bubblegum.reach import MAX_TRANSACTION_BYTES
from bubblegum.reference import reference
from chassis.clock import Clock
from chassis.log import RetryLater
from chassis.logs import get_logger
from contracts.mint import FailureCode
from services.minter.fees import PriorityFees
from services.minter.funds import Funds, outlay
from services.minter.plan import MAX_COMPUTE_UNITS, LookupTable, compose, compute_limit, wire_size
from services.minter.ports import Chain, ChainUnavailable, RecentBlockhash
from services.minter.refusals import Refusal, classify
from services.minter.shapes import Shape, Shapes
from services.minter.signer import MessageRefused, Signer, SignerUnavailable, unsigned

PAUSE: Final = 5.0
"""Seconds before a request is tried again that the cluster cannot take now."""

_logger = get_logger(__name__)


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


@dataclass(frozen=True, slots=True)
class Paid:
    """Instructions, and the account that pays for the transaction."""

    payer: Pubkey
    instructions: Sequence[Instruction]


@dataclass(frozen=True, slots=True)
class Draft:
    """A signed transaction that is on no log yet, and the blockhash that it carries."""

    transaction: VersionedTransaction
    blockhash: RecentBlockhash


class Drafter:
    """Drafts transactions. Methods raise RetryLater when they cannot go on now."""

    def __init__(
        self,
        chain: Chain,
        signer: Signer,
        clock: Clock,
        *,
        fees: PriorityFees | None = None,
        funds: Funds | None = None,
    ) -> None:
        """Without `fees` no priority fee is offered; without `funds` nobody asks what can be paid."""
        self._chain = chain
        self._signer = signer
        self._fees = fees
        self._funds = funds
        self._shapes = Shapes(clock)

    def forget(self, shape: Shape | None) -> None:
        """Forget what is known of transactions of this shape: one of them was refused."""
        self._shapes.forget(shape)

    async def draft(self, work: Work, *, first: bool) -> Draft | Refusal:
        """Return the work as a signed transaction with a fresh blockhash, or why it would be refused.

        Not the `first` time it is simulated in any case: the first one did not land by what was known.
        """
        try:
            paid = await self._paid(work)
            blockhash = await self._chain.recent_blockhash()
            known = self._shapes.units(work.shape) if first else None
            compute_units = await self._simulate(work, paid, blockhash) if known is None else known
        except ChainUnavailable as error:
            # Nothing was signed. Try again later: no node could be asked.
            raise RetryLater(f"planning {work.label}: {error}", after=1.0) from error
        if isinstance(compute_units, Refusal):
            return compute_units
        signed = await self._signed(work, paid, blockhash, compute_units)
        return signed if isinstance(signed, Refusal) else Draft(signed, blockhash)

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
