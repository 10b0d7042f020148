"""The ledger on disk, in SQLite: what a killed cluster finds again.

Used by the node, which calls it from one worker thread; every method blocks. A slot is one SQLite transaction and is
stored before it is published, so nothing that a client was told is lost when the process dies at any line. The
write-ahead log is not synced per slot: a killed process loses nothing, a power cut may lose the last slots.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import msgspec
from solders.account import Account
from solders.pubkey import Pubkey

from localnet.cluster.model import AccountChanges, Block, ExecutedTransaction, Json, SealedSlot, Snapshot

FORMAT = b"1"
_encode = msgspec.msgpack.Encoder().encode
_decode_block = msgspec.msgpack.Decoder(Block).decode
_decode_transaction = msgspec.msgpack.Decoder(ExecutedTransaction).decode


class StoreError(RuntimeError):
    """The ledger file cannot be used: another format, or damaged. The message says what to do; never retried."""


@dataclass(frozen=True, slots=True)
class Mention:
    """One transaction that names an address."""

    signature: str
    slot: int
    err: Json
    time: int


class Store:
    """One open ledger file. Not safe for use by two threads at once."""

    def __init__(self, path: Path | None) -> None:
        """Open or create the file; None keeps everything in memory. Raises StoreError."""
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = sqlite3.connect(
                ":memory:" if path is None else path, isolation_level=None, check_same_thread=False, timeout=1.0
            )
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.executescript(files("localnet.cluster").joinpath("schema.sql").read_text("utf-8"))
        except sqlite3.OperationalError as error:  # stops: two writers would make two chains of one
            raise StoreError(f"{path} is in use by another cluster, or not writable ({error})") from error
        except sqlite3.DatabaseError as error:  # stops: the caller cannot run without its ledger
            raise StoreError(f"{path} is not a usable ledger ({error}); remove it to start a new chain") from error
        kept = self.meta("format")
        if kept not in (None, FORMAT):
            raise StoreError(f"{path} has ledger format {kept!r}, this program writes {FORMAT!r}; remove it")
        self.put_meta("format", FORMAT)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def meta(self, name: str) -> bytes | None:
        """A named value, or None."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return bytes(row[0]) if row else None

    def put_meta(self, name: str, value: bytes) -> None:
        """Set a named value."""
        self._db.execute(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    @property
    def last_slot(self) -> int:
        """The highest slot number ever used, on any fork; 0 for a new chain."""
        value = self.meta("last_slot")
        return int(value) if value else 0

    # Writing

    def begin_chain(self, snapshot: Snapshot) -> None:
        """Store the genesis of a new chain."""
        with self._transaction():
            for block in snapshot.blocks:
                self._put_block(block)
            for slot, key, account in snapshot.accounts:
                self._put_accounts(slot, {key: account})

    def append(self, sealed: SealedSlot) -> None:
        """Store one slot, all of it or nothing."""
        with self._transaction():
            self._put_block(sealed.block)
            self._put_transactions(sealed.transactions)
            self._put_accounts(sealed.block.slot, sealed.changes)
            self.put_meta("last_slot", str(sealed.block.slot).encode())

    def rollback(self, slot: int, last_slot: int) -> None:
        """Forget everything after `slot`, as a fork did. `last_slot` is the highest number used so far."""
        with self._transaction():
            for table in ("blocks", "transactions", "mentions", "accounts"):
                self._db.execute(f"DELETE FROM {table} WHERE slot > ?", (slot,))  # noqa: S608 - fixed names
            self.put_meta("last_slot", str(last_slot).encode())

    def prune(self, addresses: Iterable[Pubkey], horizon: int) -> None:
        """Forget versions of `addresses` that no read at or after slot `horizon` can see."""
        with self._transaction():
            self._db.executemany(
                "DELETE FROM accounts WHERE address = ?1 AND slot <"
                " (SELECT max(slot) FROM accounts WHERE address = ?1 AND slot <= ?2)",
                ((bytes(address), horizon) for address in addresses),
            )

    def _transaction(self) -> _Transaction:
        return _Transaction(self._db)

    def _put_block(self, block: Block) -> None:
        self._db.execute("INSERT INTO blocks VALUES (?, ?, ?)", (block.slot, block.height, _encode(block)))

    def _put_transactions(self, transactions: Iterable[ExecutedTransaction]) -> None:
        for tx in transactions:
            self._db.execute(
                "INSERT INTO transactions VALUES (?, ?, ?, ?)", (tx.slot, tx.index, tx.signature, _encode(tx))
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO mentions VALUES (?, ?, ?)",
                ((key, tx.slot, tx.index) for key in tx.account_keys),
            )

    def _put_accounts(self, slot: int, changes: AccountChanges) -> None:
        self._db.executemany(
            "INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?, ?)",
            (_account_row(slot, key, account) for key, account in changes.items()),
        )

    # Reading

    def load(self, recent_blocks: int, recent_from_height: int) -> Snapshot | None:
        """The newest `recent_blocks` blocks, the transactions of those from a height on, and all accounts.

        None for a file that holds no chain yet.
        """
        rows = self._db.execute("SELECT body FROM blocks ORDER BY slot DESC LIMIT ?", (recent_blocks,)).fetchall()
        blocks = tuple(_decode_block(row[0]) for row in reversed(rows))
        if not blocks:
            return None
        first_slot = next((block.slot for block in blocks if block.height >= recent_from_height), blocks[-1].slot)
        accounts = self._db.execute(
            "SELECT slot, address, lamports, owner, executable, rent_epoch, data FROM accounts ORDER BY slot"
        )
        return Snapshot(
            blocks,
            tuple(self.transactions_since(first_slot)),
            tuple((row[0], Pubkey(row[1]), _account(row[2:])) for row in accounts),
        )

    def head_height(self) -> int:
        """Height of the newest stored block; 0 for none."""
        row = self._db.execute("SELECT max(height) FROM blocks").fetchone()
        return row[0] or 0

    def transactions_since(self, slot: int) -> Iterator[ExecutedTransaction]:
        """Stored transactions from a slot on, in the order of execution."""
        rows = self._db.execute("SELECT body FROM transactions WHERE slot >= ? ORDER BY slot, position", (slot,))
        for row in rows:
            yield _decode_transaction(row[0])

    def transactions_after(self, place: tuple[int, int], limit: int) -> list[ExecutedTransaction]:
        """Up to `limit` transactions after a (slot, index), in the order of execution."""
        rows = self._db.execute(
            "SELECT body FROM transactions WHERE (slot, position) > (?, ?) ORDER BY slot, position LIMIT ?",
            (*place, limit),
        )
        return [_decode_transaction(row[0]) for row in rows]

    def transaction(self, signature: str) -> ExecutedTransaction | None:
        """A landed transaction of any age."""
        row = self._db.execute("SELECT body FROM transactions WHERE signature = ?", (signature,)).fetchone()
        return _decode_transaction(row[0]) if row else None

    def block(self, slot: int) -> Block | None:
        """A block of any age."""
        row = self._db.execute("SELECT body FROM blocks WHERE slot = ?", (slot,)).fetchone()
        return _decode_block(row[0]) if row else None

    def block_transactions(self, slot: int) -> list[ExecutedTransaction]:
        """The transactions of one block, in order."""
        rows = self._db.execute("SELECT body FROM transactions WHERE slot = ? ORDER BY position", (slot,))
        return [_decode_transaction(row[0]) for row in rows]

    def slots_between(self, first: int, last: int) -> list[int]:
        """Slots that have a block, inclusive, ascending."""
        rows = self._db.execute("SELECT slot FROM blocks WHERE slot BETWEEN ? AND ? ORDER BY slot", (first, last))
        return [row[0] for row in rows]

    def mentions(
        self, address: Pubkey, limit: int, newest_slot: int, before: str | None, until: str | None
    ) -> list[Mention]:
        """Transactions that name an address, newest first, up to `newest_slot`; `before` and `until` excluded."""
        top = (newest_slot + 1, 0) if before is None else self._place(before, default=(0, 0))
        bottom = (-1, 0) if until is None else self._place(until, default=(-1, 0))
        rows = self._db.execute(
            "SELECT t.body, b.body FROM mentions m"
            " JOIN transactions t ON t.slot = m.slot AND t.position = m.position JOIN blocks b ON b.slot = m.slot"
            " WHERE m.address = ? AND (m.slot, m.position) < (?, ?) AND (m.slot, m.position) > (?, ?)"
            " AND m.slot <= ? ORDER BY m.slot DESC, m.position DESC LIMIT ?",
            (bytes(address), *top, *bottom, newest_slot, limit),
        )
        found: list[Mention] = []
        for transaction_body, block_body in rows:
            tx = _decode_transaction(transaction_body)
            found.append(Mention(tx.signature, tx.slot, tx.err, _decode_block(block_body).time))
        return found

    def _place(self, signature: str, default: tuple[int, int]) -> tuple[int, int]:
        row = self._db.execute("SELECT slot, position FROM transactions WHERE signature = ?", (signature,)).fetchone()
        return (row[0], row[1]) if row else default


class _Transaction:
    """A SQLite transaction as a context: commits when the block ends well, rolls back when it raises."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._db.execute("COMMIT" if kind is None else "ROLLBACK")


def _account_row(slot: int, key: Pubkey, account: Account | None) -> tuple[object, ...]:
    if account is None:
        return bytes(key), slot, None, None, None, None, None
    # A rent epoch may be 2^64-1, more than SQLite's integers hold.
    epoch = struct.pack("<Q", account.rent_epoch)
    return (
        bytes(key), slot, account.lamports, bytes(account.owner), account.executable, epoch, account.data
    )  # fmt: skip


def _account(row: tuple[int | None, bytes | None, int | None, bytes | None, bytes | None]) -> Account | None:
    lamports, owner, executable, epoch, data = row
    if lamports is None or owner is None or epoch is None:
        return None
    return Account(lamports, data or b"", Pubkey(owner), bool(executable), struct.unpack("<Q", epoch)[0])
