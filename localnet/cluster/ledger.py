"""The local chain: takes transactions, makes blocks, answers what was true at each commitment level.

Used by the node (and by tests, in steps). Synchronous and without I/O or a clock of its own: time comes in as Unix
seconds. Life of a slot: `begin_slot` -> `execute_some`... -> `seal` -> (the caller stores it) -> `publish`; until
`publish`, no reader sees anything of it. `step` does all of that at once.

Durable nonces are not supported: a transaction whose blockhash is not recent is refused. Signatures are not checked
here; `submit` takes only what the caller verified.
"""

from __future__ import annotations

from collections.abc import Iterator

from solders.account import Account
from solders.pubkey import Pubkey

from localnet.cluster.accounts import AccountHistory
from localnet.cluster.chain import Chain, genesis_block
from localnet.cluster.model import (
    LAMPORTS_PER_SIGNATURE,
    AccountChanges,
    Block,
    Commitment,
    ExecutedTransaction,
    Fork,
    Genesis,
    Json,
    LedgerLimits,
    SealedSlot,
    Snapshot,
)
from localnet.cluster.pool import Pool
from localnet.cluster.slot import SlotBuilder, SlotContext
from localnet.cluster.svm import Outcome, Simulation, Svm
from localnet.cluster.wire import LookupFailed, ParsedTransaction, ResolvedKeys, resolve


def genesis_snapshot(genesis: Genesis) -> Snapshot:
    """The state of a chain that has only its genesis block."""
    accounts = tuple((0, key, account) for key, account in genesis.accounts.items())
    return Snapshot((genesis_block(genesis.seed, genesis.time),), (), accounts)


