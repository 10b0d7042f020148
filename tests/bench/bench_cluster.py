"""How much the local cluster costs over the bare runtime, in mints a second. Not a test: prints figures.

    python -m tests.bench.bench_cluster [MINTS]

Four layers, each on the same signed mint transactions: LiteSVM alone; the ledger in steps (plus checks, history,
balances); the node in steps (plus SQLite and the asset index); the whole over HTTP, with one client that sends every
transaction, then polls statuses in batches until all are confirmed, and reads each back.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from solders.account import Account
from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.transaction_metadata import TransactionMetadata

from localnet.cluster.airdrop import airdrop_transaction
from localnet.cluster.ledger import Ledger, genesis_snapshot
from localnet.cluster.model import Genesis, LedgerLimits
from localnet.cluster.programs import find_programs
from localnet.cluster.server import RunningCluster
from localnet.cluster.svm import Svm
from localnet.cluster.wire import ParsedTransaction
from tests.support.cluster import PROGRAMS, SOL, START, cluster_process, stepped_cluster
from tests.support.minting import LocalTree

# Enough for every mint in one slot: what is measured is the software, not the ceilings.
WIDE = LedgerLimits(block_compute=10**12, account_compute=10**12, pool_transactions=10**6)
STATUS_BATCH = 256
REQUEST_BATCH = 20


@dataclass(frozen=True, slots=True)
class Figure:
    """One layer's result."""

    name: str
    mints: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.mints / self.seconds


def bare(mints: int) -> Figure:
    """LiteSVM with nothing around it, signature checks off as in the cluster."""
    programs = find_programs(PROGRAMS).by_address()
    svm = LiteSVM().with_sigverify(False).with_blockhash_check(False).with_transaction_history(0)
    for address, elf in programs.items():
        svm.add_program(address, elf)
    tree = LocalTree.planned(Keypair())
    svm.set_account(tree.payer.pubkey(), Account(1_000 * SOL, b"", Pubkey.default()))
    template = _ledger(tree)
    svm.send_transaction(tree.creation(template.svm, template.chain.head).transaction)
    ready = [tree.mint(template.chain.head, number).transaction for number in range(mints)]
    started = time.perf_counter()
    for transaction in ready:
        if not isinstance(svm.send_transaction(transaction), TransactionMetadata):
            raise RuntimeError("a mint failed on the bare runtime")
    return Figure("bare LiteSVM", mints, time.perf_counter() - started)


def _ledger(tree: LocalTree) -> Ledger:
    accounts = {tree.payer.pubkey(): Account(1_000 * SOL, b"", Pubkey.default())}
    svm = Svm(find_programs(PROGRAMS).by_address())
    return Ledger(svm, genesis_snapshot(Genesis(START, b"bench", accounts)), WIDE)


def stepped_ledger(mints: int) -> Figure:
    """The ledger, one slot for all mints."""
    tree = LocalTree.planned(Keypair())
    ledger = _ledger(tree)
    ledger.submit(tree.creation(ledger.svm, ledger.chain.head))
    ledger.step(START)
    ready = [tree.mint(ledger.chain.head, number) for number in range(mints)]
    started = time.perf_counter()
    for transaction in ready:
        ledger.submit(transaction)
    landed = ledger.step(START).transactions
    seconds = time.perf_counter() - started
    _check(mints, [tx.err for tx in landed])
    return Figure("ledger, in steps", mints, seconds)


async def stepped_node(mints: int, data: Path) -> Figure:
    """The node with store and index, one slot for all mints."""
    async with stepped_cluster(data, programs=PROGRAMS, limits=WIDE) as cluster:
        tree = await _planted(cluster)
        node = cluster.node
        ready = [tree.mint(node.ledger.chain.head, number) for number in range(mints)]
        started = time.perf_counter()
        for transaction in ready:
            node.ledger.submit(transaction)
        await node.step(2)
        seconds = time.perf_counter() - started
        found = [node.ledger.recent_transaction(tx.signature) for tx in ready]
        _check(mints, [tx.err for tx in found if tx is not None])
        return Figure("node with store and index", mints, seconds)


