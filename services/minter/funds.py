"""The wallet's money, and that of further fee payers: who can pay for what comes next, and waiting until one can.

Used by the lander before it signs anything, and after a simulation that says that the payer cannot pay. A shortage is
no failure of anybody's request: it is said once on the log (`mint.paused`, whichever of several minters is first), the
work that cannot be paid for is handed back to be delivered again, and a look at the balance now and then ends it
(`mint.resumed`). What was signed before is followed to its end meanwhile. Work that the wallet still can pay for goes
on: a tree that costs more than there is does not hold up mints.

Mints are paid for by the wallet and the fee payers in turn. One that is empty is left out, which the minter's own lines
and its readiness report tell; a shortage is said of the wallet, on the log, when none of them can pay.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final, cast

from solders.instruction import CompiledInstruction, Instruction
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM

from chassis.clock import Clock
from chassis.log import EventLog, LogUnavailable, Message, RetryLater, SequenceConflict
from chassis.logs import get_logger
from contracts.fact import Fact
from contracts.streams import MINT
from contracts.wallet import PAUSE_RENEWAL, Paused, Resumed, wallet_fence
from services.minter.ports import ChainUnavailable
from services.minter.purse import Balances, Purse
from services.minter.refusals import INSUFFICIENT_LAMPORTS, TransactionError

FIRST_DELAY, LAST_DELAY = 1.0, 15.0
"""Seconds between two looks at the balance while work waits: doubled each time, up to the second number."""
_SPENDING: Final = {0: 4, 2: 4}
"""The system program's instructions that take lamports from their first account (CreateAccount, Transfer): their
number, a u32, and where the amount, a u64, stands in their data."""

_logger = get_logger(__name__)


class Doubt(IntEnum):
    """Whether an error says that the payer cannot pay; ordered."""

    NO = 0
    MAYBE = 1
    """A program that calls others may pass the system program's error on, or mean its own by the number."""
    YES = 2