class Ledger:
    """One chain on one runtime. Built from a snapshot: of genesis, or of what a store kept."""

    def __init__(self, svm: Svm, snapshot: Snapshot, limits: LedgerLimits | None = None, last_slot: int = 0) -> None:
        self.limits = limits or LedgerLimits()
        self.svm = svm
        self.chain = Chain(snapshot.blocks, self.limits, last_slot)
        self.pool = Pool(self.limits.pool_transactions)
        self._accounts = AccountHistory()
        self._landed: dict[str, ExecutedTransaction] = {tx.signature: tx for tx in snapshot.transactions}
        self._open: SlotBuilder | None = None
        self._restore(snapshot)

    def _restore(self, snapshot: Snapshot) -> None:
        by_slot: dict[int, dict[Pubkey, Account | None]] = {}
        for slot, key, account in snapshot.accounts:
            by_slot.setdefault(slot, {})[key] = account
        newest: dict[Pubkey, Account | None] = {}
        for slot in sorted(by_slot):
            self._accounts.record(slot, by_slot[slot])
            newest.update(by_slot[slot])
        for key, account in newest.items():
            self.svm.put_account(key, account)

    # Making slots

    def submit(self, transaction: ParsedTransaction) -> bool:
        """Queue a transaction whose signatures the caller verified; False when the pool is full."""
        if transaction.signature in self._landed:
            return True
        return self.pool.add(transaction)

    def begin_slot(self, unix_time: int) -> SlotBuilder:
        """Open the next slot. Time never goes back. Raises RuntimeError when a slot is open already."""
        if self._open is not None:
            raise RuntimeError(f"slot {self._open.slot} is still open")
        context = SlotContext(self.svm, self.chain, self.pool, self.limits, self._accounts, self._landed)
        self._open = SlotBuilder(context, self.chain.last_slot + 1, max(unix_time, self.chain.head.time))
        return self._open

    def publish(self, sealed: SealedSlot) -> None:
        """Show the open slot's block to readers. Raises RuntimeError when it is not the open slot's."""
        if self._open is None or sealed.block.slot != self._open.slot:
            raise RuntimeError(f"slot {sealed.block.slot} is not the open slot")
        self._open = None
        self.chain.append(sealed.block)
        self._accounts.record(sealed.block.slot, sealed.changes)
        for transaction in sealed.transactions:
            self._landed[transaction.signature] = transaction
        self._forget_old()

    def _forget_old(self) -> None:
        self._accounts.prune(self.history_horizon)
        oldest = self.status_horizon
        while self._landed:
            signature, transaction = next(iter(self._landed.items()))
            if transaction.slot >= oldest:
                break
            del self._landed[signature]

    @property
    def history_horizon(self) -> int:
        """The slot below which older versions of an account are not kept."""
        return self.chain.at(Commitment.FINALIZED, self.limits.extra_history).slot

    @property
    def status_horizon(self) -> int:
        """The oldest slot of the status cache: all active slots and the configured number of roots."""
        return self.chain.at(Commitment.FINALIZED, self.limits.status_cache_roots).slot

    def step(self, unix_time: int) -> SealedSlot:
        """Make and publish one whole slot."""
        builder = self.begin_slot(unix_time)
        while builder.execute_some(1_000):
            pass
        sealed = builder.seal()
        self.publish(sealed)
        return sealed

    def fork(self, depth: int) -> Fork:
        """Drop the newest `depth` blocks (never a finalized one) and restore the accounts to what they were.

        The next block gets a new slot number and hash; blockhashes of dropped blocks are no longer accepted.
        Raises RuntimeError when a slot is open.
        """
        if self._open is not None:
            raise RuntimeError("a fork must fall between slots")
        blocks = self.chain.rollback(depth)
        dropped = tuple(
            transaction
            for block in blocks
            for signature in block.signatures
            if (transaction := self._landed.pop(signature, None)) is not None
        )
        restored = self._accounts.rollback(self.chain.head.slot)
        for key, account in restored.items():
            self.svm.put_account(key, account)
        return Fork(self.chain.head, tuple(block.slot for block in blocks), dropped, restored)

    # Reading

    def account(self, key: Pubkey, block: Block) -> Account | None:
        """An account as of a block. Programs and sysvars, which have no history, are read from the runtime."""
        if self._accounts.knows(key):
            return self._accounts.at(key, block.slot)
        return self.svm.fixed_account(key)

    def program_accounts(self, owner: Pubkey, block: Block) -> Iterator[tuple[Pubkey, Account]]:
        """Every account that a program owned as of a block."""
        return self._accounts.owned_by(owner, block.slot)

    def recent_transaction(self, signature: str) -> ExecutedTransaction | None:
        """A landed transaction of the status cache's window; older ones are in the store."""
        return self._landed.get(signature)

    def keys_of(self, transaction: ParsedTransaction, block: Block) -> ResolvedKeys:
        """A transaction's keys with lookup tables as of a block. Raises LookupFailed."""
        tables = {lookup.table: self.account(lookup.table, block) for lookup in transaction.lookups}
        return resolve(transaction, tables)

    # Trying without effect

    def refusal(self, transaction: ParsedTransaction, block: Block) -> Json:
        """Why a transaction cannot land on top of a block before it is even run: too old, or landed already."""
        if not self.chain.accepts_blockhash(transaction.blockhash, block):
            return "BlockhashNotFound"
        landed = self._landed.get(transaction.signature)
        return "AlreadyProcessed" if landed is not None and landed.slot <= block.slot else None

    def simulate(self, transaction: ParsedTransaction, block: Block) -> Simulation:
        """Run a transaction on the state as of a block, keeping nothing; the clock is the newest slot's."""
        refusal = self.refusal(transaction, block)
        if refusal is not None:
            return _refused(refusal)
        try:
            keys = self.keys_of(transaction, block)
        except LookupFailed as error:
            return _refused(error.reason)
        tables = (lookup.table for lookup in transaction.lookups)
        return self.svm.simulate(transaction, self._overlay((*keys.every, *tables), block))

    def _overlay(self, keys: tuple[Pubkey, ...], block: Block) -> AccountChanges:
        """The accounts whose newest state in the runtime is newer than `block`, as of `block`."""
        ahead = self._open.touched if self._open is not None else frozenset[Pubkey]()
        return {
            key: self._accounts.at(key, block.slot)
            for key in keys
            if key in ahead or self._accounts.changed_after(key, block.slot)
        }

    @staticmethod
    def fee(transaction: ParsedTransaction) -> int:
        """What a transaction costs whether it succeeds or fails, in lamports."""
        return LAMPORTS_PER_SIGNATURE * transaction.required_signatures + transaction.priority_fee


def _refused(reason: Json) -> Simulation:
    return Simulation(Outcome(False, reason, 0, 0, (), (), None), {})
