"""One transaction on two clusters, ours and Surfpool, and what each of them tells of it over JSON-RPC."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bubblegum.decode import Change, decode
from bubblegum.transaction import ExecutedInstruction, from_rpc
from tests.integration.cluster.rpc_client import BareClient
from tests.support.cluster import SOL, signed
from tests.support.history import account_data, raw_transaction

COMPUTE_UNITS = 400_000
LAMPORTS = 1_000 * SOL
PATIENCE_SECONDS = 60.0
PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Told:
    """What a cluster tells of a transaction that landed, without what has to differ: signature, slot, time."""

    err: object
    instructions: tuple[ExecutedInstruction, ...]
    logs: tuple[str, ...]
    fee: int
    compute_units: int
    paid: tuple[int, ...]
    """Lamports that each account has more or less than before."""
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """One of the two."""

    name: str
    node: BareClient

    async def fund(self, key: Pubkey) -> None:
        """Give a new key LAMPORTS."""
        await self.node.call("requestAirdrop", str(key), LAMPORTS)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                if await self.node.value("getBalance", str(key), {"commitment": "confirmed"}) >= LAMPORTS:
                    return
                await asyncio.sleep(PAUSE_SECONDS)

    async def sign(
        self, payer: Keypair, instructions: Sequence[Instruction], signers: Sequence[Keypair] = ()
    ) -> VersionedTransaction:
        """The transaction with this cluster's newest confirmed blockhash."""
        latest = await self.node.value("getLatestBlockhash", {"commitment": "confirmed"})
        recent = Hash.from_string(latest["blockhash"])
        return signed(payer, instructions, recent, units=COMPUTE_UNITS, signers=signers)

    async def until_confirmed(self, signature: str) -> str:
        """Wait until the transaction is confirmed, whatever came of it; returns the signature."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                (state,) = await self.node.value("getSignatureStatuses", [signature])
                if state is not None and state["confirmationStatus"] != "processed":
                    return signature
                await asyncio.sleep(PAUSE_SECONDS)

    async def land(self, payer: Keypair, instructions: Sequence[Instruction], signers: Sequence[Keypair]) -> Told:
        """Sign, send without preflight, wait until it is confirmed, and read it back."""
        signature = await self.until_confirmed(await self.node.send(await self.sign(payer, instructions, signers)))
        raw = await raw_transaction(self.node, signature)
        executed, meta = from_rpc(raw), raw["meta"]
        balances = zip(meta["preBalances"], meta["postBalances"], strict=True)
        return Told(
            err=executed.err,
            instructions=executed.instructions,
            logs=tuple(meta["logMessages"]),
            fee=meta["fee"],
            compute_units=meta["computeUnitsConsumed"],
            paid=tuple(after - before for before, after in balances),
            changes=tuple(decode(executed)),
        )

    async def account(self, address: Pubkey) -> bytes:
        """The account's data."""
        return await account_data(self.node, str(address))


@dataclass(frozen=True, slots=True)
class Pair:
    """Both clusters in lockstep: each instruction is built once, runs on both, and has to end alike."""

    ours: Cluster
    surfpool: Cluster

    async def wallet(self, seed: str) -> Keypair:
        """The same funded key on both."""
        key = keypair(seed)
        await asyncio.gather(self.ours.fund(key.pubkey()), self.surfpool.fund(key.pubkey()))
        return key

    async def rent(self, size: int) -> int:
        """The rent exemption of `size` bytes, on which both agree."""
        ours, theirs = [
            await each.node.call("getMinimumBalanceForRentExemption", size) for each in (self.ours, self.surfpool)
        ]
        assert ours == theirs
        return ours

    async def land(self, payer: Keypair, *instructions: Instruction, signers: Sequence[Keypair] = ()) -> Told:
        """Run one transaction on both; what they tell of it, which is the same."""
        ours, theirs = await asyncio.gather(
            self.ours.land(payer, instructions, signers), self.surfpool.land(payer, instructions, signers)
        )
        assert ours == theirs
        return ours

    async def account(self, address: Pubkey) -> tuple[bytes, bytes]:
        """The account's data on ours and on Surfpool."""
        return await self.ours.account(address), await self.surfpool.account(address)


def keypair(seed: str) -> Keypair:
    """The same key for the same words, so that addresses and with them roots are the same on both clusters."""
    return Keypair.from_seed(seed.encode().ljust(32, b".")[:32])