class Funds:
    """Whether the wallet can pay, and who pays for a mint."""

    def __init__(
        self,
        wallet: Pubkey,
        balances: Balances,
        log: EventLog,
        clock: Clock,
        *,
        reserve: int,
        payers: Sequence[Pubkey] = (),
    ) -> None:
        """`reserve` is what a payer must hold, in lamports, beyond what instructions name.

        `payers` share the mints with the wallet.
        """
        self._wallet = wallet
        self._purse = Purse(wallet, balances, clock)
        self._purses = (
            self._purse,
            *(Purse(payer, balances, clock, str(number)) for number, payer in enumerate(payers, start=1)),
        )
        self._left_out: set[Pubkey] = set()
        self._turns = itertools.cycle(range(len(self._purses)))
        self._log = log
        self._clock = clock
        self._reserve = reserve
        self._paused: Paused | None = None
        self._waiting = asyncio.Event()
        self._delay = FIRST_DELAY
        self._telling = asyncio.Lock()

    async def require(self, outlay: int) -> None:
        """Return when the wallet holds `outlay` lamports and the reserve; otherwise pause and raise RetryLater.

        Raises ChainUnavailable when nobody can tell.
        """
        balance = await self._purse.read()
        if self._paused is not None and balance >= self._paused.needed:
            await self._tend()
        if balance < self._reserve + outlay:
            raise await self._pause(self._reserve + outlay)

    async def choose(self) -> Pubkey:
        """Return who pays for the next mint: the wallet and the fee payers in turn, without those that cannot pay.

        When none can, pauses and raises RetryLater. Raises ChainUnavailable when nobody can tell.
        """
        turn = next(self._turns)
        for purse in (*self._purses[turn:], *self._purses[:turn]):
            if await self._able(purse):
                if self._paused is not None and self._paused.needed <= self._reserve:
                    await self._tend()
                return purse.address
        raise await self._pause(self._reserve)

    async def refused(self, error: TransactionError, message: MessageV0, outlay: int, *, shared: bool = False) -> None:
        """Raise RetryLater if `error`, which the chain met `message` with, is that its payer cannot pay.

        The wallet is paused; with `shared`, the payer was chosen, and the next choice leaves it out instead. Raises
        ChainUnavailable when nobody can tell what it holds.
        """
        doubt = cannot_pay(error, message)
        if doubt is Doubt.NO:
            return
        if shared and len(self._purses) > 1:
            await self._leave_out(message.account_keys[0], doubt)
            return
        before, needed = self._purse.balance, self._reserve + outlay
        balance = await self._purse.read(0.0)
        if balance < needed:
            raise await self._pause(needed)
        if doubt is Doubt.YES and balance == before:
            # By our sums it could pay. The chain's word counts: the reserve is too small for these fees or rents.
            raise await self._pause(balance + self._reserve)

    async def _able(self, purse: Purse) -> bool:
        """Return whether the payer can pay for a mint; logs when that changes."""
        able = await purse.affords(self._reserve)
        if able is (purse.address in self._left_out):
            self._left_out ^= {purse.address}
            tell = _logger.info if able else _logger.warning
            tell(
                "fee payer pays again" if able else "fee payer left out",
                wallet=str(purse.address),
                balance=purse.balance,
            )
        return able

    async def _leave_out(self, payer: Pubkey, doubt: Doubt) -> None:
        purse = next(each for each in self._purses if each.address == payer)
        before, balance = purse.balance, await purse.read(0.0)
        if balance >= self._reserve and (doubt is Doubt.MAYBE or balance != before):
            return
        await purse.refuse()
        _logger.error("fee payer cannot pay, others go on", wallet=str(payer), balance=balance)
        raise RetryLater(f"fee payer {payer} cannot pay", after=FIRST_DELAY)

    async def holdings(self) -> Mapping[Pubkey, int]:
        """Return the lamports of the wallet, which comes first, and of each fee payer. Raises ChainUnavailable."""
        return {purse.address: await purse.read() for purse in self._purses}

    async def check(self) -> None:
        """Raise InsufficientSol while work waits for SOL; for health reports."""
        if self._paused is not None:
            raise InsufficientSol(self._paused.sentence())

    async def run(self) -> None:
        """Look at the balance while work waits, and say when it goes on; until cancelled."""
        while True:
            known = True
            try:
                await self._tend()
            except (ChainUnavailable, LogUnavailable) as error:
                # Nothing is known: look again. The work waits on, and nothing can be lost by that.
                _logger.warning("wallet not looked at", wallet=str(self._wallet), reason=str(error))
                known = False
            if known and self._paused is None:
                await self._waiting.wait()
            await self._clock.sleep(self._delay)
            self._delay = min(LAST_DELAY, self._delay * 2)

    async def _pause(self, needed: int) -> RetryLater:
        """See that the log says that work waits for `needed` lamports; return what to raise."""
        async with self._telling:
            if self._paused is None or self._paused.needed < needed:
                balance = await self._purse.read(0.0)
                if balance < needed:
                    await self._say_paused(balance, needed)
        return RetryLater(f"wallet {self._wallet} needs {needed} lamports", after=self._delay)

    async def _say_paused(self, balance: int, needed: int) -> None:
        newest = await self._newest()
        if newest is not None and isinstance(newest.data, Paused) and newest.data.needed >= needed:
            # Another minter has said it, or this one in an earlier life.
            self._wait(newest.data)
            return
        paused = Paused(wallet=str(self._wallet), balance=balance, needed=needed)
        await self._publish(paused, newest)
        self._wait(paused)
        _logger.error("wallet cannot pay, its work waits", wallet=paused.wallet, balance=balance, needed=needed)

    async def _tend(self) -> None:
        """Take over what the log says; say `resumed` when the wallet can pay, and the pause again when it lasts."""
        async with self._telling:
            newest = await self._newest()
            if newest is None or not isinstance(newest.data, Paused):
                self._go_on()
                return
            paused = newest.data
            self._wait(paused)
            balance = await self._purse.read(0.0)
            if balance >= paused.needed or await self._relieved(paused):
                await self._publish(Resumed(wallet=paused.wallet, balance=balance), newest)
                self._go_on()
                _logger.info("wallet can pay again", wallet=paused.wallet, balance=balance)
            elif (self._clock.now() - newest.event.time).total_seconds() >= PAUSE_RENEWAL:
                await self._publish(Paused(wallet=paused.wallet, balance=balance, needed=paused.needed), newest)

    async def _relieved(self, paused: Paused) -> bool:
        """Return whether only mints wait, and another payer can pay for them."""
        if paused.needed > self._reserve:
            return False
        return any([await purse.affords(self._reserve) for purse in self._purses[1:]])

    async def _publish(self, fact: Fact, newest: Message[Fact] | None) -> None:
        try:
            await self._log.publish(
                fact,
                cause=None,
                expected_sequence=newest.sequence if newest else 0,
                fence=wallet_fence(str(self._wallet)),
            )
        except SequenceConflict:
            # Go on: another minter with this wallet was first. The next look reads what it said.
            _logger.info("another minter spoke of the wallet", wallet=str(self._wallet))

    async def _newest(self) -> Message[Fact] | None:
        return await self._log.last_matching(MINT, wallet_fence(str(self._wallet)))

    def _wait(self, paused: Paused) -> None:
        if self._paused is None:
            self._delay = FIRST_DELAY
        self._paused = paused
        self._waiting.set()

    def _go_on(self) -> None:
        self._paused = None
        self._waiting.clear()
        self._delay = FIRST_DELAY


