"""solana-py's own clients, unchanged, against a running cluster."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized, Processed
from solana.rpc.core import RPCException
from solana.rpc.models import TxOpts
from solana.rpc.websocket_api import SolanaWsClient
from solders.keypair import Keypair
from solders.rpc.config import RpcTransactionLogsFilterMentions
from solders.rpc.errors import SendTransactionPreflightFailureMessage
from solders.rpc.responses import (
    AccountNotification,
    LogsNotification,
    RootNotification,
    SignatureNotification,
    SlotNotification,
)
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_status import TransactionConfirmationStatus, TransactionErrorFieldless

from localnet.cluster.model import LedgerLimits
from localnet.cluster.server import RunningCluster
from tests.support.cluster import SOL, fund, signed, stepped_cluster, timed_cluster, transfer_to


@pytest.fixture
async def cluster() -> AsyncGenerator[RunningCluster]:
    async with stepped_cluster() as running:
        yield running


@pytest.fixture
async def client(cluster: RunningCluster) -> AsyncGenerator[AsyncClient]:
    async with AsyncClient(cluster.addresses.rpc, commitment=Confirmed) as opened:
        yield opened


async def paid(cluster: RunningCluster, client: AsyncClient) -> tuple[Keypair, VersionedTransaction]:
    """A funded payer and a transfer of 1 SOL that nobody has sent yet."""
    payer = Keypair()
    await fund(cluster, payer.pubkey())
    recent = (await client.get_latest_blockhash()).value.blockhash
    return payer, signed(payer, [transfer_to(payer, Keypair().pubkey(), SOL)], recent)


async def test_a_transfer_from_airdrop_to_finality_with_time_passing() -> None:
    async with (
        timed_cluster(limits=LedgerLimits(finalized_after=8)) as cluster,
        AsyncClient(cluster.addresses.rpc, commitment=Confirmed) as client,
    ):
        payer, to = Keypair(), Keypair().pubkey()
        airdrop = (await client.request_airdrop(payer.pubkey(), 5 * SOL)).value
        await client.confirm_transaction(airdrop, Confirmed, sleep_seconds=0.02)
        latest = (await client.get_latest_blockhash()).value
        transaction = signed(payer, [transfer_to(payer, to, SOL)], latest.blockhash)
        options = TxOpts(preflight_commitment=Confirmed)
        signature = (await client.send_transaction(transaction, opts=options)).value
        await client.confirm_transaction(
            signature, Finalized, sleep_seconds=0.02, last_valid_block_height=latest.last_valid_block_height
        )
        assert (await client.get_balance(to, Finalized)).value == SOL


async def test_get_transaction_round_trips_through_solders_types(cluster: RunningCluster, client: AsyncClient) -> None:
    payer, transaction = await paid(cluster, client)
    await client.send_transaction(transaction, opts=TxOpts(preflight_commitment=Confirmed))
    await cluster.node.step(2)
    signature = transaction.signatures[0]
    for encoding in ("json", "base64", "base58", "jsonParsed"):
        found = (await client.get_transaction(signature, encoding, max_supported_transaction_version=0)).value
        assert found is not None
        meta = found.transaction.meta
        assert meta is not None
        assert (meta.err, meta.fee) == (None, 5_000)
        assert meta.pre_balances[0] - meta.post_balances[0] == SOL + 5_000
    found = (await client.get_transaction(signature, "base64", max_supported_transaction_version=0)).value
    assert found is not None
    assert found.transaction.transaction == transaction
    listed = (await client.get_signatures_for_address(payer.pubkey(), limit=1)).value
    assert [each.signature for each in listed] == [signature]


async def test_get_transaction_of_version_0_needs_the_client_to_say_so(
    cluster: RunningCluster, client: AsyncClient
) -> None:
    _, transaction = await paid(cluster, client)
    await client.send_transaction(transaction, opts=TxOpts(skip_preflight=True))
    await cluster.node.step(2)
    with pytest.raises(RPCException, match="version"):
        await client.get_transaction(transaction.signatures[0])


async def test_statuses_name_each_level_in_turn(cluster: RunningCluster, client: AsyncClient) -> None:
    _, transaction = await paid(cluster, client)
    signature = transaction.signatures[0]
    await client.send_transaction(transaction, opts=TxOpts(preflight_commitment=Confirmed))
    assert (await client.get_signature_statuses([signature])).value == [None]
    seen: list[tuple[TransactionConfirmationStatus | None, int | None]] = []
    for steps in (1, 1, 30, 1):
        await cluster.node.step(steps)
        (status,) = (await client.get_signature_statuses([signature])).value
        assert status is not None
        seen.append((status.confirmation_status, status.confirmations))
    assert seen == [
        (TransactionConfirmationStatus.Processed, 0),
        (TransactionConfirmationStatus.Confirmed, 1),
        (TransactionConfirmationStatus.Confirmed, 31),
        (TransactionConfirmationStatus.Finalized, None),
    ]


async def test_an_old_status_is_found_only_with_history() -> None:
    limits = LedgerLimits(finalized_after=3, status_cache_roots=4)
    async with stepped_cluster(limits=limits) as cluster, AsyncClient(cluster.addresses.rpc, Confirmed) as client:
        _, transaction = await paid(cluster, client)
        signature = transaction.signatures[0]
        await client.send_transaction(transaction, opts=TxOpts(preflight_commitment=Confirmed))
        await cluster.node.step(9)
        assert (await client.get_signature_statuses([signature])).value == [None]
        (status,) = (await client.get_signature_statuses([signature], search_transaction_history=True)).value
        assert status is not None
        assert status.confirmation_status == TransactionConfirmationStatus.Finalized


async def test_preflight_refuses_with_the_simulation(cluster: RunningCluster, client: AsyncClient) -> None:
    payer = Keypair()
    await fund(cluster, payer.pubkey(), lamports=SOL)
    recent = (await client.get_latest_blockhash()).value.blockhash
    too_much = signed(payer, [transfer_to(payer, Keypair().pubkey(), 2 * SOL)], recent)
    with pytest.raises(RPCException) as refused:
        await client.send_transaction(too_much, opts=TxOpts(preflight_commitment=Confirmed))
    error = refused.value.args[0]
    assert isinstance(error, SendTransactionPreflightFailureMessage)
    assert error.message.endswith("Error processing Instruction 0: custom program error: 0x1")
    assert error.data.units_consumed == 150
    assert any("insufficient lamports" in line for line in error.data.logs or [])


async def test_preflight_on_an_older_bank_does_not_know_a_newer_blockhash(
    cluster: RunningCluster, client: AsyncClient
) -> None:
    _, transaction = await paid(cluster, client)
    with pytest.raises(RPCException) as refused:
        await client.send_transaction(transaction, opts=TxOpts(preflight_commitment=Finalized))
    error = refused.value.args[0]
    assert isinstance(error, SendTransactionPreflightFailureMessage)
    assert error.data.err == TransactionErrorFieldless.BlockhashNotFound


async def test_a_bad_signature_is_refused_and_without_preflight_silently_lost(
    cluster: RunningCluster, client: AsyncClient
) -> None:
    _, transaction = await paid(cluster, client)
    forged = VersionedTransaction.populate(transaction.message, [Signature.new_unique()])
    with pytest.raises(RPCException, match="TransactionSignatureVerificationFailure"):
        await client.send_transaction(forged, opts=TxOpts(preflight_commitment=Confirmed))
    sent = await client.send_transaction(forged, opts=TxOpts(skip_preflight=True))
    assert sent.value == forged.signatures[0]
    await cluster.node.step(3)
    assert (await client.get_signature_statuses([forged.signatures[0]])).value == [None]


async def test_a_simulation_of_an_expired_transaction_says_so(cluster: RunningCluster, client: AsyncClient) -> None:
    _, transaction = await paid(cluster, client)
    assert (await client.simulate_transaction(transaction, sig_verify=True)).value.err is None
    await cluster.node.step(152)
    stale = await client.simulate_transaction(transaction, sig_verify=True)
    assert stale.value.err == TransactionErrorFieldless.BlockhashNotFound


async def test_the_websocket_tells_slots_roots_signatures_logs_and_accounts(
    cluster: RunningCluster, client: AsyncClient
) -> None:
    payer, transaction = await paid(cluster, client)
    signature = transaction.signatures[0]
    async with SolanaWsClient(cluster.addresses.websocket) as websocket:
        await websocket.slot_subscribe()
        await websocket.root_subscribe()
        await websocket.signature_subscribe(signature=signature, commitment=Confirmed)
        await websocket.logs_subscribe(filter_=RpcTransactionLogsFilterMentions(payer.pubkey()), commitment=Processed)
        await websocket.account_subscribe(pubkey=payer.pubkey(), commitment=Confirmed, encoding="base64")
        await client.send_transaction(transaction, opts=TxOpts(preflight_commitment=Confirmed))
        first = cluster.node.ledger.chain.head.slot + 1
        await cluster.node.step(2)
        told = [await websocket.recv() for _ in range(5)]
    slots = [each.result.slot for each in told if isinstance(each, SlotNotification)]
    assert slots == [first, first + 1]
    (logs,) = (each for each in told if isinstance(each, LogsNotification))
    assert (logs.result.value.signature, logs.result.value.err) == (signature, None)
    (landed,) = (each for each in told if isinstance(each, SignatureNotification))
    assert landed.result.value.err is None
    (account,) = (each for each in told if isinstance(each, AccountNotification))
    assert account.result.value.lamports == 99 * SOL - 5_000
    assert not [each for each in told if isinstance(each, RootNotification)]


async def test_the_websocket_tells_roots_and_stops_when_unsubscribed(cluster: RunningCluster) -> None:
    async with SolanaWsClient(cluster.addresses.websocket) as websocket:
        slots = await websocket.slot_subscribe()
        await websocket.unsubscribe(slots)
        await websocket.root_subscribe()
        await cluster.node.step(34)
        roots = [await websocket.recv() for _ in range(2)]
    assert [each.result for each in roots if isinstance(each, RootNotification)] == [1, 2]


async def test_a_signature_that_landed_before_the_subscription_is_told_at_once(
    cluster: RunningCluster, client: AsyncClient
) -> None:
    _, transaction = await paid(cluster, client)
    await client.send_transaction(transaction, opts=TxOpts(preflight_commitment=Confirmed))
    await cluster.node.step(3)
    http_port = cluster.addresses.rpc.replace("http", "ws")
    async with SolanaWsClient(http_port) as websocket:
        await websocket.signature_subscribe(signature=transaction.signatures[0], commitment=Confirmed)
        told = await websocket.recv()
    assert isinstance(told, SignatureNotification)
