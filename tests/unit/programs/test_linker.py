"""The linker: what it makes runs, depends on nothing else, and what it cannot link it names."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from programs.build import BuildError, compile_object
from programs.elf_object import ObjectFile, ObjectFormatError, read_object
from programs.linker import LinkError, link
from tests.support.vm import SYSTEM_PROGRAM, AccountMeta, Vm
from tests.unit.programs.conftest import Compile, run

MINIMAL = 'u64 entrypoint(u8 *input) { (void)input; LOG("hello"); return 0; }\n'


def test_a_linked_program_runs_and_logs(compile_c: Compile) -> None:
    outcome = run(link([compile_c(MINIMAL)]))
    assert outcome.error is None
    assert "Program log: hello" in outcome.logs


def test_two_objects_call_and_read_each_other(compile_c: Compile) -> None:
    main = """
    u64 twice(u64 value); extern const u64 OFFSETS[4];
    static __attribute__((noinline)) u64 local(u64 value) { return twice(value) + OFFSETS[value & 3]; }
    u64 entrypoint(u8 *input) { return local(load_u64(input)) + 1000; }
    """
    other = """
    extern const u64 OFFSETS[4]; const u64 OFFSETS[4] = {5, 6, 7, 8};
    __attribute__((noinline)) u64 twice(u64 value) { return 2 * value; }
    """
    objects = [compile_c(main, "main.c"), compile_c(other, "other.c")]
    for order in (objects, objects[::-1]):
        assert run(link(order)).error == 1005  # no accounts: 2 * 0 + OFFSETS[0] + 1000


def test_tables_of_strings_keep_their_addresses(compile_c: Compile) -> None:
    """Pointers inside read-only data are relocated too."""
    text = """
    static const char *const NAMES[] = {"zero", "one", "two", "three"};
    u64 entrypoint(u8 *input) {
        Context context; if (context_parse(input, &context)) return 1;
        const char *name = NAMES[context.data[0] & 3]; u64 length = 0;
        while (name[length]) length++;
        sol_log_(name, length); return 0;
    }
    """
    program = link([compile_c(text)])
    for number, name in enumerate(("zero", "one", "two", "three")):
        assert f"Program log: {name}" in run(program, bytes([number])).logs


def test_a_program_may_use_a_whole_frame_of_locals_and_the_heap(compile_c: Compile) -> None:
    text = """
    static __attribute__((noinline)) u64 fill(u8 seed) {
        u8 local[3500]; sol_memset_(local, seed, sizeof local); u64 sum = 0;
        for (u64 i = 0; i < sizeof local; i++) sum += local[i];
        return sum;
    }
    u64 entrypoint(u8 *input) {
        u8 *memory = allocate(20000); memory[19999] = (u8)load_u64(input);
        return fill(2) + memory[19999] + memory[0];
    }
    """
    assert run(link([compile_c(text)])).error == 7000


def test_the_heap_has_an_end(compile_c: Compile) -> None:
    text = "u64 entrypoint(u8 *input) { for (;;) { u8 *more = allocate(1000 + load_u64(input)); more[0] = 1; } }"
    outcome = run(link([compile_c(text)]))
    assert isinstance(outcome.error, str)


TRANSFER = """
#include "system.h"
u64 entrypoint(u8 *input) {
    Context context; TRY(context_parse(input, &context));
    if (context.account_count != 4) return 99;
    CallScope scope = call_scope(&context, NULL, 0);
    TRY(system_transfer(&scope, &context.accounts[0], &context.accounts[1], load_u64(context.data)));
    return *context.accounts[3].lamports == *context.accounts[1].lamports ? 0 : 98;
}
"""


def test_a_program_calls_another_and_sees_repeated_accounts_as_one(compile_c: Compile) -> None:
    vm = Vm()
    receiver = vm.wallet(5_000_000).pubkey()
    accounts = [
        AccountMeta(vm.payer.pubkey(), is_signer=True, is_writable=True),
        AccountMeta(receiver, is_signer=False, is_writable=True),
        AccountMeta(SYSTEM_PROGRAM, is_signer=False, is_writable=False),
        AccountMeta(receiver, is_signer=False, is_writable=True),
    ]
    outcome = run(link([compile_c(TRANSFER)]), struct.pack("<Q", 1_000_000), accounts, vm)
    assert outcome.error is None, outcome.logs
    assert vm.lamports(receiver) == 6_000_000
    assert [program for program, _ in outcome.inner] == [SYSTEM_PROGRAM]


def test_the_folder_of_the_source_leaves_no_trace(compile_c: Compile) -> None:
    first, second = (link([compile_c(TRANSFER, name)]) for name in ("main.c", "another/folder/main.c"))
    assert first == second


# ---- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("u64 counter = 3;" + MINIMAL, r"main\.c: section \.data is writable"),
        ("u64 counter[9];" + MINIMAL, r"main\.c: section \.bss is writable"),
        ("u64 missing(void); u64 entrypoint(u8 *i) { (void)i; return missing(); }", "missing is neither defined nor"),
        ("u64 other(u8 *input) { return input[0]; }", "no object defines the entry point 'entrypoint'"),
        (
            "u64 f(u64 x) { return x; } u64 g(u64 x) { return x + 1; }"
            "typedef u64 (*Function)(u64);"
            "u64 entrypoint(u8 *input) { Function chosen = input[0] ? f : g; return chosen(input[1]); }",
            "function",
        ),
    ],
    ids=["data", "bss", "undefined", "entry", "pointer"],
)
def test_what_a_program_cannot_have_is_named(compile_c: Compile, text: str, message: str) -> None:
    with pytest.raises(LinkError, match=message):
        link([compile_c(text)])


def test_a_symbol_defined_twice_names_both_objects(compile_c: Compile) -> None:
    with pytest.raises(LinkError, match=r"entrypoint is defined in both a\.c and b\.c"):
        link([compile_c(MINIMAL, "a.c"), compile_c(MINIMAL, "b.c")])


def test_an_unknown_relocation_is_named(compile_c: Compile) -> None:
    item = compile_c(MINIMAL)
    strange = [
        type(relocation)(relocation.section, relocation.offset, 3, relocation.symbol) for relocation in item.relocations
    ]
    broken = ObjectFile(item.name, item.sections, item.symbols, tuple(strange))
    with pytest.raises(LinkError, match=r"relocation type 3 of \S+ in \.text is not supported"):
        link([broken])


@pytest.mark.parametrize("damage", ["text", "host", "cut"])
def test_what_is_no_bpf_object_is_refused(tmp_path: Path, damage: str) -> None:
    source = tmp_path / "main.c"
    source.write_text('#include "sbf.h"\n' + MINIMAL)
    whole = compile_object(source, tmp_path, ())
    data = {"text": b"int main;", "host": whole[:0x12] + b"\x3e\0" + whole[0x14:], "cut": whole[: len(whole) // 2]}
    with pytest.raises(ObjectFormatError, match=r"main\.o"):
        read_object("main.o", data[damage])


def test_a_compile_error_is_told_with_the_compilers_words(compile_c: Compile) -> None:
    with pytest.raises(BuildError, match=r"main\.c does not compile:[\s\S]*undeclared"):
        compile_c("u64 entrypoint(u8 *input) { return input[0] + nonsense; }")


def test_a_warning_stops_the_build(compile_c: Compile) -> None:
    with pytest.raises(BuildError, match="unused variable"):
        compile_c("u64 entrypoint(u8 *input) { u64 forgotten = input[0]; return 0; }")