class InsufficientSol(Exception):
    """The wallet's work waits for SOL; the text says how much it holds and needs."""


def outlay(work: Sequence[Instruction], wallet: Pubkey) -> int:
    """Return the lamports that the instructions take from `wallet` by their own words.

    What programs take when they create accounts themselves is not among them; the reserve has to cover that and fees.
    """
    total = 0
    for instruction in work:
        data = bytes(instruction.data)
        start = _SPENDING.get(int.from_bytes(data[:4], "little"))
        if instruction.program_id == SYSTEM_PROGRAM and start is not None and instruction.accounts[0].pubkey == wallet:
            total += int.from_bytes(data[start : start + 8], "little")
    return total


def cannot_pay(error: TransactionError, message: MessageV0) -> Doubt:
    """Return whether `error`, which `message` met, is that its fee payer has too little; by structure and number."""
    if isinstance(error, str):
        # AccountNotFound is of the fee payer alone: its account does not exist, for nothing is in it.
        return Doubt.YES if error in ("InsufficientFundsForFee", "AccountNotFound") else Doubt.NO
    if isinstance(rent := error.get("InsufficientFundsForRent"), Mapping):
        return Doubt.YES if cast("Mapping[str, object]", rent).get("account_index") == 0 else Doubt.NO
    instruction = _short_instruction(error, message)
    if instruction is None:
        return Doubt.NO
    if message.account_keys[instruction.program_id_index] != SYSTEM_PROGRAM:
        return Doubt.MAYBE
    return Doubt.YES if instruction.accounts[:1] == b"\x00" else Doubt.NO


def _short_instruction(error: Mapping[str, object], message: MessageV0) -> CompiledInstruction | None:
    """Return the instruction that failed with the system program's number for too few lamports, if that is it."""
    detail = error.get("InstructionError")
    if not isinstance(detail, list | tuple) or len(cast("list[object]", detail)) != 2:
        return None
    index, kind = cast("tuple[object, object]", detail)
    if not isinstance(index, int) or kind != {"Custom": INSUFFICIENT_LAMPORTS}:
        return None
    return message.instructions[index]
