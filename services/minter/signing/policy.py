"""What the minter's keys may sign: the last gate before a signature. Pure.

The compiled message itself is read, as a validator would, so that nothing depends on how it was made. Whatever is not
known to be needed is refused: programs, instructions of these programs, signers, lamports. What a program moves by
calls of its own (the rent of a metadata account, a protocol's fee) cannot be seen in a message; only programs that are
trusted with that are on the list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from solders.instruction import CompiledInstruction
from solders.message import MessageV0
from solders.pubkey import Pubkey

from bubblegum.instructions import BubblegumInstruction
from bubblegum.programs import (
    ADDRESS_LOOKUP_TABLE,
    ASSOCIATED_TOKEN,
    BUBBLEGUM,
    COMPRESSION_PROGRAMS,
    COMPUTE_BUDGET,
    MPL_CORE,
    SYSTEM,
    TOKEN,
    TOKEN_METADATA,
)

LAMPORTS_PER_SIGNATURE: Final = 5_000
"""Base fee of a transaction for each signature (Solana's fee structure)."""
MAX_COMPUTE_UNITS: Final = 1_400_000
"""Compute units that are paid for when a message sets a price and no limit: at most these."""
MICRO: Final = 1_000_000

_SET_LIMIT, _SET_PRICE = 2, 3
"""Tags of the compute budget program's instructions; each is allowed once."""
_LENGTHS: Final = {_SET_LIMIT: 5, _SET_PRICE: 9}
_CREATE_ACCOUNT, _TRANSFER = 0, 2
"""Tags of the system program's instructions, four bytes each."""
_CREATE_ACCOUNT_BYTES, _TRANSFER_BYTES = 52, 12

_OPENINGS: Final[Mapping[Pubkey, tuple[bytes, ...]]] = {
    BUBBLEGUM: tuple(
        kind.discriminator
        for kind in (
            BubblegumInstruction.CREATE_TREE,
            BubblegumInstruction.CREATE_TREE_V2,
            BubblegumInstruction.MINT_V1,
            BubblegumInstruction.MINT_TO_COLLECTION_V1,
            BubblegumInstruction.MINT_V2,
        )
    ),
    TOKEN: (b"\x14", b"\x07"),  # InitializeMint2, MintTo
    TOKEN_METADATA: (b"\x21", b"\x11"),  # CreateMetadataAccountV3, CreateMasterEditionV3
    MPL_CORE: (b"\x15",),  # CreateCollectionV2
    ADDRESS_LOOKUP_TABLE: (b"\x00\x00\x00\x00", b"\x02\x00\x00\x00"),  # CreateLookupTable, ExtendLookupTable
}
"""How the data of the instructions opens that each program may be called with."""
_OWNERS: Final = frozenset({TOKEN, *COMPRESSION_PROGRAMS})
"""Programs that a new account may be given to."""


class MessageRefused(Exception):
    """The message is not one that these keys may sign. Stop: the same message would be refused again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Ceilings of one transaction. Lamports."""

    max_fee: int = 200_000
    """Base fee and priority fee together."""
    max_spend: int = 10_000_000_000
    """What leaves our accounts by the system program: rent of new accounts, transfers between our own."""
    max_signatures: int = 4
    programs: frozenset[Pubkey] = frozenset()
    """Programs that may be called with anything, besides those of `_OPENINGS`."""

    def check(self, message: MessageV0, payers: frozenset[Pubkey], derived: frozenset[Pubkey]) -> None:
        """Raise MessageRefused unless the message is one to sign.

        `payers` are the wallets that may pay for it, `derived` the new accounts that sign their own creation with it.
        """
        keys, required = message.account_keys, message.header.num_required_signatures
        if not 1 <= required <= min(self.max_signatures, len(keys)):
            raise MessageRefused(f"it wants {required} signatures, the most is {self.max_signatures}")
        if keys[0] not in payers:
            raise MessageRefused(f"its fee payer {keys[0]} is none of ours")
        strangers = [str(key) for key in keys[:required] if key not in payers | derived]
        if strangers:
            raise MessageRefused(f"it wants signatures that are none of ours: {', '.join(strangers)}")
        budget: dict[int, int] = {}
        spent = 0
        for instruction in message.instructions:
            program = _static(keys, instruction.program_id_index)
            data = bytes(instruction.data)
            if program == COMPUTE_BUDGET:
                _read_budget(data, budget)
            elif program == SYSTEM:
                spent += _spent(keys, instruction, data, payers, derived)
            else:
                self._check_call(program, data)
        self._check_fee(required, budget)
        if spent > self.max_spend:
            raise MessageRefused(f"it spends {spent} lamports, the most is {self.max_spend}")

    def _check_call(self, program: Pubkey, data: bytes) -> None:
        if program in self.programs:
            return
        if program == ASSOCIATED_TOKEN and data in (b"", b"\x00", b"\x01"):  # Create, CreateIdempotent
            return
        if not data.startswith(_OPENINGS.get(program, ())):
            raise MessageRefused(f"it calls {program} with {data[:8].hex() or 'nothing'}, which the minter never does")

    def _check_fee(self, signatures: int, budget: Mapping[int, int]) -> None:
        units = min(budget.get(_SET_LIMIT, MAX_COMPUTE_UNITS), MAX_COMPUTE_UNITS)
        fee = signatures * LAMPORTS_PER_SIGNATURE + -(-budget.get(_SET_PRICE, 0) * units // MICRO)
        if fee > self.max_fee:
            raise MessageRefused(f"its fee is {fee} lamports, the most is {self.max_fee}")


def _static(keys: Sequence[Pubkey], index: int) -> Pubkey:
    """Return an account that the message itself names; programs and signers cannot come out of a lookup table."""
    if index >= len(keys):
        raise MessageRefused("it takes a program or a signer out of a lookup table")
    return keys[index]


def _read_budget(data: bytes, budget: dict[int, int]) -> None:
    tag = data[0] if data else -1
    if _LENGTHS.get(tag) != len(data) or tag in budget:
        raise MessageRefused("its compute budget is not one limit and one price")
    budget[tag] = int.from_bytes(data[1:], "little")


def _spent(
    keys: Sequence[Pubkey],
    instruction: CompiledInstruction,
    data: bytes,
    payers: frozenset[Pubkey],
    derived: frozenset[Pubkey],
) -> int:
    """Return the lamports that a call of the system program moves; only two kinds of calls are let through."""
    indexes = bytes(instruction.accounts)
    tag, lamports = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:12], "little")
    if len(indexes) < 2 or len(data) < _TRANSFER_BYTES:
        raise MessageRefused("it calls the system program with something the minter never does")
    to = _static(keys, indexes[1])
    if tag == _CREATE_ACCOUNT and len(data) == _CREATE_ACCOUNT_BYTES:
        if to not in derived:
            raise MessageRefused(f"it creates the account {to}, which is not the one that is to be made")
        owner = Pubkey.from_bytes(data[20:52])
        if owner not in _OWNERS:
            raise MessageRefused(f"it gives a new account to the program {owner}")
        return lamports
    if tag == _TRANSFER and len(data) == _TRANSFER_BYTES:
        if to not in payers:
            raise MessageRefused(f"it transfers lamports to {to}, which is none of our wallets")
        return lamports
    raise MessageRefused(f"it calls the system program's instruction {tag}, which the minter never does")
