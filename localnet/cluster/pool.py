"""Transactions that were accepted and have not landed: bounded, ordered by the price they offer.

Used by the ledger. Plays both the leader's queue and the RPC node's own rebroadcast: a transaction that cannot land
yet (no funds, table not usable yet) is tried again every few slots until its blockhash expires, which is what a node
does and what a client that judges expiry must expect.
"""

from __future__ import annotations

from dataclasses import dataclass

from localnet.cluster.wire import ParsedTransaction


@dataclass(slots=True)
class Pending:
    """One waiting transaction; not tried again before `next_slot`."""

    transaction: ParsedTransaction
    sequence: int
    next_slot: int = 0


class Pool:
    """At most `capacity` transactions. A full pool refuses newcomers silently, as a flooded leader does."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._pending: dict[str, Pending] = {}
        self._sequence = 0
        self.refused = 0
        """How many transactions found the pool full."""

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, signature: str) -> bool:
        return signature in self._pending

    def add(self, transaction: ParsedTransaction) -> bool:
        """Queue a transaction; False when the pool is full. One that waits already is not queued twice."""
        if transaction.signature in self._pending:
            return True
        if len(self._pending) >= self._capacity:
            self.refused += 1
            return False
        self._sequence += 1
        self._pending[transaction.signature] = Pending(transaction, self._sequence)
        return True

    def discard(self, signature: str) -> None:
        """Forget a transaction that landed or expired."""
        self._pending.pop(signature, None)

    def postpone(self, signature: str, next_slot: int) -> None:
        """Keep a transaction that could not land for a later slot."""
        pending = self._pending.get(signature)
        if pending is not None:
            pending.next_slot = next_slot

    def due(self, slot: int) -> list[ParsedTransaction]:
        """What may be tried in `slot`: the highest price first, then first come."""
        due = [pending for pending in self._pending.values() if pending.next_slot <= slot]
        due.sort(key=lambda pending: (-pending.transaction.unit_price, pending.sequence))
        return [pending.transaction for pending in due]
