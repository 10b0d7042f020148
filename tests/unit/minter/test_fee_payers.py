"""Several fee payers: who is chosen, who is left out, what the log says of it, and whose keys sign."""

import asyncio
import base64
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bubblegum.programs import BUBBLEGUM
from chassis.clock import ManualClock
from chassis.log import RetryLater
from chassis.settings import Secret, load
from contracts.collection import Standard
from contracts.fact import Fact
from contracts.mint import Pinned, PlannedTransaction, Signed
from contracts.wallet import Paused, Resumed
from services.minter.funds import LAST_DELAY, Funds
from services.minter.lander import Lander
from services.minter.mint_transaction import MintTransaction
from services.minter.packing import pack
from services.minter.settings import MinterSettings
from services.minter.signer import KeyRefused, MessageRefused, Signer
from services.minter.signing.configured import configured_key, configured_payers, configured_signer
from services.minter.watcher import SignatureWatcher
from tests.support.memory_log import MemoryLog
from tests.support.packing import created, item, key, pinned, rooms
from tests.support.samples import event
from tests.support.toy_chain import BLOCK_SECONDS, BlockClock, ToyChain

WALLET = Keypair.from_seed(bytes(32))
FIRST, SECOND = (Keypair.from_seed(bytes([number] * 32)) for number in (1, 2))
EVERYBODY = [each.pubkey() for each in (WALLET, FIRST, SECOND)]
RESERVE = 50_000_000
RENT = 7_000_000


@dataclass
class World:
    """What everybody holds, and what is said of it."""

    lamports: dict[Pubkey, int] = field(default_factory=lambda: dict.fromkeys(EVERYBODY, RESERVE))
    log: MemoryLog = field(default_factory=MemoryLog)
    clock: ManualClock = field(default_factory=lambda: ManualClock(datetime.now(UTC)))

    async def balance(self, address: Pubkey) -> int:
        await asyncio.sleep(0)
        return self.lamports[address]

    def minter(self) -> Funds:
        return Funds(EVERYBODY[0], self, self.log, self.clock, reserve=RESERVE, payers=EVERYBODY[1:])

    async def chosen(self, funds: Funds, times: int = 6) -> list[Pubkey]:
        return [await funds.choose() for _ in range(times)]

    @property
    def said(self) -> list[type[Fact]]:
        return [type(fact) for fact in self.log.facts(Fact)]


@pytest.fixture
def world() -> World:
    return World()


# Who pays ------------------------------------------------------------------------------------------------------------


async def test_everybody_pays_in_turn(world: World) -> None:
    assert await world.chosen(world.minter()) == EVERYBODY * 2


@pytest.mark.parametrize("empty", EVERYBODY)
async def test_an_empty_payer_is_left_out_and_nothing_is_paused(world: World, empty: Pubkey) -> None:
    world.lamports[empty] = RESERVE - 1
    funds = world.minter()
    assert set(await world.chosen(funds)) == set(EVERYBODY) - {empty}
    assert world.said == []
    await funds.check()
    world.lamports[empty] = RESERVE
    await world.clock.advance(LAST_DELAY)
    assert set(await world.chosen(funds)) == set(EVERYBODY)


async def test_when_all_are_empty_the_wallet_is_paused_until_one_is_not(world: World) -> None:
    world.lamports = dict.fromkeys(EVERYBODY, 0)
    funds = world.minter()
    for _ in range(3):
        with pytest.raises(RetryLater):
            await funds.choose()
    assert world.log.facts(Paused) == [Paused(wallet=str(EVERYBODY[0]), balance=0, needed=RESERVE)]
    world.lamports[EVERYBODY[2]] = RESERVE
    await world.clock.advance(LAST_DELAY)
    assert set(await world.chosen(funds)) == {EVERYBODY[2]}
    assert world.said == [Paused, Resumed]
    await funds.check()


async def test_a_pause_ends_by_itself_when_any_payer_is_topped_up(world: World) -> None:
    world.lamports = dict.fromkeys(EVERYBODY, 0)
    funds = world.minter()
    with pytest.raises(RetryLater):
        await funds.choose()
    world.lamports[EVERYBODY[1]] = RESERVE
    watching = asyncio.create_task(funds.run())
    for _ in range(3):
        await world.clock.advance(LAST_DELAY)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert world.said == [Paused, Resumed]


