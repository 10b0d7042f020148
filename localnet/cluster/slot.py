"""One slot being filled: takes waiting transactions, executes them, keeps to the compute limits, seals a block.

Used by the ledger, which publishes the sealed block. Work is done in small steps so that the caller can serve other
clients between them; nothing of an unsealed slot is visible to readers.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from solders.account import Account
from solders.pubkey import Pubkey

from localnet.cluster.accounts import AccountHistory
from localnet.cluster.chain import Chain, next_blockhash
from localnet.cluster.model import Block, ExecutedTransaction, LedgerLimits, SealedSlot
from localnet.cluster.pool import Pool
from localnet.cluster.svm import Outcome, Svm
from localnet.cluster.wire import LookupFailed, ParsedTransaction, ResolvedKeys, resolve

# Agave's cost model (`block_cost_limits`): what a transaction costs besides the units it runs.
SIGNATURE_COST = 720
WRITE_LOCK_COST = 300


@dataclass(frozen=True, slots=True)
class SlotContext:
    """What a slot builder works with: the ledger's own parts, borrowed for one slot."""

    svm: Svm
    chain: Chain
    pool: Pool
    limits: LedgerLimits
    accounts: AccountHistory
    landed: dict[str, ExecutedTransaction]


class SlotBuilder:
    """Fills one slot on top of the chain's head. Exactly one may be open at a time."""

    def __init__(self, context: SlotContext, slot: int, unix_time: int) -> None:
        self._context = context
        self._parent = context.chain.head
        self._time = unix_time
        self.slot = slot
        self._queue = deque(context.pool.due(slot))
        self._executed: dict[str, ExecutedTransaction] = {}
        self._expired: list[str] = []
        self._touched: set[Pubkey] = set()
        self._block_compute = 0
        self._account_compute: Counter[Pubkey] = Counter()
        self._minimum_fee: int | None = None
        self._minimum_fees: dict[bytes, int] = {}
        context.svm.enter_slot(slot, unix_time, context.chain.slot_hashes())

    @property
    def touched(self) -> frozenset[Pubkey]:
        """Accounts that this unsealed slot may have changed; readers must not look at their newest state."""
        return frozenset(self._touched)

    def execute_some(self, most: int) -> bool:
        """Try up to `most` waiting transactions; returns whether more are waiting for this slot."""
        for _ in range(min(most, len(self._queue))):
            self._take(self._queue.popleft())
        return bool(self._queue)

    def _take(self, transaction: ParsedTransaction) -> None:
        context, signature = self._context, transaction.signature
        if not context.chain.accepts_blockhash(transaction.blockhash, self._parent):
            context.pool.discard(signature)
            self._expired.append(signature)
            return
        if signature in context.landed or signature in self._executed:
            context.pool.discard(signature)
            return
        try:
            keys = resolve(transaction, self._tables(transaction))
        except LookupFailed:  # retried by the pool: the table may be extended in a later slot
            context.pool.postpone(signature, self.slot + context.limits.retry_every)
            return
        reserved = self._cost(transaction, keys, transaction.unit_limit)
        if not self._fits(keys, reserved):
            return  # stays in the pool, due again in the next slot
        self._run(transaction, keys)

    def _tables(self, transaction: ParsedTransaction) -> dict[Pubkey, Account | None]:
        return {lookup.table: self._context.svm.account(lookup.table) for lookup in transaction.lookups}

    @staticmethod
    def _cost(transaction: ParsedTransaction, keys: ResolvedKeys, units: int) -> int:
        return units + SIGNATURE_COST * transaction.required_signatures + WRITE_LOCK_COST * len(keys.writable)

    def _fits(self, keys: ResolvedKeys, cost: int) -> bool:
        limits = self._context.limits
        if self._block_compute + cost > limits.block_compute:
            return False
        return all(self._account_compute[key] + cost <= limits.account_compute for key in keys.writable)

    def _run(self, transaction: ParsedTransaction, keys: ResolvedKeys) -> None:
        context, every = self._context, keys.every
        before = context.svm.balances(every)
        self._touched.update(key for key in keys.writable if not context.svm.is_fixed(key))
        outcome = context.svm.execute(transaction)
        if not outcome.landed:
            context.pool.postpone(transaction.signature, self.slot + context.limits.retry_every)
            return
        cost = self._cost(transaction, keys, outcome.compute_units)
        self._block_compute += cost
        for key in keys.writable:
            self._account_compute[key] += cost
        self._note_price(transaction, keys)
        context.pool.discard(transaction.signature)
        self._executed[transaction.signature] = self._record(transaction, keys, outcome, before)

    def _note_price(self, transaction: ParsedTransaction, keys: ResolvedKeys) -> None:
        price = transaction.unit_price
        self._minimum_fee = price if self._minimum_fee is None else min(self._minimum_fee, price)
        for key in keys.writable:
            raw = bytes(key)
            self._minimum_fees[raw] = min(self._minimum_fees.get(raw, price), price)

    def _record(
        self, transaction: ParsedTransaction, keys: ResolvedKeys, outcome: Outcome, before: tuple[int, ...]
    ) -> ExecutedTransaction:
        return ExecutedTransaction(
            signature=transaction.signature,
            slot=self.slot,
            index=len(self._executed),
            wire=transaction.wire,
            err=outcome.err,
            fee=outcome.fee,
            compute_units=outcome.compute_units,
            logs=outcome.logs,
            inner=outcome.inner,
            return_data=outcome.return_data,
            account_keys=tuple(bytes(key) for key in keys.every),
            loaded_writable=len(keys.loaded_writable),
            loaded_readonly=len(keys.loaded_readonly),
            pre_balances=before,
            post_balances=self._context.svm.balances(keys.every),
        )

    def seal(self) -> SealedSlot:
        """Close the slot. The result must be published before another slot is begun."""
        signatures = tuple(self._executed)
        block = Block(
            slot=self.slot,
            parent_slot=self._parent.slot,
            height=self._parent.height + 1,
            blockhash=next_blockhash(self._parent, self.slot, signatures),
            time=self._time,
            signatures=signatures,
            minimum_fee=self._minimum_fee or 0,
            minimum_fees=self._minimum_fees,
        )
        return SealedSlot(block, tuple(self._executed.values()), self._changes(), tuple(self._expired))

    def _changes(self) -> dict[Pubkey, Account | None]:
        """The accounts that this slot really changed; being writable in a transaction is not enough."""
        accounts, parent = self._context.accounts, self._parent.slot
        after = {key: self._context.svm.account(key) for key in self._touched}
        return {key: account for key, account in after.items() if account != accounts.at(key, parent)}
