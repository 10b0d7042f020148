"""Versions of accounts by slot, so that reads at each commitment level see that level's state and no newer one.

Used by the ledger. LiteSVM holds one state only (the newest); this keeps what it was in the slots behind, which is
also what a fork restores. Accounts are immutable values here and shared, not copied.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from solders.account import Account
from solders.pubkey import Pubkey

from localnet.cluster.model import AccountChanges


class AccountHistory:
    """For each account, its versions in ascending slots. Slots must be recorded in ascending order."""

    def __init__(self) -> None:
        self._slots: dict[Pubkey, list[int]] = {}
        self._versions: dict[Pubkey, list[Account | None]] = {}
        self._written: dict[int, tuple[Pubkey, ...]] = {}
        self._ever_owned: dict[Pubkey, set[Pubkey]] = {}

    def at(self, key: Pubkey, slot: int) -> Account | None:
        """The account as of the end of `slot`; None when it did not exist then."""
        slots = self._slots.get(key)
        if slots is None:
            return None
        index = bisect_right(slots, slot) - 1
        return self._versions[key][index] if index >= 0 else None

    def changed_after(self, key: Pubkey, slot: int) -> bool:
        """Whether a version newer than `slot` is recorded."""
        slots = self._slots.get(key)
        return bool(slots) and slots[-1] > slot

    def knows(self, key: Pubkey) -> bool:
        """Whether any version of the account was ever recorded (and not pruned)."""
        return key in self._slots

    def record(self, slot: int, changes: AccountChanges) -> None:
        """Append the versions that `slot` left behind."""
        for key, account in changes.items():
            slots = self._slots.setdefault(key, [])
            if slots and slots[-1] >= slot:
                raise ValueError(f"slot {slot} recorded after slot {slots[-1]}")
            slots.append(slot)
            self._versions.setdefault(key, []).append(account)
            if account is not None:
                self._ever_owned.setdefault(account.owner, set()).add(key)
        if changes:
            self._written[slot] = tuple(changes)

    def prune(self, horizon: int) -> None:
        """Forget versions that no read at or after `horizon` can see."""
        for slot in [slot for slot in self._written if slot <= horizon]:
            for key in self._written.pop(slot):
                self._prune_account(key, horizon)

    def _prune_account(self, key: Pubkey, horizon: int) -> None:
        slots = self._slots.get(key)
        if slots is None:
            return
        keep = max(bisect_right(slots, horizon) - 1, 0)
        versions = self._versions[key]
        del slots[:keep]
        for dead in versions[:keep]:
            self._forget_owner(key, dead, versions[keep:])
        del versions[:keep]
        if len(versions) == 1 and versions[0] is None and slots[0] <= horizon:
            del self._slots[key], self._versions[key]

    def _forget_owner(self, key: Pubkey, dead: Account | None, alive: list[Account | None]) -> None:
        if dead is None or any(account is not None and account.owner == dead.owner for account in alive):
            return
        owned = self._ever_owned.get(dead.owner)
        if owned is not None:
            owned.discard(key)

    def rollback(self, slot: int) -> AccountChanges:
        """Drop every version newer than `slot`; returns the accounts touched, as they are again."""
        touched: set[Pubkey] = set()
        for later in [later for later in self._written if later > slot]:
            touched.update(self._written.pop(later))
        restored: dict[Pubkey, Account | None] = {}
        for key in touched:
            slots, versions = self._slots[key], self._versions[key]
            keep = bisect_right(slots, slot)
            del slots[keep:], versions[keep:]
            restored[key] = versions[-1] if versions else None
            if not versions:
                del self._slots[key], self._versions[key]
        return restored

    def owned_by(self, owner: Pubkey, slot: int) -> Iterator[tuple[Pubkey, Account]]:
        """Every account that belonged to `owner` as of the end of `slot`."""
        for key in self._ever_owned.get(owner, ()):
            account = self.at(key, slot)
            if account is not None and account.owner == owner:
                yield key, account