async def test_a_tree_that_the_wallet_cannot_pay_for_waits_for_the_wallet(world: World) -> None:
    funds = world.minter()
    with pytest.raises(RetryLater):
        await funds.require(RENT)
    assert set(await world.chosen(funds)) == set(EVERYBODY), "mints go on"
    assert world.said == [Paused]
    world.lamports[EVERYBODY[0]] = RESERVE + RENT
    await world.clock.advance(LAST_DELAY)
    await funds.require(RENT)
    assert world.said == [Paused, Resumed]


def paid_by(payer: Pubkey) -> MessageV0:
    work = Instruction(BUBBLEGUM, b"\x00" * 8, [AccountMeta(payer, is_signer=True, is_writable=True)])
    return MessageV0.try_compile(payer, [work], [], Hash.default())


@pytest.mark.parametrize("payer", EVERYBODY)
async def test_whom_the_chain_calls_empty_is_left_out_until_it_holds_more(world: World, payer: Pubkey) -> None:
    funds = world.minter()
    await world.chosen(funds)
    with pytest.raises(RetryLater):
        await funds.refused("InsufficientFundsForFee", paid_by(payer), 0, shared=True)
    assert set(await world.chosen(funds)) == set(EVERYBODY) - {payer}
    assert world.said == []
    world.lamports[payer] += 1
    await world.clock.advance(LAST_DELAY)
    assert payer in await world.chosen(funds)


async def test_a_number_that_may_mean_something_else_leaves_nobody_out(world: World) -> None:
    funds = world.minter()
    await world.chosen(funds)
    await funds.refused({"InstructionError": [0, {"Custom": 1}]}, paid_by(EVERYBODY[1]), 0, shared=True)
    assert set(await world.chosen(funds)) == set(EVERYBODY)


async def test_what_everybody_holds_is_told_the_wallet_first(world: World) -> None:
    world.lamports[EVERYBODY[2]] = 3
    assert list((await world.minter().holdings()).items()) == [
        (EVERYBODY[0], RESERVE),
        (EVERYBODY[1], RESERVE),
        (EVERYBODY[2], 3),
    ]


# What is signed ------------------------------------------------------------------------------------------------------


async def landed(planned: PlannedTransaction, chunk: Pinned, standard: Standard) -> tuple[Signed, VersionedTransaction]:
    """What the log holds once a minter has landed the transaction when it was the turn of the fee payer FIRST."""
    log, chain = MemoryLog(), ToyChain()
    clock = BlockClock(chain)
    signer = Signer(WALLET, payers=[FIRST])
    world = World(log=log)
    world.lamports[EVERYBODY[0]] = RESERVE
    funds = Funds(signer.pubkey, world, log, clock, reserve=RESERVE, payers=signer.payers)
    await funds.choose()
    watcher = SignatureWatcher(chain, clock, BLOCK_SECONDS)
    lander = Lander(chain, signer, watcher, clock, max_in_flight=1, funds=funds)
    table = rooms(standard).table(planned.tree)
    transaction = MintTransaction(log, event(chunk), created(standard), chunk, planned, table, signer.pubkey)
    watching = asyncio.create_task(watcher.run())
    try:
        await lander.land(transaction)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    (signed,) = log.facts(Signed)
    return signed, VersionedTransaction.from_bytes(base64.b64decode(signed.transaction))


@pytest.mark.parametrize("standard", Standard)
async def test_the_payer_is_on_the_log_and_the_wallet_signs_as_authority(standard: Standard) -> None:
    chunk = pinned([item(index) for index in range(3)])
    (planned,) = pack(created(standard), chunk, rooms(standard), WALLET.pubkey(), payer=FIRST.pubkey())
    signed, transaction = await landed(planned, chunk, standard)
    assert signed.fee_payer == str(FIRST.pubkey())
    assert list(transaction.message.account_keys[:2]) == [FIRST.pubkey(), WALLET.pubkey()]
    assert transaction.verify_with_results() == [True, True]
    header = transaction.message.header
    # So the wallet is locked by no mint that another pays for: it signs and is only read.
    assert (header.num_required_signatures, header.num_readonly_signed_accounts) == (2, 1)


