"""Address lookup tables: made and filled by one transaction, and read back from it.

Used by the minter, whose transactions hold more mints when the accounts that all mints name stand in a table. Layout of
the instructions: the address lookup table program's public interface (bincode). A table's addresses can be used in the
slots after the one in which they were added.
"""

from collections.abc import Sequence
from typing import Final

from solders.address_lookup_table_account import AddressLookupTable, derive_lookup_table_address
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from bubblegum.borsh import Writer
from bubblegum.errors import DecodeError
from bubblegum.hashing import HASH_BYTES
from bubblegum.programs import ADDRESS_LOOKUP_TABLE, SYSTEM
from bubblegum.transaction import ExecutedTransaction

TABLE_META_BYTES: Final = 56
"""Bytes of a table's account before its addresses."""
MAX_ADDRESSES: Final = 256
_CREATE: Final = 0
_EXTEND: Final = 2


def table_account_size(addresses: int) -> int:
    """Bytes of the account of a table that holds so many addresses."""
    return TABLE_META_BYTES + HASH_BYTES * addresses


def create_table(
    *, authority: Pubkey, recent_slot: int, addresses: Sequence[Pubkey], payer: Pubkey | None = None
) -> list[Instruction]:
    """Make a table and fill it; `authority` signs, and so does `payer` unless the authority pays.

    The table's address follows from the authority and `recent_slot`, which must be a slot with a block among the last
    512 when the transaction lands. Making a table that exists succeeds and adds to it, so no two tables may share both.
    """
    if not 0 < len(addresses) <= MAX_ADDRESSES:
        raise ValueError(f"a table of {len(addresses)} addresses")
    table, bump = derive_lookup_table_address(authority, recent_slot)
    accounts = [
        AccountMeta(table, is_signer=False, is_writable=True),
        AccountMeta(authority, is_signer=True, is_writable=False),
        AccountMeta(payer or authority, is_signer=True, is_writable=True),
        AccountMeta(SYSTEM, is_signer=False, is_writable=False),
    ]
    create = Writer().u32(_CREATE).u64(recent_slot).u8(bump)
    extend = Writer().u32(_EXTEND).u64(len(addresses))
    for address in addresses:
        extend.pubkey(address)
    return [
        Instruction(ADDRESS_LOOKUP_TABLE, create.done(), accounts),
        Instruction(ADDRESS_LOOKUP_TABLE, extend.done(), accounts),
    ]


def table_contents(data: bytes) -> tuple[Pubkey, ...]:
    """Return the addresses in a table's account, in its order; DecodeError when it is no table."""
    try:
        return tuple(AddressLookupTable.deserialize(data).addresses)
    except ValueError as error:
        # Stop: other bytes than a table's never become one.
        raise DecodeError(f"not an address lookup table: {error}") from error


def created_table(transaction: ExecutedTransaction) -> Pubkey:
    """Return the address of the table that the transaction made; DecodeError when it made none."""
    for instruction in transaction.walk():
        if instruction.program_id == ADDRESS_LOOKUP_TABLE and instruction.data[:4] == _CREATE.to_bytes(4, "little"):
            if not instruction.accounts:
                raise DecodeError("a table was created without accounts")
            return instruction.accounts[0]
    raise DecodeError(f"transaction {transaction.signature} made no address lookup table")
