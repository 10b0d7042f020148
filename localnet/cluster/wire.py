"""Transaction bytes to what the chain needs to know of them: keys, locks, lookups, price, compute limit.

Used by the ledger and the RPC methods. Pure; executes nothing. What arrives here is hostile.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from solders.account import Account
from solders.compute_budget import ID as COMPUTE_BUDGET_ID
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

# Solana: `PACKET_DATA_SIZE`, one IPv6 packet minus headers.
MAX_TRANSACTION_BYTES = 1232
# Solana: compute-budget defaults (`DEFAULT_INSTRUCTION_COMPUTE_UNIT_LIMIT`, `MAX_COMPUTE_UNIT_LIMIT`).
DEFAULT_INSTRUCTION_UNITS = 200_000
MAX_TRANSACTION_UNITS = 1_400_000
# Solana: `LOOKUP_TABLE_META_SIZE`; the addresses follow it.
LOOKUP_TABLE_META_BYTES = 56
LOOKUP_TABLE_PROGRAM = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")

_SET_UNIT_LIMIT = 2
_SET_UNIT_PRICE = 3


class MalformedTransaction(ValueError):
    """The bytes are not a transaction that a node would even try. The message says why; never retried."""


class LookupFailed(ValueError):
    """A lookup table is missing, foreign or too short. `reason` is the name in Solana's `TransactionError`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class TableLookup:
    """One table of a v0 message, and the indexes of it that the message loads."""

    table: Pubkey
    writable: bytes
    readonly: bytes


@dataclass(frozen=True, slots=True)
class ParsedTransaction:
    """A transaction as received, with what scheduling and fees need to know."""

    transaction: VersionedTransaction
    wire: bytes
    signature: str
    blockhash: bytes
    static_keys: tuple[Pubkey, ...]
    static_writable: tuple[bool, ...]
    lookups: tuple[TableLookup, ...]
    required_signatures: int
    unit_price: int
    unit_limit: int

    @property
    def payer(self) -> Pubkey:
        """The account that pays the fee."""
        return self.static_keys[0]

    @property
    def priority_fee(self) -> int:
        """What the asked price costs, in lamports, rounded up."""
        return -(-self.unit_price * self.unit_limit // 1_000_000)


@dataclass(frozen=True, slots=True)
class ResolvedKeys:
    """All keys a transaction touches, in the runtime's order: static, loaded writable, loaded read-only."""

    static: tuple[Pubkey, ...]
    loaded_writable: tuple[Pubkey, ...]
    loaded_readonly: tuple[Pubkey, ...]
    writable: frozenset[Pubkey]

    @property
    def every(self) -> tuple[Pubkey, ...]:
        """The keys that account indexes of the transaction point into."""
        return self.static + self.loaded_writable + self.loaded_readonly


def parse(wire: bytes) -> ParsedTransaction:
    """Read one transaction. Raises MalformedTransaction."""
    if len(wire) > MAX_TRANSACTION_BYTES:
        raise MalformedTransaction(f"{len(wire)} bytes, more than {MAX_TRANSACTION_BYTES}")
    try:
        transaction = VersionedTransaction.from_bytes(wire)
        transaction.sanitize()
    except Exception as error:  # stops: solders raises its own types for bad bytes, all mean the same to a client
        raise MalformedTransaction(str(error)) from error
    if bytes(transaction) != wire:
        raise MalformedTransaction("trailing or non-canonical bytes")
    return parsed(transaction, wire)


def parsed(transaction: VersionedTransaction, wire: bytes | None = None) -> ParsedTransaction:
    """What the chain needs to know of a well-formed transaction. Raises MalformedTransaction."""
    message = transaction.message
    if not isinstance(message, Message | MessageV0):
        raise MalformedTransaction("only legacy and version 0 messages are supported")
    keys = tuple(message.account_keys)
    header = message.header
    signers = header.num_required_signatures
    signed_writable = signers - header.num_readonly_signed_accounts
    unsigned_writable = len(keys) - header.num_readonly_unsigned_accounts
    price, limit = _compute_budget(message, keys)
    return ParsedTransaction(
        transaction=transaction,
        wire=bytes(transaction) if wire is None else wire,
        signature=str(transaction.signatures[0]),
        blockhash=bytes(message.recent_blockhash),
        static_keys=keys,
        static_writable=tuple(i < signed_writable or signers <= i < unsigned_writable for i in range(len(keys))),
        lookups=_lookups(message),
        required_signatures=signers,
        unit_price=price,
        unit_limit=limit,
    )


def _lookups(message: Message | MessageV0) -> tuple[TableLookup, ...]:
    if isinstance(message, Message):
        return ()
    return tuple(
        TableLookup(lookup.account_key, bytes(lookup.writable_indexes), bytes(lookup.readonly_indexes))
        for lookup in message.address_table_lookups
    )


def _compute_budget(message: Message | MessageV0, keys: tuple[Pubkey, ...]) -> tuple[int, int]:
    """The price (micro-lamports per unit) and the unit limit that a message asks for."""
    price, limit, others = 0, None, 0
    for instruction in message.instructions:
        if keys[instruction.program_id_index] != COMPUTE_BUDGET_ID:
            others += 1
            continue
        data = instruction.data
        if len(data) == 5 and data[0] == _SET_UNIT_LIMIT:
            (limit,) = struct.unpack_from("<I", data, 1)
        elif len(data) == 9 and data[0] == _SET_UNIT_PRICE:
            (price,) = struct.unpack_from("<Q", data, 1)
    if limit is None:
        limit = others * DEFAULT_INSTRUCTION_UNITS
    return price, min(limit, MAX_TRANSACTION_UNITS)


def resolve(transaction: ParsedTransaction, tables: dict[Pubkey, Account | None]) -> ResolvedKeys:
    """The keys of a transaction, its lookups read from `tables`. Raises LookupFailed.

    Whether a just-extended table may be used yet is the runtime's to judge; this only reads addresses.
    """
    writable: list[Pubkey] = []
    readonly: list[Pubkey] = []
    for lookup in transaction.lookups:
        addresses = _addresses(tables.get(lookup.table))
        try:
            writable += [addresses[index] for index in lookup.writable]
            readonly += [addresses[index] for index in lookup.readonly]
        except IndexError:
            raise LookupFailed("InvalidAddressLookupTableIndex") from None
    static_writable = (
        key for key, locked in zip(transaction.static_keys, transaction.static_writable, strict=True) if locked
    )
    return ResolvedKeys(
        transaction.static_keys, tuple(writable), tuple(readonly), frozenset((*static_writable, *writable))
    )


def _addresses(table: Account | None) -> list[Pubkey]:
    if table is None:
        raise LookupFailed("AddressLookupTableNotFound")
    if table.owner != LOOKUP_TABLE_PROGRAM:
        raise LookupFailed("InvalidAddressLookupTableOwner")
    data = table.data
    return [Pubkey(data[at : at + 32]) for at in range(LOOKUP_TABLE_META_BYTES, len(data) - 31, 32)]
