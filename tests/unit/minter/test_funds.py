"""A wallet that cannot pay: what says so, who says it, what waits, and how it ends."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, TransferParams, create_account, transfer

from bubblegum.programs import BUBBLEGUM
from chassis.clock import ManualClock
from chassis.log import LogUnavailable, Message, RetryLater
from contracts.fact import Fact
from contracts.streams import Stream
from contracts.wallet import PAUSE_RENEWAL, Paused, Resumed, sol
from services.minter.funds import FIRST_DELAY, LAST_DELAY, Doubt, Funds, InsufficientSol, cannot_pay, outlay
from services.minter.ports import ChainUnavailable
from services.minter.refusals import TransactionError
from tests.support.memory_log import MemoryLog

WALLET = Keypair.from_seed(bytes(32)).pubkey()
OTHER = Keypair.from_seed(bytes([1] * 32)).pubkey()
RESERVE = 50_000_000
RENT = 7_000_000


@dataclass
class Purse:
    """Balances of one wallet, as any node tells it."""

    lamports: int
    silent: bool = False
    asked: int = 0

    async def balance(self, address: Pubkey) -> int:
        assert address == WALLET
        self.asked += 1
        await asyncio.sleep(0)
        if self.silent:
            raise ChainUnavailable("silent")
        return self.lamports


class SlowLog(MemoryLog):
    """A log whose answers are old by the time that they are heard."""

    async def last_matching(self, stream: Stream, pattern: str) -> Message[Any] | None:
        found = await super().last_matching(stream, pattern)
        await asyncio.sleep(0)
        return found


@dataclass
class World:
    """One log and one purse; as many minters as wanted."""

    purse: Purse = field(default_factory=lambda: Purse(RESERVE))
    log: MemoryLog = field(default_factory=SlowLog)
    clock: ManualClock = field(default_factory=lambda: ManualClock(datetime.now(UTC)))

    def minter(self) -> Funds:
        return Funds(WALLET, self.purse, self.log, self.clock, reserve=RESERVE)

    @asynccontextmanager
    async def running(self, funds: Funds) -> AsyncGenerator[None]:
        task = asyncio.create_task(funds.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def look(self) -> None:
        """Let time pass until whoever waits has looked at the balance."""
        await self.clock.advance(LAST_DELAY)
        await self.clock.advance(0)

    @property
    def said(self) -> list[Paused | Resumed]:
        return [fact for fact in self.log.facts(Fact) if isinstance(fact, Paused | Resumed)]


@pytest.fixture
def world() -> World:
    return World()


def paused(balance: int, needed: int = RESERVE) -> Paused:
    return Paused(wallet=str(WALLET), balance=balance, needed=needed)


def resumed(balance: int) -> Resumed:
    return Resumed(wallet=str(WALLET), balance=balance)


async def waits(funds: Funds, lamports: int = 0) -> bool:
    try:
        await funds.require(lamports)
    except RetryLater:
        return True
    return False


# What says that the payer cannot pay ---------------------------------------------------------------------------------


def message(*instructions: Instruction) -> MessageV0:
    return MessageV0.try_compile(WALLET, list(instructions), [], Hash.default())


def new_account(payer: Pubkey, lamports: int = RENT) -> Instruction:
    return create_account(
        CreateAccountParams(from_pubkey=payer, to_pubkey=OTHER, lamports=lamports, space=82, owner=BUBBLEGUM)
    )


PAYS_RENT = new_account(WALLET)
OTHERS_TRANSFER = transfer(TransferParams(from_pubkey=OTHER, to_pubkey=WALLET, lamports=5))
CALLS_OTHERS = Instruction(BUBBLEGUM, b"\x00" * 8, [AccountMeta(WALLET, is_signer=True, is_writable=True)])
TOO_FEW = {"Custom": 1}


@pytest.mark.parametrize(
    ("error", "doubt"),
    [
        ("InsufficientFundsForFee", Doubt.YES),
        ("AccountNotFound", Doubt.YES),
        ({"InsufficientFundsForRent": {"account_index": 0}}, Doubt.YES),
        ({"InsufficientFundsForRent": {"account_index": 3}}, Doubt.NO),
        ({"InstructionError": [0, TOO_FEW]}, Doubt.YES),
        ({"InstructionError": (0, TOO_FEW)}, Doubt.YES),
        ({"InstructionError": [1, TOO_FEW]}, Doubt.NO),
        ({"InstructionError": [2, TOO_FEW]}, Doubt.MAYBE),
        ({"InstructionError": [0, {"Custom": 10}]}, Doubt.NO),
        ({"InstructionError": [2, {"Custom": 6017}]}, Doubt.NO),
        ({"InstructionError": [0, "InsufficientFunds"]}, Doubt.NO),
        ("BlockhashNotFound", Doubt.NO),
        ({"DuplicateInstruction": 1}, Doubt.NO),
    ],
)
def test_errors_of_an_empty_wallet_are_told_apart_by_structure_number_and_payer(
    error: TransactionError, doubt: Doubt
) -> None:
    assert cannot_pay(error, message(PAYS_RENT, OTHERS_TRANSFER, CALLS_OTHERS)) is doubt


@pytest.mark.parametrize(
    ("work", "lamports"),
    [
        ([], 0),
        ([PAYS_RENT], RENT),
        ([PAYS_RENT, new_account(WALLET, 3), CALLS_OTHERS], RENT + 3),
        ([transfer(TransferParams(from_pubkey=WALLET, to_pubkey=OTHER, lamports=11))], 11),
        ([OTHERS_TRANSFER], 0),
        ([Instruction(BUBBLEGUM, bytes(PAYS_RENT.data), list(PAYS_RENT.accounts))], 0),
    ],
)
def test_the_outlay_is_what_the_wallet_gives_away_by_the_instructions(
    work: Sequence[Instruction], lamports: int
) -> None:
    assert outlay(work, WALLET) == lamports


@pytest.mark.parametrize(
    ("lamports", "text"), [(0, "0"), (1, "0.000000001"), (50_000_000, "0.05"), (10**9, "1"), (20 * 10**9, "20")]
)
def test_amounts_are_told_exactly(lamports: int, text: str) -> None:
    assert sol(lamports) == text


# Pausing -------------------------------------------------------------------------------------------------------------


async def test_enough_is_enough(world: World) -> None:
    funds = world.minter()
    assert not await waits(funds)
    await funds.check()
    assert world.said == []


async def test_a_balance_below_the_reserve_pauses_once(world: World) -> None:
    world.purse.lamports = RESERVE - 1
    funds = world.minter()
    assert [await waits(funds) for _ in range(5)] == [True] * 5
    assert world.said == [paused(RESERVE - 1)]
    with pytest.raises(InsufficientSol, match=str(WALLET)):
        await funds.check()


async def test_several_minters_pause_once(world: World) -> None:
    world.purse.lamports = 0
    minters = [world.minter() for _ in range(3)]
    assert all(await asyncio.gather(*(waits(each) for each in minters for _ in range(4))))
    assert world.said == [paused(0)]


async def test_a_balance_that_suffices_is_not_asked_for_each_transaction(world: World) -> None:
    funds = world.minter()
    for _ in range(100):
        await funds.require(0)
    assert world.purse.asked == 1


async def test_an_expensive_tree_waits_and_mints_go_on(world: World) -> None:
    funds = world.minter()
    assert await waits(funds, RENT)
    assert not await waits(funds)
    assert world.said == [paused(RESERVE, RESERVE + RENT)]


async def test_a_larger_need_is_said_and_a_smaller_one_is_not(world: World) -> None:
    world.purse.lamports = 0
    funds = world.minter()
    assert [await waits(funds, each) for each in (0, RENT, 0)] == [True] * 3
    assert world.said == [paused(0), paused(0, RESERVE + RENT)]


async def test_an_unknown_balance_pauses_nothing(world: World) -> None:
    world.purse.silent = True
    with pytest.raises(ChainUnavailable):
        await world.minter().require(0)
    assert world.said == []


async def test_a_log_that_does_not_answer_is_asked_again_and_nothing_is_signed(world: World) -> None:
    world.purse.lamports = 0
    funds = world.minter()
    world.log.fail_publishes.append(LogUnavailable("silent"))
    with pytest.raises(LogUnavailable):
        await funds.require(0)
    assert await waits(funds)
    assert world.said == [paused(0)]


# What the chain refuses ----------------------------------------------------------------------------------------------


async def test_a_wallet_drained_since_the_last_look_pauses(world: World) -> None:
    funds = world.minter()
    await funds.require(0)
    world.purse.lamports = 0
    with pytest.raises(RetryLater):
        await funds.refused("InsufficientFundsForFee", message(CALLS_OTHERS), 0)
    assert world.said == [paused(0)]


async def test_a_wallet_topped_up_since_the_refusal_does_not_pause(world: World) -> None:
    funds = world.minter()
    await funds.require(0)
    world.purse.lamports = RESERVE + 1
    await funds.refused("InsufficientFundsForFee", message(CALLS_OTHERS), 0)
    assert world.said == []


async def test_the_chains_word_counts_more_than_a_reserve_that_is_too_small(world: World) -> None:
    funds = world.minter()
    await funds.require(0)
    with pytest.raises(RetryLater):
        await funds.refused("InsufficientFundsForFee", message(CALLS_OTHERS), 0)
    assert world.said == [paused(RESERVE, 2 * RESERVE)]


async def test_a_number_that_may_mean_something_else_does_not_pause_a_wallet_that_can_pay(world: World) -> None:
    funds = world.minter()
    await funds.require(0)
    await funds.refused({"InstructionError": [0, TOO_FEW]}, message(CALLS_OTHERS), 0)
    assert world.said == []
    world.purse.lamports = RESERVE - 1
    with pytest.raises(RetryLater):
        await funds.refused({"InstructionError": [0, TOO_FEW]}, message(CALLS_OTHERS), 0)
    assert world.said == [paused(RESERVE - 1)]


async def test_other_errors_ask_nothing(world: World) -> None:
    await world.minter().refused({"InstructionError": [0, {"Custom": 6017}]}, message(CALLS_OTHERS), 0)
    assert world.purse.asked == 0


# Going on ------------------------------------------------------------------------------------------------------------


async def test_it_goes_on_by_itself_when_topped_up(world: World) -> None:
    world.purse.lamports = 0
    funds = world.minter()
    async with world.running(funds):
        assert await waits(funds)
        await world.look()
        assert world.said == [paused(0)]
        world.purse.lamports = RESERVE
        await world.look()
    assert world.said == [paused(0), resumed(RESERVE)]
    assert not await waits(funds)
    await funds.check()


async def test_nothing_is_signed_before_it_is_said_that_it_goes_on(world: World) -> None:
    world.purse.lamports = 0
    funds = world.minter()
    assert await waits(funds)
    world.purse.lamports = RESERVE
    await world.clock.advance(LAST_DELAY)
    assert not await waits(funds)
    assert world.said == [paused(0), resumed(RESERVE)]


async def test_several_minters_resume_once(world: World) -> None:
    world.purse.lamports = 0
    first, second = world.minter(), world.minter()
    async with world.running(first), world.running(second):
        assert await waits(first)
        assert await waits(second)
        world.purse.lamports = RESERVE
        await world.look()
        await world.look()
    assert world.said == [paused(0), resumed(RESERVE)]
    assert not await waits(first)
    assert not await waits(second)


async def test_a_minter_ends_the_pause_of_one_that_died(world: World) -> None:
    world.purse.lamports = 0
    assert await waits(world.minter())
    world.purse.lamports = RESERVE
    async with world.running(world.minter()):
        await world.look()
    assert world.said == [paused(0), resumed(RESERVE)]


async def test_it_can_run_dry_again(world: World) -> None:
    funds = world.minter()
    async with world.running(funds):
        for _ in range(2):
            world.purse.lamports = 0
            await world.clock.advance(LAST_DELAY)
            assert await waits(funds)
            world.purse.lamports = RESERVE
            await world.look()
    assert world.said == [paused(0), resumed(RESERVE)] * 2


async def test_a_pause_that_lasts_is_said_again_with_what_there_is_then(world: World) -> None:
    world.purse.lamports = 0
    funds = world.minter()
    async with world.running(funds):
        assert await waits(funds)
        world.purse.lamports = 7
        await world.clock.advance(PAUSE_RENEWAL + 2 * LAST_DELAY)
        assert world.said[:2] == [paused(0), paused(7)]


async def test_silent_nodes_do_not_end_the_watch(world: World) -> None:
    world.purse.lamports = 0
    funds = world.minter()
    async with world.running(funds):
        assert await waits(funds)
        world.purse.silent = True
        await world.look()
        world.purse.silent, world.purse.lamports = False, RESERVE
        await world.look()
    assert world.said == [paused(0), resumed(RESERVE)]


async def test_work_comes_back_at_growing_intervals(world: World) -> None:
    world.purse.lamports = 0
    funds = world.minter()
    delays: list[float] = []
    async with world.running(funds):
        for _ in range(3):
            with pytest.raises(RetryLater) as again:
                await funds.require(0)
            delays.append(again.value.after)
            await world.look()
    assert delays == [FIRST_DELAY, LAST_DELAY, LAST_DELAY]
