"""What the local cluster itself executes: packed mint transactions, signed before, sent as fast as it takes them.

Used by `bench_mint` as the ideal. The transactions are those that the minter would sign: its packing, its lookup table,
its compute limits. Sending and looking are JSON-RPC batches of one client; nothing is logged, pinned or decoded.
"""

import asyncio
import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import httpx
from msgspec.structs import replace
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bubblegum.reference import reference
from contracts.collection import CollectionCreated, CollectionTableCreated
from contracts.mint import Pinned, PinnedItem
from services.minter.packing import Rooms, TreeRoom, pack
from services.minter.plan import LookupTable, compose, compute_limit, mint_instructions
from services.minter.ports import RecentBlockhash
from tests.bench.stage import BATCH_SIZE, Stage
from tests.support import samples

SENT_AT_ONCE: Final = 20
ASKED_AT_ONCE: Final = 256
"""Most signatures of one getSignatureStatuses (Solana RPC API)."""
PAUSE: Final = 0.05
UNITS: Final = 81_000
"""Compute units of a mint at the most, as measured on the deployed programs."""


@dataclass(frozen=True, slots=True)
class Ideal:
    """What the cluster did alone."""

    mints: int
    transactions: int
    seconds: float

    @property
    def rate(self) -> float:
        """NFTs a second."""
        return self.mints / self.seconds


class Cluster:
    """A JSON-RPC client that asks in batches."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def call(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Return the results of one batch."""
        body = [{"jsonrpc": "2.0", "id": 1, "method": method, "params": params} for method, params in calls]
        answers = (await self._http.post("/", json=body)).json()
        if errors := [answer["error"]["message"] for answer in answers if "error" in answer]:
            raise SystemExit(f"{calls[0][0]}: {errors[0]}")
        return [answer["result"] for answer in answers]

    async def blockhash(self) -> RecentBlockhash:
        """Return the newest confirmed blockhash."""
        (latest,) = await self.call([("getLatestBlockhash", [{"commitment": "confirmed"}])])
        value = latest["value"]
        return RecentBlockhash(Hash.from_string(value["blockhash"]), value["lastValidBlockHeight"])

    async def send(self, transactions: Sequence[VersionedTransaction]) -> None:
        """Send them all."""
        config = {"encoding": "base64", "skipPreflight": True}
        for start in range(0, len(transactions), SENT_AT_ONCE):
            texts = [base64.b64encode(bytes(each)).decode() for each in transactions[start : start + SENT_AT_ONCE]]
            await self.call([("sendTransaction", [text, config]) for text in texts])

    async def confirmed(self, transactions: Sequence[VersionedTransaction]) -> None:
        """Return when all are; one that failed ends the bench."""
        waiting = [str(each.signatures[0]) for each in transactions]
        while waiting:
            waiting = [
                signature
                for start in range(0, len(waiting), ASKED_AT_ONCE)
                for signature in await self._unconfirmed(waiting[start : start + ASKED_AT_ONCE])
            ]
            await asyncio.sleep(PAUSE if waiting else 0)

    async def _unconfirmed(self, signatures: Sequence[str]) -> list[str]:
        (result,) = await self.call([("getSignatureStatuses", [list(signatures)])])
        pairs = list(zip(signatures, result["value"], strict=True))
        if failed := [status["err"] for _, status in pairs if status is not None and status["err"] is not None]:
            raise SystemExit(f"a transaction that was signed before failed: {failed[0]}")
        return [name for name, status in pairs if status is None or status["confirmationStatus"] == "processed"]


async def presigned(stage: Stage, wallet: Keypair, collection: Mapping[str, Any], count: int) -> Ideal:
    """Mint `count` NFTs into the collection's one tree with transactions that are signed before the clock starts."""
    created, table = await _on_log(stage, collection)
    async with httpx.AsyncClient(base_url=stage.stack.rpc_url, timeout=120) as http:
        cluster = Cluster(http)
        ready = _signed(created, table, wallet, count, await cluster.blockhash())
        began = time.perf_counter()
        await cluster.send(ready)
        await cluster.confirmed(ready)
        return Ideal(count, len(ready), time.perf_counter() - began)


async def one_by_one(stage: Stage, wallet: Keypair, collection: Mapping[str, Any], count: int) -> list[float]:
    """Return the seconds that each of `count` single mints takes from sending to being confirmed, one after another."""
    created, table = await _on_log(stage, collection)
    seconds: list[float] = []
    async with httpx.AsyncClient(base_url=stage.stack.rpc_url, timeout=120) as http:
        cluster = Cluster(http)
        for _ in range(count):
            ready = _signed(created, table, wallet, 1, await cluster.blockhash())
            began = time.perf_counter()
            await cluster.send(ready)
            await cluster.confirmed(ready)
            seconds.append(time.perf_counter() - began)
    return seconds


async def _on_log(stage: Stage, collection: Mapping[str, Any]) -> tuple[CollectionCreated, LookupTable]:
    identity = UUID(collection["id"])
    created = await stage.log.last(CollectionCreated, collection=identity)
    table = await stage.log.last(CollectionTableCreated, collection=identity, number=0)
    if created is None or table is None:
        raise SystemExit("the collection or its lookup table is not on the log")
    addresses = tuple(Pubkey.from_string(each) for each in table.data.addresses)
    return created.data, LookupTable(Pubkey.from_string(table.data.table_address), addresses)


def _signed(
    created: CollectionCreated, table: LookupTable, wallet: Keypair, count: int, blockhash: RecentBlockhash
) -> list[VersionedTransaction]:
    capacity = created.tree.capacity
    rooms = Rooms([TreeRoom(0, created.tree_address, table, capacity, minted=0, minted_at_first=0)])
    ready: list[VersionedTransaction] = []
    for chunk in range(-(-count // BATCH_SIZE)):
        pinned = _pinned(created, chunk, min(BATCH_SIZE, count - chunk * BATCH_SIZE))
        items = {item.index: item for item in pinned.items}
        for planned in pack(created, pinned, rooms, wallet.pubkey()):
            chosen = [items[index] for index in planned.items]
            message = compose(
                mint_instructions(created, pinned.recipient, chosen, wallet.pubkey(), planned.tree),
                wallet.pubkey(),
                blockhash,
                mark=reference(f"{Keypair().pubkey()}"),
                compute_units=compute_limit(UNITS * len(chosen), len(chosen)),
                micro_lamports=0,
                tables=(table,),
            )
            ready.append(VersionedTransaction(message, [wallet]))
    return ready


def _pinned(created: CollectionCreated, chunk: int, count: int) -> Pinned:
    """A chunk with URIs as long as those of single files on IPFS."""
    uri = f"ipfs://{samples.CID}"
    first = chunk * BATCH_SIZE
    items = tuple(
        PinnedItem(index=number, name=f"Bench #{number}", symbol="BENCH", uri=uri, image_uri=uri)
        for number in range(first, first + count)
    )
    return replace(samples.PINNED, chunk=chunk, collection=created.collection, items=items, not_before=None)
