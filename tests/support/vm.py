"""A virtual machine with our on-chain programs in it, for tests that drive one program directly.

`Vm.send` signs and runs one transaction and says what happened; nothing here knows of any program's instructions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from solders.account import Account
from solders.compute_budget import set_compute_unit_limit
from solders.instruction import AccountMeta, CompiledInstruction, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata
from solders.transaction_status import InstructionErrorCustom, TransactionErrorInstructionError

from bubblegum.transaction import ExecutedInstruction, ExecutedTransaction, nest
from programs.manifest import load_manifest


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one transaction did. `error` is None, a program's custom code, or the text of any other error."""

    error: int | str | None
    logs: tuple[str, ...]
    compute_units: int
    inner: tuple[tuple[Pubkey, bytes], ...]
    """Every call from program to program, in order: the callee and its instruction data."""
    executed: ExecutedTransaction
    """The same, with the top-level instructions, as a tree that `bubblegum.decode` reads."""

    def calls_to(self, program: Pubkey) -> list[bytes]:
        """The instruction data of every call to `program`."""
        return [data for callee, data in self.inner if callee == program]


class Vm:
    """LiteSVM with the committed stand-ins of the named programs at their real addresses and a rich payer."""

    def __init__(self, *names: str) -> None:
        self.svm = LiteSVM()
        programs = load_manifest()
        for name in names:
            self.svm.add_program(programs[name].address, programs[name].built.read_bytes())
        self.payer = self.wallet()

    def wallet(self, lamports: int = 10**12) -> Keypair:
        """A fresh key with money."""
        keypair = Keypair()
        self.svm.airdrop(keypair.pubkey(), lamports)
        return keypair

    def add_program(self, program: Path | bytes) -> Pubkey:
        """Load a program at a fresh address."""
        address = Keypair().pubkey()
        self.svm.add_program(address, program if isinstance(program, bytes) else program.read_bytes())
        return address

    def set_account(self, address: Pubkey, data: bytes, owner: Pubkey, lamports: int | None = None) -> None:
        """Put an account there as it is; rent-exempt unless told."""
        if lamports is None:
            lamports = self.svm.minimum_balance_for_rent_exemption(len(data))
        self.svm.set_account(address, Account(lamports, data, owner))

    def data(self, address: Pubkey) -> bytes:
        """An account's data; the account must exist."""
        account = self.svm.get_account(address)
        assert account is not None, f"there is no account {address}"
        return bytes(account.data)

    def lamports(self, address: Pubkey) -> int:
        """An account's balance, 0 when there is none."""
        return self.svm.get_balance(address) or 0

    def send(self, *instructions: Instruction, signers: tuple[Keypair, ...] = ()) -> Outcome:
        """Run one transaction, paid by `payer`, with the largest compute budget there is."""
        self.svm.expire_blockhash()
        message = MessageV0.try_compile(
            self.payer.pubkey(), [set_compute_unit_limit(1_400_000), *instructions], [], self.svm.latest_blockhash()
        )
        result = self.svm.send_transaction(VersionedTransaction(message, [self.payer, *signers]))
        if isinstance(result, FailedTransactionMetadata):
            return self._outcome(_error_of(result), result.meta(), message)
        return self._outcome(None, result, message)

    @staticmethod
    def _outcome(error: int | str | None, meta: TransactionMetadata, message: MessageV0) -> Outcome:
        executed = _executed(error, meta, message)
        inner = tuple(
            (call.program_id, call.data) for top in executed.instructions for call in top.walk() if call is not top
        )
        return Outcome(error, tuple(meta.logs()), meta.compute_units_consumed(), inner, executed)


def _executed(error: object, meta: TransactionMetadata, message: MessageV0) -> ExecutedTransaction:
    def resolve(compiled: CompiledInstruction) -> ExecutedInstruction:
        accounts = tuple(message.account_keys[index] for index in compiled.accounts)
        return ExecutedInstruction(message.account_keys[compiled.program_id_index], accounts, bytes(compiled.data))

    called = [
        [(call.stack_height(), resolve(call.instruction())) for call in group] for group in meta.inner_instructions()
    ]
    tops = [resolve(compiled) for compiled in message.instructions]
    # A failed transaction may have no group for the instructions behind the one that failed.
    called += [[] for _ in range(len(tops) - len(called))]
    instructions = tuple(nest(top, calls) for top, calls in zip(tops, called, strict=True))
    return ExecutedTransaction(str(meta.signature()), 0, error, instructions)


def _error_of(result: FailedTransactionMetadata) -> int | str:
    error = result.err()
    if isinstance(error, TransactionErrorInstructionError) and isinstance(error.err, InstructionErrorCustom):
        return error.err.code
    return str(error)


__all__ = ["SYSTEM_PROGRAM", "AccountMeta", "Outcome", "Vm"]
