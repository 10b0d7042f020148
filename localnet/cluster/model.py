"""The values of the local chain: commitment levels, blocks, executed transactions, sealed slots.

Used by every module of the cluster. Nothing here has behaviour beyond simple look-ups, and nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey

if TYPE_CHECKING:
    Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
else:
    Json = Any  # msgspec cannot decode into a recursive alias; what it reads from JSON is of this type anyway

# Agave: `MAX_PROCESSING_AGE` (solana-clock). A blockhash is accepted while its age in blocks is at most this.
MAX_PROCESSING_AGE = 150
# Agave: `MAX_RECENT_BLOCKHASHES`, how many rooted slots the status cache keeps (docs of getSignatureStatuses).
STATUS_CACHE_ROOTS = 300
# Agave: `MAX_ENTRIES` of the SlotHashes sysvar.
SLOT_HASHES_ENTRIES = 512
# Mainnet's epoch length; epochs mean nothing else here.
SLOTS_PER_EPOCH = 432_000
# Agave: slots a new block needs on top of it before it is a root (`MAX_LOCKOUT_HISTORY` + 1).
FINALIZED_AFTER = 32
LAMPORTS_PER_SIGNATURE = 5_000


class Commitment(StrEnum):
    """How settled a block is: seen by this node, voted for by a supermajority, or rooted."""

    PROCESSED = "processed"
    CONFIRMED = "confirmed"
    FINALIZED = "finalized"


class InnerInstruction(msgspec.Struct, frozen=True, array_like=True):
    """One cross-program call as the runtime recorded it; indexes point into the transaction's account keys."""

    program_id_index: int
    accounts: bytes
    data: bytes
    stack_height: int | None


class ReturnData(msgspec.Struct, frozen=True, array_like=True):
    """What the last program that set return data left behind."""

    program_id: bytes
    data: bytes


class ExecutedTransaction(msgspec.Struct, frozen=True):
    """A transaction that landed in a block, with everything that `getTransaction` tells about it.

    `err` is the JSON form of Solana's `TransactionError`, or None. `account_keys` are the 32-byte keys in the order
    of the runtime: static, then loaded writable, then loaded read-only. Balances are lamports, in that order.
    `inner` pairs the index of an outer instruction with the calls made below it.
    """

    signature: str
    slot: int
    index: int
    wire: bytes
    err: Json
    fee: int
    compute_units: int
    logs: tuple[str, ...]
    inner: tuple[tuple[int, tuple[InnerInstruction, ...]], ...]
    return_data: ReturnData | None
    account_keys: tuple[bytes, ...]
    loaded_writable: int
    loaded_readonly: int
    pre_balances: tuple[int, ...]
    post_balances: tuple[int, ...]


class Block(msgspec.Struct, frozen=True):
    """One block of the current fork. `time` is in Unix seconds; hashes are 32 bytes.

    `minimum_fees` maps a writable account's key to the lowest price (micro-lamports per compute unit) that a
    transaction writing it paid in this block; `minimum_fee` is the block's own lowest, 0 when it is empty.
    """

    slot: int
    parent_slot: int
    height: int
    blockhash: bytes
    time: int
    signatures: tuple[str, ...] = ()
    minimum_fee: int = 0
    minimum_fees: dict[bytes, int] = msgspec.field(default_factory=dict[bytes, int])

    @property
    def hash(self) -> Hash:
        """The block's hash, as `getLatestBlockhash` gives it out."""
        return Hash(self.blockhash)

    @property
    def last_valid_height(self) -> int:
        """The last block height that `getLatestBlockhash` promises for this block's hash."""
        return self.height + MAX_PROCESSING_AGE


AccountChanges: TypeAlias = Mapping[Pubkey, Account | None]
"""Accounts as one slot left them; None for an account that no longer exists."""


@dataclass(frozen=True, slots=True)
class SealedSlot:
    """A finished slot, not visible to anyone until it is stored and published."""

    block: Block
    transactions: tuple[ExecutedTransaction, ...]
    changes: AccountChanges
    expired: tuple[str, ...] = ()
    """Signatures that left the pool because their blockhash grew too old."""


@dataclass(frozen=True, slots=True)
class Fork:
    """What a fork took away: the block that is the head now, the lost transactions, the restored accounts."""

    head: Block
    dropped_slots: tuple[int, ...]
    dropped: tuple[ExecutedTransaction, ...]
    restored: AccountChanges


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a store hands back at start: the recent chain, and account versions oldest first."""

    blocks: tuple[Block, ...]
    transactions: tuple[ExecutedTransaction, ...]
    accounts: tuple[tuple[int, Pubkey, Account | None], ...]


@dataclass(frozen=True, slots=True)
class LedgerLimits:
    """The chain's constants, changeable for tests. Compute in units, lags in blocks."""

    confirmed_after: int = 1
    finalized_after: int = FINALIZED_AFTER
    status_cache_roots: int = STATUS_CACHE_ROOTS
    block_compute: int = 60_000_000
    account_compute: int = 12_000_000
    pool_transactions: int = 8_192
    retry_every: int = 5
    """Slots between two tries of a transaction that cannot land yet, like an RPC node's own rebroadcast."""
    extra_history: int = 64
    """Slots below the finalized one whose account versions are kept, for lagging reads."""

    def __post_init__(self) -> None:
        if not 0 < self.confirmed_after < self.finalized_after:
            raise ValueError("confirmed_after must be positive and below finalized_after")


@dataclass(frozen=True, slots=True)
class Genesis:
    """How a new chain begins: its time in Unix seconds, a seed for its hashes, and the accounts it starts with."""

    time: int
    seed: bytes
    accounts: Mapping[Pubkey, Account] = field(default_factory=dict[Pubkey, Account])
