"""The SDK's headers, through small programs: what they compute is what the runtime and Python compute."""

from __future__ import annotations

import base64
import struct

import pytest
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from bubblegum.hashing import keccak
from programs.linker import link
from tests.support.vm import SYSTEM_PROGRAM, AccountMeta, Outcome, Vm
from tests.unit.programs.conftest import Compile, run

INCLUDES = """
#include "anchor.h"
#include "crypto.h"
#include "system.h"
static void show(const u8 *bytes, u64 length) {
    Slice field = {bytes, length};
    sol_log_data(&field, 1);
}
"""


def program(compile_c: Compile, body: str) -> bytes:
    """A program whose `process` has this body; it sees `context`."""
    text = f"{INCLUDES} static Result process(Context *context) {{ (void)context; {body} }} PROGRAM_ENTRYPOINT(process)"
    return link([compile_c(text)])


def says(outcome: Outcome, line: str) -> bool:
    return f"Program log: {line}" in outcome.logs


@pytest.mark.parametrize("length", [0, 1, 96, 165, 10_240, 1_000_000])
def test_rent_is_what_the_runtime_says(compile_c: Compile, length: int) -> None:
    vm = Vm()
    body = "sol_log_64_(rent_exempt_minimum(load_u64(context->data)), 0, 0, 0, 0); return OK;"
    outcome = run(program(compile_c, body), struct.pack("<Q", length), vm=vm)
    expected = vm.svm.minimum_balance_for_rent_exemption(length)
    assert says(outcome, f"{expected:#x}, 0x0, 0x0, 0x0, 0x0")


def test_the_clock_is_the_runtimes(compile_c: Compile) -> None:
    vm = Vm()
    vm.svm.warp_to_slot(4321)
    body = "Clock now = clock_now(); sol_log_64_(now.slot, now.epoch, 0, 0, 0); return (u64)now.unix_timestamp;"
    clock = vm.svm.get_clock()
    clock.unix_timestamp = 1_900_000_000
    vm.svm.set_clock(clock)
    outcome = run(program(compile_c, body), vm=vm)
    assert outcome.error == 1_900_000_000
    assert says(outcome, f"{4321:#x}, {clock.epoch:#x}, 0x0, 0x0, 0x0")


def test_keccak_is_keccak(compile_c: Compile) -> None:
    body = """
    u8 hash[32];
    keccak_pair(context->data, context->data + 32, hash);
    sol_log_pubkey(hash);
    return OK;
    """
    data = bytes(range(64))
    assert says(run(program(compile_c, body), data), str(Pubkey.from_bytes(keccak(data))))


def test_pdas_are_found_and_recognized(compile_c: Compile) -> None:
    body = """
    u8 address[32], bump;
    Slice seeds[2] = {LITERAL("tree"), {context->data, 5}};
    TRY(find_program_address(seeds, 2, context->program_id, address, &bump));
    sol_log_pubkey(address);
    if (!is_program_address(address, seeds, 2, context->program_id, &bump)) return 1;
    address[0] ^= 1;
    return is_program_address(address, seeds, 2, context->program_id, &bump) ? 2 : bump + 1000;
    """
    vm = Vm()
    image = program(compile_c, body)
    outcome = run(image, b"seed!", vm=vm)
    callee = outcome.executed.instructions[-1].program_id
    address, bump = Pubkey.find_program_address([b"tree", b"seed!"], callee)
    assert says(outcome, str(address))
    assert outcome.error == 1000 + bump


@pytest.mark.parametrize(
    ("constant", "name"),
    [
        ("ERR_CUSTOM_ZERO", "Custom(0)"),
        ("ERR_INVALID_ARGUMENT", "InvalidArgument"),
        ("ERR_INVALID_INSTRUCTION_DATA", "InvalidInstructionData"),
        ("ERR_INVALID_ACCOUNT_DATA", "InvalidAccountData"),
        ("ERR_ACCOUNT_DATA_TOO_SMALL", "AccountDataTooSmall"),
        ("ERR_INSUFFICIENT_FUNDS", "InsufficientFunds"),
        ("ERR_INCORRECT_PROGRAM_ID", "IncorrectProgramId"),
        ("ERR_MISSING_REQUIRED_SIGNATURE", "MissingRequiredSignature"),
        ("ERR_ACCOUNT_ALREADY_INITIALIZED", "AccountAlreadyInitialized"),
        ("ERR_UNINITIALIZED_ACCOUNT", "UninitializedAccount"),
        ("ERR_NOT_ENOUGH_ACCOUNT_KEYS", "NotEnoughAccountKeys"),
        ("ERR_INVALID_SEEDS", "InvalidSeeds"),
        ("ERR_INVALID_REALLOC", "InvalidRealloc"),
    ],
)
def test_the_runtimes_own_errors_have_its_numbers(compile_c: Compile, constant: str, name: str) -> None:
    outcome = run(program(compile_c, f"return {constant};"))
    assert outcome.error == 0 if name == "Custom(0)" else name in str(outcome.error)


READ_BODY = """
Reader in = reader_over(context->data, context->data_length);
u8 a = read_u8(&in); u16 b = read_u16(&in); u32 c = read_u32(&in); u64 d = read_u64(&in);
bool e = read_bool(&in); u8 f = read_variant(&in, 3); Slice g = read_slice(&in);
if (in.failed || reader_left(&in)) return 7;
Writer out = writer_allocate(64);
write_slice(&out, g); write_u8(&out, f); write_bool(&out, e); write_u64(&out, d); write_u32(&out, c);
write_u16(&out, b); write_u8(&out, a);
if (out.failed) return 8;
sol_set_return_data(out.start, writer_length(&out));
u8 back[64], caller[32];
u64 length = sol_get_return_data(back, 64, caller);
if (length != writer_length(&out) || !bytes_equal(back, out.start, length)) return 9;
show(out.start, length);
return OK;
"""