@pytest.mark.parametrize("standard", Standard)
async def test_a_plan_without_room_for_a_payer_is_paid_for_by_the_wallet(standard: Standard) -> None:
    chunk, planned = next(
        (chunk, alone[0])
        for chunk in (pinned([item(index, uri_bytes=size) for index in range(8)]) for size in range(20, 80))
        if (alone := pack(created(standard), chunk, rooms(standard), WALLET.pubkey()))
        != pack(created(standard), chunk, rooms(standard), WALLET.pubkey(), payer=FIRST.pubkey())
    )
    signed, transaction = await landed(planned, chunk, standard)
    assert signed.fee_payer == str(WALLET.pubkey())
    assert transaction.message.header.num_required_signatures == 1


async def test_only_our_own_wallets_may_pay() -> None:
    signer = Signer(WALLET, payers=[FIRST])
    message = MessageV0.try_compile(
        SECOND.pubkey(),
        [Instruction(BUBBLEGUM, b"", [AccountMeta(FIRST.pubkey(), is_signer=True, is_writable=True)])],
        [],
        Hash.default(),
    )
    with pytest.raises(ValueError, match="other signers"):
        await signer.sign(message)
    stolen = MessageV0.try_compile(
        FIRST.pubkey(),
        [Instruction(key(9), b"x", [AccountMeta(FIRST.pubkey(), is_signer=True, is_writable=True)])],
        [],
        Hash.default(),
    )
    with pytest.raises(MessageRefused):
        await signer.sign(stolen)


# How they are given --------------------------------------------------------------------------------------------------


def settings(**environ: str) -> MinterSettings:
    common = {"NATS_URL": "nats://127.0.0.1:4222", "RPC_URL": "http://127.0.0.1:8899"}
    return load(MinterSettings, common | environ)


@pytest.mark.parametrize(
    "text",
    [
        f"{FIRST},{SECOND}",
        f"{FIRST}, {SECOND}\n",
        f"{FIRST}\n{SECOND}",
        json.dumps([str(FIRST), str(SECOND)]),
        json.dumps([list(bytes(FIRST)), str(SECOND)]),
    ],
)
def test_every_form_of_the_list_is_read(text: str) -> None:
    configured = settings(PRIVATE_KEY=str(WALLET), FEE_PAYERS=text)
    signer = configured_signer(configured, configured_key(configured, {}), configured_payers(configured))
    assert (signer.pubkey, *signer.payers) == tuple(EVERYBODY)


def test_one_payer_in_the_array_form_is_one() -> None:
    (one,) = configured_payers(settings(FEE_PAYERS=json.dumps(list(bytes(FIRST)))))
    assert one.pubkey == FIRST.pubkey()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{FIRST},{FIRST}", "names a wallet twice"),
        (str(WALLET), "or the minting wallet"),
        (f"{FIRST},not-a-key", "each of FEE_PAYERS is neither"),
        ("[1, 2", "no JSON array"),
        (str(FIRST.pubkey()), "each of FEE_PAYERS is neither"),
        (",".join([str(FIRST)] * 65), "the most is 64"),
    ],
)
def test_what_is_no_list_of_payers_is_refused_without_being_shown(text: str, sentence: str) -> None:
    configured = settings(PRIVATE_KEY=str(WALLET), FEE_PAYERS=text)
    with pytest.raises(KeyRefused, match=sentence) as refused:
        configured_signer(configured, configured_key(configured, {}), configured_payers(configured))
    assert str(FIRST) not in str(refused.value)


def test_a_remote_signer_signs_for_addresses_among_the_payers() -> None:
    remote = {"REMOTE_SIGNER_URL": "https://signer.example", "REMOTE_SIGNER_ADDRESS": str(WALLET.pubkey())}
    configured = settings(**remote, FEE_PAYERS=f"{FIRST.pubkey()} {SECOND}", DERIVATION_SEED="x" * 32)
    signer = configured_signer(configured, configured_key(configured, {}), configured_payers(configured))
    assert (signer.pubkey, *signer.payers) == tuple(EVERYBODY)
    with pytest.raises(KeyRefused, match="each of FEE_PAYERS is not an address"):
        configured_payers(settings(**remote, FEE_PAYERS="0OIl"))


def test_a_payers_secret_is_no_seed() -> None:
    assert Signer(WALLET, payers=[FIRST]).derived_address("a") == Signer(WALLET).derived_address("a")
    assert Secret(str(FIRST)).reveal() not in repr(Signer(WALLET, payers=[FIRST]))
