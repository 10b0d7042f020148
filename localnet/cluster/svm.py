"""The Solana runtime, in process: the only importer of `solders.litesvm`.

Used by the ledger. Holds one state, the newest. Signatures, blockhash age and duplicates are checked by the ledger
(LiteSVM knows a single blockhash and no forks), so those checks are off here; loading, fees, rent, compute limits,
lookup tables and programs are LiteSVM's own. Not done here: slots, commitment, history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from solders.account import Account
from solders.hash import Hash
from solders.instruction import CompiledInstruction
from solders.litesvm import LiteSVM
from solders.pubkey import Pubkey
from solders.transaction_metadata import (
    FailedTransactionMetadata,
    SimulatedTransactionInfo,
    TransactionMetadata,
)

from localnet.cluster.model import SLOTS_PER_EPOCH, InnerInstruction, Json, ReturnData
from localnet.cluster.txerror import error_json
from localnet.cluster.wire import ParsedTransaction

_GONE = Account(0, b"", Pubkey.default())

# Errors of loading that land with the fee charged and nothing executed (SIMD-0082); LiteSVM charges nothing.
_FEES_ONLY = frozenset({"InvalidProgramForExecution", "ProgramAccountNotFound", "MaxLoadedAccountsDataSizeExceeded"})

_FIXED_OWNERS = (
    "NativeLoader1111111111111111111111111111111",
    "BPFLoader1111111111111111111111111111111111",
    "BPFLoader2111111111111111111111111111111111",
    "BPFLoaderUpgradeab1e11111111111111111111111",
    "Sysvar1111111111111111111111111111111111111",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the runtime made of a transaction. Not landed: no fee was charged and nothing changed."""

    landed: bool
    err: Json
    fee: int
    compute_units: int
    logs: tuple[str, ...]
    inner: tuple[tuple[int, tuple[InnerInstruction, ...]], ...]
    return_data: ReturnData | None


@dataclass(frozen=True, slots=True)
class Simulation:
    """A dry run: its outcome and the accounts as they would be (empty when it failed)."""

    outcome: Outcome
    accounts: Mapping[Pubkey, Account]


class Svm:
    """LiteSVM with programs loaded and the checks that the ledger makes itself turned off."""

    def __init__(self, programs: Mapping[Pubkey, bytes]) -> None:
        """Load `programs` (address to ELF bytes). Raises ValueError naming a program that the loader refuses."""
        self._vm = (
            LiteSVM()
            .with_sigverify(False)
            .with_blockhash_check(False)
            .with_transaction_history(0)
            .with_log_bytes_limit(10_000)
        )
        for address, elf in programs.items():
            try:
                self._vm.add_program(address, elf)
            except Exception as error:  # stops: a program that does not load would fail every later transaction
                raise ValueError(f"program {address} does not load: {error}") from error
        self._fixed = frozenset(
            key for owner in _FIXED_OWNERS for key, _ in self._vm.get_program_accounts(Pubkey.from_string(owner))
        )

    def is_fixed(self, key: Pubkey) -> bool:
        """Whether a key is a program, loader or sysvar that no transaction can write."""
        return key in self._fixed

    def fixed_account(self, key: Pubkey) -> Account | None:
        """A program, loader or sysvar that exists from the start and has no history; None for any other key."""
        return self._vm.get_account(key) if key in self._fixed else None

    def account(self, key: Pubkey) -> Account | None:
        """The newest state of an account, which may be ahead of every published slot."""
        return self._vm.get_account(key)

    def put_account(self, key: Pubkey, account: Account | None) -> None:
        """Set an account outright (start, fork), or remove it."""
        self._vm.set_account(key, _GONE if account is None else account)

    def balances(self, keys: Sequence[Pubkey]) -> tuple[int, ...]:
        """Lamports of each key; 0 where there is no account."""
        return tuple(self._vm.get_balance(key) or 0 for key in keys)

    def rent_exempt_minimum(self, data_bytes: int) -> int:
        """Lamports that an account of `data_bytes` must hold."""
        return self._vm.minimum_balance_for_rent_exemption(data_bytes)

    def enter_slot(self, slot: int, unix_time: int, slot_hashes: Sequence[tuple[int, Hash]]) -> None:
        """Set the sysvars that change with every block: clock and slot hashes."""
        clock = self._vm.get_clock()
        clock.slot = slot
        clock.unix_timestamp = unix_time
        clock.epoch = slot // SLOTS_PER_EPOCH
        clock.leader_schedule_epoch = clock.epoch + 1
        self._vm.set_clock(clock)
        self._vm.set_slot_hashes(slot_hashes)

    def execute(self, transaction: ParsedTransaction) -> Outcome:
        """Run a transaction on the newest state."""
        before = self._vm.get_balance(transaction.payer) or 0
        result = self._vm.send_transaction(transaction.transaction)
        if isinstance(result, TransactionMetadata):
            return _outcome(result, None, landed=True)
        err = error_json(result.err())
        charged = (self._vm.get_balance(transaction.payer) or 0) != before
        if not charged and isinstance(err, str) and err in _FEES_ONLY:
            charged = self._charge(transaction.payer, result.meta().fee())
        return _outcome(result.meta(), err, landed=charged)

    def _charge(self, payer: Pubkey, fee: int) -> bool:
        account = self._vm.get_account(payer)
        if account is None or account.lamports < fee:
            return False
        left = Account(account.lamports - fee, account.data, account.owner, account.executable, account.rent_epoch)
        self._vm.set_account(payer, left)
        return True

    def simulate(self, transaction: ParsedTransaction, overlay: Mapping[Pubkey, Account | None]) -> Simulation:
        """Run a transaction without keeping its effects, on the newest state with `overlay` put over it."""
        saved = {key: self._vm.get_account(key) for key in overlay}
        for key, account in overlay.items():
            self.put_account(key, account)
        try:
            result = self._vm.simulate_transaction(transaction.transaction)
        finally:
            for key, account in saved.items():
                self.put_account(key, account)
        if isinstance(result, SimulatedTransactionInfo):
            return Simulation(_outcome(result.meta(), None, landed=True), dict(result.post_accounts()))
        return Simulation(_failed(result), {})


def _failed(result: FailedTransactionMetadata) -> Outcome:
    return _outcome(result.meta(), error_json(result.err()), landed=False)


def _outcome(meta: TransactionMetadata, err: Json, *, landed: bool) -> Outcome:
    inner = tuple(
        (index, tuple(_inner(call.instruction(), call.stack_height()) for call in calls))
        for index, calls in enumerate(meta.inner_instructions())
        if calls
    )
    returned = meta.return_data()
    data = bytes(returned.data)
    return Outcome(
        landed=landed,
        err=err,
        fee=meta.fee(),
        compute_units=meta.compute_units_consumed(),
        logs=tuple(meta.logs()),
        inner=inner,
        return_data=ReturnData(bytes(returned.program_id), data) if data else None,
    )


def _inner(instruction: CompiledInstruction, stack_height: int | None) -> InnerInstruction:
    return InnerInstruction(
        instruction.program_id_index, bytes(instruction.accounts), bytes(instruction.data), stack_height
    )
