"""The minting wallet runs out of SOL: the work waits, says so everywhere, and goes on by itself; nobody fails."""

import base64
import json
from typing import Any

import httpx
import pytest
import pytest_asyncio
from solders.hash import Hash
from solders.keypair import Keypair

from contracts.mint import Confirmed, Planned, Signed
from contracts.streams import MINT
from contracts.wallet import Paused, Resumed
from localnet.secret_files import read_secret
from tests.support.cluster import SOL, signed, transfer_to
from tests.support.exactly_once import check_exactly_once
from tests.support.stack import Asked, Json, LiveStack, eventually, facts

pytestmark = pytest.mark.asyncio(loop_scope="module")

FEE = 5_000
"""Lamports of a transaction with one signature."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def collection(live: LiveStack) -> Json:
    return await live.collection()


def wallet(live: LiveStack) -> Keypair:
    """The wallet that the stack's minter signs with."""
    return Keypair.from_base58_string(read_secret(live.stack.plan.secrets.wallet_key))


async def balance(live: LiveStack) -> int:
    return (await live.rpc("getBalance", str(wallet(live).pubkey()), {"commitment": "confirmed"}))["value"]


async def drain(live: LiveStack, left: int) -> None:
    """Take all but `left` lamports away, whatever the minter spends meanwhile."""

    async def drained() -> bool:
        there = await balance(live)
        if there <= max(left, FEE):
            return True
        recent = (await live.rpc("getLatestBlockhash"))["value"]["blockhash"]
        taken = transfer_to(wallet(live), Keypair().pubkey(), there - left - FEE)
        wire = base64.b64encode(bytes(signed(wallet(live), [taken], Hash.from_string(recent)))).decode()
        await live.rpc("sendTransaction", wire, {"encoding": "base64", "skipPreflight": True})
        return False

    await eventually(drained, "the wallet is drained")


async def top_up(live: LiveStack) -> None:
    await live.rpc("requestAirdrop", str(wallet(live).pubkey()), 100 * SOL)


async def pauses_and_resumptions(live: LiveStack, after: int) -> list[Paused | Resumed]:
    return [one.data for one in await live.events(after=after) if isinstance(one.data, Paused | Resumed)]


async def paused(live: LiveStack, after: int) -> Paused:
    """The pause since `after`, as soon as it is on the log."""

    async def look() -> Paused | None:
        said = facts(await live.events(after=after), Paused)
        return said[-1] if said else None

    return await eventually(look, "the wallet is paused")


async def health(live: LiveStack) -> Json:
    return (await live.http.get("/health")).json()


async def minter_tells(live: LiveStack, text: str) -> bool:
    """Whether the minter's probe has `text` for its wallet, and no other status for it: money restarts nobody."""
    code, check = await minter_readiness(live)
    assert code == 200
    return text in check.get("error", "")


async def minter_readiness(live: LiveStack) -> tuple[int, Any]:
    """Status and wallet check of the minter's own probe."""
    probe = json.loads(live.stack.plan.ports_file("minter").read_bytes())["probe"]
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{probe}/health/ready")
    return answer.status_code, answer.json()["checks"]["wallet"]


async def told(live: LiveStack, asked: Asked) -> tuple[str, str | None]:
    """Status and message of the operation, in the gateway's own words."""
    answer = (await live.http.get(f"/api/mint/status/{asked.operation}")).json()
    return answer["data"]["status"], answer.get("message")


@pytest.mark.parametrize("left", [0, 10_000_000], ids=["nothing left", "less than the reserve left"])
async def test_an_empty_wallet_fails_nobody(live: LiveStack, collection: Json, left: int) -> None:
    await drain(live, left)
    live.stack.kill("minter")  # another one begins without a balance that it read a moment ago
    await live.stack.wait("minter")
    asked = await live.ask(collection, 8, batch_size=2)
    pause = await paused(live, asked.after)
    assert (pause.wallet, pause.balance) == (str(wallet(live).pubkey()), await balance(live))
    assert pause.balance <= left < pause.needed

    async def shown() -> bool:
        return (await health(live))["checks"]["wallet"]["ok"] is False

    await eventually(shown, "health tells of it")
    whole = await health(live)
    assert (whole["success"], whole["status"]) == (True, "degraded")
    status, message = await told(live, asked)
    assert status in ("pending", "processing")
    assert message == pause.sentence()
    await eventually(lambda: minter_tells(live, pause.wallet), "the minter's readiness tells of it")
    assert not facts(await live.events(after=asked.after), Signed)

    await top_up(live)
    events = await check_exactly_once(live, asked)
    everything = await live.events(after=asked.after)
    resumed = next(one.sequence for one in everything if isinstance(one.data, Resumed))
    assert resumed < min(one.sequence for one in events if isinstance(one.data, Signed))
    assert [type(one) for one in await pauses_and_resumptions(live, asked.after)] == [Paused, Resumed]

    async def over() -> bool:
        return (await health(live))["status"] == "ok"

    await eventually(over, "health tells that it is over")
    assert await told(live, asked) == ("completed", None)

    async def well() -> bool:
        return (await minter_readiness(live))[1]["ok"]

    await eventually(well, "the minter's readiness tells that it is over")


async def test_what_was_signed_when_the_money_went_is_followed_to_its_end(live: LiveStack, collection: Json) -> None:
    await live.faults(dropSendShare=1.0)
    asked = await live.ask(collection, 12, batch_size=2)
    await live.first(Signed, asked)
    await live.faults()
    await drain(live, 0)
    assert len(facts(await live.events(after=asked.after), Confirmed)) < asked.count
    later = await live.ask(collection, 4)
    await paused(live, asked.after)
    await top_up(live)
    await check_exactly_once(live, asked)
    await check_exactly_once(live, later)


async def test_fee_payers_share_the_mints_and_one_with_money_is_enough(live: LiveStack, collection: Json) -> None:
    payers = [Keypair() for _ in range(2)]
    first, second = (str(payer.pubkey()) for payer in payers)
    live.stack.reconfigure("minter", FEE_PAYERS=",".join(map(str, payers)))
    live.stack.kill("minter")
    await live.stack.wait("minter")
    await live.rpc("requestAirdrop", first, SOL)

    async def seen() -> bool:
        return (await minter_readiness(live))[1]["detail"]["feePayers"][first] == SOL

    await eventually(seen, "the minter has seen the first fee payer's money")
    before = await live.log.last_sequence(MINT)
    for standard in ("v1", "v2"):
        asked = await live.ask(await live.collection(standard), 24, batch_size=12)
        events = await check_exactly_once(live, asked)
        # A second signature and address take the room of at most one mint.
        sizes = [len(each.items) for plan in facts(events, Planned) for each in plan.transactions]
        assert max(sizes) >= 3
        assert {one.fee_payer for one in facts(events, Signed)} == {first, str(wallet(live).pubkey())}, second
        assert {one.fee for one in facts(events, Confirmed)} == {5_000, 10_000}
    assert await pauses_and_resumptions(live, before) == []

    await drain(live, 0)
    await live.rpc("requestAirdrop", second, SOL)

    async def known() -> bool:
        check = (await minter_readiness(live))[1]
        return check["ok"] and check["detail"]["lamports"] == 0 and check["detail"]["feePayers"][second] == SOL

    await eventually(known, "the minter has seen who has money")
    asked = await live.ask(collection, 24, batch_size=12)
    events = await check_exactly_once(live, asked)
    assert {one.fee_payer for one in facts(events, Signed)} == {first, second}
    assert await pauses_and_resumptions(live, asked.after) == []