def borsh(boolean: int = 1, variant: int = 2, text: bytes = b"mint", claimed: int | None = None) -> bytes:
    length = len(text) if claimed is None else claimed
    return struct.pack("<BHIQBBI", 1, 0x0203, 0x04050607, 0x08090A0B0C0D0E0F, boolean, variant, length) + text


def test_borsh_is_read_and_written(compile_c: Compile) -> None:
    outcome = run(program(compile_c, READ_BODY), borsh())
    assert outcome.error is None, outcome.logs
    written = struct.pack("<I", 4) + b"mint" + struct.pack("<BBQIHB", 2, 1, 0x08090A0B0C0D0E0F, 0x04050607, 0x0203, 1)
    assert f"Program data: {base64.b64encode(written).decode()}" in outcome.logs


@pytest.mark.parametrize(
    "data",
    [
        b"",
        borsh()[:-1],
        borsh() + b"\0",
        borsh(boolean=2),
        borsh(variant=3),
        borsh(claimed=5),
        borsh(claimed=2**32 - 1),
    ],
)
def test_bytes_that_are_not_the_type_fail_the_reader(compile_c: Compile, data: bytes) -> None:
    assert run(program(compile_c, READ_BODY), data).error == 7


def test_a_full_writer_fails_and_writes_nothing_beyond(compile_c: Compile) -> None:
    body = """
    u8 memory[16] = {0};
    Writer out = writer_into(memory, 11);
    write_u64(&out, 1); write_u32(&out, ~0U); write_u8(&out, 9);
    return out.failed && writer_length(&out) == 8 && memory[8] == 0 && memory[11] == 0 ? OK : 1;
    """
    assert run(program(compile_c, body)).error is None


def test_errors_are_logged_in_anchors_words(compile_c: Compile) -> None:
    body = """
    if (context->data[0] == 0) return anchor_error(&INSTRUCTION_FALLBACK_NOT_FOUND);
    REQUIRE_ACCOUNT(context->data[0] == 1, CONSTRAINT_SEEDS, "tree_authority");
    return OK;
    """
    image = program(compile_c, body)
    outcome = run(image, bytes([0]))
    assert outcome.error == 101
    assert says(
        outcome,
        "AnchorError occurred. Error Code: InstructionFallbackNotFound. Error Number: 101. "
        "Error Message: Fallback functions are not supported.",
    )
    outcome = run(image, bytes([2]))
    assert outcome.error == 2006
    assert says(
        outcome,
        "AnchorError caused by account: tree_authority. Error Code: ConstraintSeeds. Error Number: 2006. "
        "Error Message: A seeds constraint was violated.",
    )
    assert run(image, bytes([1])).error is None


CREATE_BODY = """
u8 bump, address[32];
Slice seeds[2] = {LITERAL("vault"), {&bump, 1}};
TRY(find_program_address(seeds, 1, context->program_id, address, &bump));
SignerSeeds signer = {seeds, 2};
CallScope scope = call_scope(context, &signer, 1);
Account *created = &context->accounts[1];
TRY(system_create_account(&scope, &context->accounts[0], created, 40, context->program_id));
if (created->data_length != 40 || !key_equal(created->owner, context->program_id)) return 1;
created->data[39] = 7;
TRY(account_resize(created, 50));
created->data[49] = 9;
return OK;
"""


@pytest.mark.parametrize("already_there", [0, 1_000_000, 10_000_000])
def test_a_pda_account_is_created_even_where_lamports_lie(compile_c: Compile, already_there: int) -> None:
    vm = Vm()
    address = vm.add_program(program(compile_c, CREATE_BODY))
    vault, _ = Pubkey.find_program_address([b"vault"], address)
    if already_there:
        vm.set_account(vault, b"", SYSTEM_PROGRAM, already_there)
    accounts = [
        AccountMeta(vm.payer.pubkey(), is_signer=True, is_writable=True),
        AccountMeta(vault, is_signer=False, is_writable=True),
        AccountMeta(SYSTEM_PROGRAM, is_signer=False, is_writable=False),
    ]
    outcome = vm.send(Instruction(address, b"", accounts))
    if not already_there or already_there < vm.svm.minimum_balance_for_rent_exemption(50):
        # 40 bytes were paid for and 50 are held: the runtime refuses the account, after the program was content.
        assert isinstance(outcome.error, str)
        assert "InsufficientFundsForRent" in outcome.error
        return
    assert outcome.error is None, outcome.logs
    assert vm.data(vault) == bytes(39) + b"\7" + bytes(9) + b"\t"
    assert vm.lamports(vault) == max(already_there, vm.svm.minimum_balance_for_rent_exemption(40))


def test_more_accounts_than_we_take_are_refused(compile_c: Compile) -> None:
    image = program(compile_c, "return context->account_count;")
    meta = AccountMeta(SYSTEM_PROGRAM, is_signer=False, is_writable=False)
    assert run(image, accounts=[meta] * 64).error == 64
    outcome = run(image, accounts=[meta] * 65)
    assert isinstance(outcome.error, str)
    assert "InvalidArgument" in outcome.error
