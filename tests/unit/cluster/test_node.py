"""The node: stored before shown, found again after a restart, forks and pruning on disk as in memory."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from localnet.cluster.airdrop import airdrop_transaction
from localnet.cluster.faults import Faults
from localnet.cluster.model import Commitment, LedgerLimits
from localnet.cluster.node import Advance, Node, NodeOptions
from localnet.cluster.store import Store, StoreError
from localnet.cluster.wire import ParsedTransaction
from tests.support.cluster import SOL, TestClock


@asynccontextmanager
async def opened(
    data: Path | None = None, limits: LedgerLimits | None = None, clock: TestClock | None = None
) -> AsyncGenerator[Node]:
    node = await Node.open(NodeOptions(data, None, limits or LedgerLimits(), b"test", clock or TestClock()))
    try:
        yield node
    finally:
        await node.close()


def gift(node: Node, to: Pubkey, lamports: int = SOL) -> ParsedTransaction:
    transaction = airdrop_transaction(node.faucet, to, lamports, node.heads.processed.hash)
    assert node.ledger.submit(transaction)
    return transaction


async def test_a_restart_goes_on_where_the_chain_was(tmp_path: Path) -> None:
    to = Keypair().pubkey()
    clock = TestClock()
    async with opened(tmp_path, clock=clock) as node:
        sent = gift(node, to)
        await node.step(5)
        head, faucet = node.ledger.chain.head, node.faucet.pubkey()
    clock.now += 100
    async with opened(tmp_path, clock=clock) as node:
        assert node.faucet.pubkey() == faucet
        assert node.ledger.chain.head == head
        assert node.ledger.account(to, head) is not None
        assert node.ledger.refusal(sent, head) == "AlreadyProcessed"
        again = await node.step()
        assert (again.slot, again.height, again.parent_slot) == (head.slot + 1, head.height + 1, head.slot)
        assert again.time == head.time + 100


async def test_a_restart_keeps_the_levels_apart(tmp_path: Path) -> None:
    to = Keypair().pubkey()
    async with opened(tmp_path) as node:
        for _ in range(40):
            gift(node, to)
            await node.step()
        before = {level: node.ledger.account(to, node.heads.at(level)) for level in Commitment}
    async with opened(tmp_path) as node:
        after = {level: node.ledger.account(to, node.heads.at(level)) for level in Commitment}
        assert after == before
        assert [account.lamports // SOL for account in after.values() if account] == [40, 39, 8]
        # A fork right after the restart restores what was there before.
        await node.fork(10)
        restored = node.ledger.account(to, node.heads.processed)
        assert restored is not None
        assert restored.lamports == 30 * SOL


async def test_what_was_shown_is_on_disk_even_if_the_process_dies_there(tmp_path: Path) -> None:
    """The ledger file is copied, as a crash would leave it, at the moment that the slot is told to listeners."""
    to = Keypair().pubkey()
    copies: list[Path] = []

    async def crash(_advance: Advance) -> None:
        copy = tmp_path / f"crash-{len(copies)}"
        await asyncio.to_thread(shutil.copytree, tmp_path / "live", copy)
        copies.append(copy)

    async with opened(tmp_path / "live") as node:
        node.listen(crash)
        sent = gift(node, to)
        await node.step()
    async with opened(copies[0]) as node:
        assert node.ledger.recent_transaction(sent.signature) is not None
        assert node.ledger.account(to, node.heads.processed) is not None


async def test_a_fork_is_kept_across_a_restart(tmp_path: Path) -> None:
    to = Keypair().pubkey()
    async with opened(tmp_path) as node:
        await node.step(3)
        sent = gift(node, to)
        await node.step(2)
        fork = await node.fork(2)
        assert await node.transaction(sent.signature) is None
        last = fork.dropped_slots[-1]
    async with opened(tmp_path) as node:
        assert node.ledger.chain.head == fork.head
        assert node.ledger.account(to, node.heads.processed) is None
        assert (await node.step()).slot == last + 1


async def test_old_transactions_are_found_in_the_store_only() -> None:
    limits = LedgerLimits(status_cache_roots=5, finalized_after=3)
    to = Keypair().pubkey()
    async with opened(limits=limits) as node:
        sent = gift(node, to)
        await node.step(8)
        assert node.ledger.recent_transaction(sent.signature) is not None
        await node.step(2)
        assert node.ledger.recent_transaction(sent.signature) is None
        found = await node.transaction(sent.signature)
        assert found is not None
        assert (found.signature, found.slot) == (sent.signature, 1)


async def test_account_versions_that_nobody_can_read_are_pruned_from_disk(tmp_path: Path) -> None:
    limits = LedgerLimits(finalized_after=3, extra_history=2)
    to = Keypair().pubkey()
    async with opened(tmp_path, limits) as node:
        for _ in range(10):
            gift(node, to)
            await node.step()
    async with opened(tmp_path, limits) as node:
        for _ in range(10):
            gift(node, to)
            await node.step()
        assert node.ledger.history_horizon == 15
    store = Store(tmp_path / "ledger.sqlite3")
    snapshot = store.load(100, 0)
    store.close()
    assert snapshot is not None
    slots = [slot for slot, key, _ in snapshot.accounts if key == to]
    assert slots == [15, 16, 17, 18, 19, 20]


async def test_a_skipped_slot_has_a_number_and_no_block() -> None:
    async with opened() as node:
        await node.step()
        node.set_faults(Faults(skip_slot_share=1.0))
        await node.step(3)
        node.set_faults(Faults())
        block = await node.step()
        assert (block.slot, block.parent_slot, block.height) == (5, 1, 2)
        assert await node.block(3) is None


async def test_two_clusters_do_not_share_a_ledger(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(StoreError, match="in use"):
            await Node.open(NodeOptions(tmp_path, None))


async def test_a_file_that_is_no_ledger_is_refused_with_advice(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").write_bytes(b"not a database at all, but long enough to be read as a header" * 20)
    with pytest.raises(StoreError, match="remove it"):
        await Node.open(NodeOptions(tmp_path, None))


async def test_a_failing_store_ends_the_node_and_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_self: Store, _sealed: object) -> None:
        raise OSError("no space left on device")

    async with opened() as node:
        monkeypatch.setattr(Store, "append", full)
        gift(node, Keypair().pubkey())
        with pytest.raises(OSError, match="no space"):
            await node.step()
        assert node.ledger.chain.head.slot == 0


async def test_forks_can_come_by_themselves() -> None:
    async with opened() as node:
        await node.step(5)
        node.set_faults(Faults(fork_share=1.0, fork_blocks=2))
        block = await node.step()
        assert (block.slot, block.height, node.ledger.chain.last_slot) == (4, 4, 6)
        node.set_faults(Faults())
        assert (await node.step()).slot == 7
