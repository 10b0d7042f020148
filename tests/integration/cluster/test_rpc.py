"""The RPC interface on the wire: shapes, codes, limits and commitment levels."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature

from bubblegum import collections, pda
from localnet.cluster.server import RunningCluster
from tests.integration.cluster.rpc_client import BareClient, RpcRefused
from tests.support.cluster import PROGRAMS, SOL, fund, payment, signed, stepped_cluster, transfer_to

CONFIRMED = {"commitment": "confirmed"}
PROCESSED = {"commitment": "processed"}


@pytest.fixture
async def cluster() -> AsyncGenerator[RunningCluster]:
    async with stepped_cluster() as running:
        yield running


@pytest.fixture
async def client(cluster: RunningCluster) -> AsyncGenerator[BareClient]:
    async with BareClient(cluster.addresses.rpc) as opened:
        yield opened


async def post(client: BareClient, content: bytes) -> Any:
    response = await client.http.post("/", content=content)
    assert response.status_code == 200
    return response.json()


async def test_a_batch_is_answered_in_order_with_errors_in_place(client: BareClient) -> None:
    batch = [
        {"jsonrpc": "2.0", "id": "a", "method": "getSlot", "params": [PROCESSED]},
        {"jsonrpc": "2.0", "id": 2, "method": "noSuchMethod"},
        {"id": 3, "method": "getSlot"},
        7,
    ]
    answers = (await client.http.post("/", json=batch)).json()
    assert answers[0] == {"jsonrpc": "2.0", "id": "a", "result": 0}
    assert [answer["error"]["code"] for answer in answers[1:]] == [-32601, -32600, -32600]
    assert [answer["id"] for answer in answers[1:]] == [2, 3, None]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"{", -32700),
        (b"\xff\xfe", -32700),
        (b"[" * 100_000, -32700),
        (b"[]", -32600),
        (b"5", -32600),
        (b"[1" + b",1" * 256 + b"]", -32600),
    ],
)
async def test_what_is_no_request_is_told_so(client: BareClient, content: bytes, code: int) -> None:
    assert (await post(client, content))["error"]["code"] == code


async def test_a_body_over_the_limit_is_refused(client: BareClient) -> None:
    response = await client.http.post("/", content=b" " * (1024 * 1024 + 1))
    assert response.status_code == 413


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("getBalance", []),
        ("getBalance", ["not base58!"]),
        ("getBalance", [str(Pubkey.default()), "config"]),
        ("getBalance", [str(Pubkey.default()), {"commitment": "sure"}]),
        ("getTransaction", [str(Pubkey.default())]),
        ("getTransaction", [str(Signature.default()), PROCESSED]),
        ("getSignatureStatuses", [[str(Signature.default())] * 257]),
        ("getSignatureStatuses", [[5]]),
        ("getSignaturesForAddress", [str(Pubkey.default()), {"limit": 1001}]),
        ("getMultipleAccounts", [[str(Pubkey.default())] * 101]),
        ("getProgramAccounts", [str(Pubkey.default()), {"filters": [{"dataSize": -1}]}]),
        ("getProgramAccounts", [str(Pubkey.default()), {"filters": [{"memcmp": {"offset": 0, "bytes": "0OIl"}}]}]),
        ("getMinimumBalanceForRentExemption", [True]),
        ("getMinimumBalanceForRentExemption", [1.5]),
        ("requestAirdrop", [str(Pubkey.default()), -1]),
        ("sendTransaction", ["AAAA", {"encoding": "base64"}]),
        ("sendTransaction", ["A" * 1645, {"encoding": "base64"}]),
        ("sendTransaction", ["!", {"encoding": "base64"}]),
        ("sendTransaction", ["AAAA", {"encoding": "base32"}]),
        ("localnet_setFaults", [{"dropSendShare": 2}]),
        ("localnet_setFaults", [{"dropSend": 1}]),
    ],
)
async def test_bad_parameters_are_the_clients_fault(client: BareClient, method: str, params: list[Any]) -> None:
    with pytest.raises(RpcRefused) as refused:
        await client.call(method, *params)
    assert refused.value.code == -32602


async def test_each_level_answers_from_its_own_bank(cluster: RunningCluster, client: BareClient) -> None:
    await cluster.node.step(40)
    seen: dict[str, tuple[Any, ...]] = {}
    for level in ("processed", "confirmed", "finalized"):
        config = {"commitment": level}
        latest = await client.call("getLatestBlockhash", config)
        seen[level] = (
            await client.call("getSlot", config),
            await client.call("getBlockHeight", config),
            latest["context"]["slot"],
            latest["value"]["lastValidBlockHeight"],
        )
        block = cluster.node.ledger.chain.block(seen[level][0])
        assert block is not None
        assert latest["value"]["blockhash"] == str(block.hash)
    assert seen == {
        "processed": (40, 40, 40, 190),
        "confirmed": (39, 39, 39, 189),
        "finalized": (8, 8, 8, 158),
    }
    assert await client.call("getSlot") == 8


async def test_a_read_of_a_slot_not_reached_says_where_the_node_is(cluster: RunningCluster, client: BareClient) -> None:
    await cluster.node.step(3)
    with pytest.raises(RpcRefused) as refused:
        await client.call("getBalance", str(Pubkey.default()), {**CONFIRMED, "minContextSlot": 3})
    assert (refused.value.code, refused.value.data) == (-32016, {"contextSlot": 2})
    assert await client.value("getBalance", str(Pubkey.default()), {**PROCESSED, "minContextSlot": 3}) is not None


async def test_a_blockhash_is_valid_for_151_blocks(cluster: RunningCluster, client: BareClient) -> None:
    blockhash = (await client.value("getLatestBlockhash", PROCESSED))["blockhash"]
    await cluster.node.step(150)
    assert await client.value("isBlockhashValid", blockhash, PROCESSED) is True
    await cluster.node.step()
    assert await client.value("isBlockhashValid", blockhash, PROCESSED) is False


async def test_simulation_replaces_the_blockhash_and_shows_accounts_and_inner_calls(
    cluster: RunningCluster, client: BareClient
) -> None:
    payer, to = Keypair(), Keypair().pubkey()
    await fund(cluster, payer.pubkey())
    transaction = payment(payer, cluster.node.ledger.chain.head, to)
    await cluster.node.step(160)
    text = base64.b64encode(transaction.wire).decode()
    config: dict[str, Any] = {"encoding": "base64", **CONFIRMED}
    assert (await client.value("simulateTransaction", text, config))["err"] == "BlockhashNotFound"
    config |= {
        "replaceRecentBlockhash": True,
        "innerInstructions": True,
        "accounts": {"encoding": "base64", "addresses": [str(to)]},
    }
    value = await client.value("simulateTransaction", text, config)
    assert value["err"] is None
    assert value["accounts"][0]["lamports"] == SOL
    assert value["innerInstructions"] == []
    assert value["replacementBlockhash"]["lastValidBlockHeight"] == cluster.node.heads.confirmed.height + 150
    with pytest.raises(RpcRefused, match="sigVerify"):
        await client.value("simulateTransaction", text, {**config, "sigVerify": True})
    assert await client.value("getBalance", str(to), PROCESSED) == 0


async def test_a_fee_is_told_until_the_blockhash_dies(cluster: RunningCluster, client: BareClient) -> None:
    payer = Keypair()
    transaction = signed(
        payer, [transfer_to(payer, Keypair().pubkey(), SOL)], cluster.node.ledger.chain.head, price=10**6, units=7
    )
    message = base64.b64encode(to_bytes_versioned(transaction.message)).decode()
    assert await client.value("getFeeForMessage", message, PROCESSED) == 5_007
    await cluster.node.step(151)
    assert await client.value("getFeeForMessage", message, PROCESSED) is None


async def test_blocks_and_their_times(cluster: RunningCluster, client: BareClient) -> None:
    payer = Keypair()
    await fund(cluster, payer.pubkey())
    signature = await client.send(payment(payer, cluster.node.ledger.chain.head))
    block = await cluster.node.step()
    await cluster.node.fork(0)
    await cluster.node.step()
    told = await client.call("getBlock", block.slot, {**CONFIRMED, "maxSupportedTransactionVersion": 0})
    assert told["blockhash"] == str(block.hash)
    assert (told["blockHeight"], told["parentSlot"], told["blockTime"]) == (block.height, block.slot - 1, block.time)
    assert [each["transaction"]["signatures"] for each in told["transactions"]] == [[signature]]
    light = {**CONFIRMED, "transactionDetails": "signatures", "rewards": False}
    assert (await client.call("getBlock", block.slot, light))["signatures"] == [signature]
    assert await client.call("getBlockTime", block.slot) == block.time
    assert await client.call("getBlocks", 0, CONFIRMED) == list(range(block.slot + 1))
    with pytest.raises(RpcRefused) as refused:
        await client.call("getBlock", 999, CONFIRMED)
    assert refused.value.code == -32004


async def test_a_skipped_slot_has_no_block(cluster: RunningCluster, client: BareClient) -> None:
    await client.call("localnet_setFaults", {"skipSlotShare": 1})
    await cluster.node.step(2)
    await client.call("localnet_setFaults", {})
    await cluster.node.step(2)
    assert await client.call("getBlocks", 0, 10, CONFIRMED) == [0, 3]
    with pytest.raises(RpcRefused) as refused:
        await client.call("getBlock", 1, CONFIRMED)
    assert refused.value.code == -32007


async def test_prices_are_those_of_the_accounts_asked_for(cluster: RunningCluster, client: BareClient) -> None:
    cheap, dear = Keypair(), Keypair()
    await fund(cluster, cheap.pubkey(), dear.pubkey())
    for payer, price in ((cheap, 5), (dear, 900)):
        await client.send(payment(payer, cluster.node.ledger.chain.head, price=price, units=1_000))
    slot = (await cluster.node.step()).slot
    fees = {fee["slot"]: fee["prioritizationFee"] for fee in await client.call("getRecentPrioritizationFees")}
    assert fees[slot] == 5
    asked = await client.call("getRecentPrioritizationFees", [str(dear.pubkey())])
    assert {fee["slot"]: fee["prioritizationFee"] for fee in asked}[slot] == 900


async def test_program_accounts_are_filtered(cluster: RunningCluster, client: BareClient) -> None:
    to = Keypair().pubkey()
    await fund(cluster, to)
    everyone = await client.call("getProgramAccounts", str(Pubkey.default()), {**CONFIRMED, "encoding": "base64"})
    assert str(to) in [each["pubkey"] for each in everyone]
    for filters, count in (([{"dataSize": 0}], len(everyone)), ([{"dataSize": 1}], 0)):
        found = await client.call("getProgramAccounts", str(Pubkey.default()), {**CONFIRMED, "filters": filters})
        assert len(found) == count
    assert await client.call("getProgramAccounts", str(Pubkey.default()), {"filters": []}) != everyone


async def test_an_account_slice_and_its_encodings(client: BareClient) -> None:
    clock = "SysvarC1ock11111111111111111111111111111111"
    whole = await client.value("getAccountInfo", clock, {"encoding": "base64"})
    assert (whole["space"], len(base64.b64decode(whole["data"][0]))) == (40, 40)
    part = {"encoding": "base64", "dataSlice": {"offset": 32, "length": 4}}
    sliced = await client.value("getAccountInfo", clock, part)
    assert base64.b64decode(sliced["data"][0]) == base64.b64decode(whole["data"][0])[32:36]
    program = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
    assert (await client.value("getAccountInfo", program, {"encoding": "base58"}))["executable"] is True
    with pytest.raises(RpcRefused, match="128 bytes"):
        await client.value("getAccountInfo", "SysvarS1otHashes111111111111111111111111111", {"encoding": "base58"})


async def test_token_amounts_are_told_in_both_units() -> None:
    async with stepped_cluster(programs=PROGRAMS) as cluster, BareClient(cluster.addresses.rpc) as client:
        payer, mint = Keypair(), Keypair()
        await fund(cluster, payer.pubkey())
        built = collections.create_token_metadata_collection(
            payer=payer.pubkey(),
            mint=mint.pubkey(),
            authority=payer.pubkey(),
            mint_lamports=cluster.node.ledger.svm.rent_exempt_minimum(collections.MINT_ACCOUNT_BYTES),
            name="Bücher",
            symbol="B",
            uri="https://example.com/c.json",
            seller_fee_basis_points=500,
        )
        await client.send(signed(payer, built, cluster.node.ledger.chain.head, signers=[mint]))
        await cluster.node.step(2)
        holder = pda.associated_token(payer.pubkey(), mint.pubkey())
        one = {"amount": "1", "decimals": 0, "uiAmount": 1.0, "uiAmountString": "1"}
        assert await client.value("getTokenAccountBalance", str(holder), CONFIRMED) == one
        assert await client.value("getTokenSupply", str(mint.pubkey()), CONFIRMED) == one
        with pytest.raises(RpcRefused, match="not a Token account"):
            await client.value("getTokenAccountBalance", str(payer.pubkey()), CONFIRMED)