async def over_http(mints: int, data: Path) -> Figure:
    """The cluster as its own process, with the slots and the ceilings of a real one; requests in small batches."""
    async with (
        cluster_process(data, "--programs", str(PROGRAMS)) as process,
        httpx.AsyncClient(base_url=process.addresses.rpc, timeout=60) as http,
    ):
        tree = LocalTree.planned(Keypair())
        (airdrop,) = await _call(http, [("requestAirdrop", [str(tree.payer.pubkey()), 1_000 * SOL])])
        await _confirm(http, [airdrop])
        creation = tree.creation(Svm({}), await _recent(http))
        await _send(http, [creation])
        await _confirm(http, [creation.signature])
        recent = await _recent(http)
        ready = [tree.mint(recent, number) for number in range(mints)]
        started = time.perf_counter()
        for batch in batched(ready):
            await _send(http, batch)
        await _confirm(http, [transaction.signature for transaction in ready])
        for batch in batched(ready):
            await _read_back(http, batch)
        return Figure("HTTP, 400 ms slots: send, poll, read back", mints, time.perf_counter() - started)


def batched(items: Sequence[ParsedTransaction]) -> Iterator[Sequence[ParsedTransaction]]:
    """Slices of REQUEST_BATCH."""
    for start in range(0, len(items), REQUEST_BATCH):
        yield items[start : start + REQUEST_BATCH]


async def _recent(http: httpx.AsyncClient) -> Hash:
    (latest,) = await _call(http, [("getLatestBlockhash", [{"commitment": "confirmed"}])])
    return Hash.from_string(latest["value"]["blockhash"])


async def _planted(cluster: RunningCluster) -> LocalTree:
    node = cluster.node
    tree = LocalTree.planned(Keypair())
    node.ledger.submit(airdrop_transaction(node.faucet, tree.payer.pubkey(), 1_000 * SOL, node.heads.processed.hash))
    await node.step()
    node.ledger.submit(tree.creation(node.ledger.svm, node.ledger.chain.head))
    await node.step()
    return tree


async def _call(http: httpx.AsyncClient, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
    """The results of one JSON-RPC batch."""
    body = [{"jsonrpc": "2.0", "id": 1, "method": method, "params": params} for method, params in calls]
    answers = (await http.post("/", json=body)).json()
    errors = [answer["error"]["message"] for answer in answers if "error" in answer]
    if errors:
        raise RuntimeError(f"{calls[0][0]}: {errors[0]}")
    return [answer["result"] for answer in answers]


async def _send(http: httpx.AsyncClient, transactions: Sequence[ParsedTransaction]) -> None:
    config = {"encoding": "base64", "skipPreflight": True}
    texts = [base64.b64encode(transaction.wire).decode("ascii") for transaction in transactions]
    await _call(http, [("sendTransaction", [text, config]) for text in texts])


async def _confirm(http: httpx.AsyncClient, signatures: Sequence[str]) -> None:
    waiting = list(signatures)
    while waiting:
        left: list[str] = []
        for start in range(0, len(waiting), STATUS_BATCH):
            asked = waiting[start : start + STATUS_BATCH]
            (result,) = await _call(http, [("getSignatureStatuses", [asked])])
            for signature, status in zip(asked, result["value"], strict=True):
                if status is None or status["confirmationStatus"] == "processed":
                    left.append(signature)
                elif status["err"] is not None:
                    raise RuntimeError(f"{signature}: {status['err']}")
        waiting = left
        await asyncio.sleep(0.1 if waiting else 0)


async def _read_back(http: httpx.AsyncClient, transactions: Sequence[ParsedTransaction]) -> None:
    config = {"commitment": "confirmed", "encoding": "base64", "maxSupportedTransactionVersion": 0}
    results = await _call(http, [("getTransaction", [transaction.signature, config]) for transaction in transactions])
    if any(result is None for result in results):
        raise RuntimeError("a confirmed transaction is not found")


def _check(mints: int, errors: Sequence[object]) -> None:
    if len(errors) != mints or any(error is not None for error in errors):
        raise RuntimeError(f"{len(errors)} of {mints} mints landed, errors: {set(map(str, errors))}")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description="mints a second, layer by layer")
    parser.add_argument("mints", nargs="?", type=int, default=1_000)
    mints: int = parser.parse_args().mints
    figures = [bare(mints), stepped_ledger(mints)]
    with tempfile.TemporaryDirectory() as folder:
        figures.append(asyncio.run(stepped_node(mints, Path(folder) / "stepped")))
        figures.append(asyncio.run(over_http(mints, Path(folder) / "http")))
    for figure in figures:
        ratio = figure.seconds / figures[0].seconds
        print(f"{figure.name:42} {figure.rate:8.0f} mints/s  {ratio:6.2f} x the bare runtime's time")


if __name__ == "__main__":
    main()
