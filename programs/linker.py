"""A small static linker: BPF objects from upstream clang in, a Solana program (sBPF version 0) out.

Used by `programs.build`. It lays out code and read-only data, resolves every address at link time, and leaves one kind
of dynamic relocation: calls of the runtime's syscalls, by name. Not done here, because a Solana program cannot have it:
writable globals. Not done, because nothing needs it: function pointers (sBPF encodes indirect calls differently from
upstream BPF), weak symbols, debug information.

The output depends on nothing but the objects and their order. Reading objects is `programs.elf_object`, writing the
result `programs.elf_program`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from programs.elf_object import SHF_WRITE, SHT_NOBITS, ObjectFile, Relocation, Symbol
from programs.elf_program import PROGRAM_ADDRESS, R_BPF_64_32, TEXT_AT, LinkedProgram, align, write_program

SYSCALLS = frozenset(
    {
        "abort",
        "sol_panic_",
        "sol_log_",
        "sol_log_64_",
        "sol_log_compute_units_",
        "sol_log_pubkey",
        "sol_log_data",
        "sol_memcpy_",
        "sol_memmove_",
        "sol_memset_",
        "sol_memcmp_",
        "sol_sha256",
        "sol_keccak256",
        "sol_create_program_address",
        "sol_try_find_program_address",
        "sol_get_clock_sysvar",
        "sol_get_rent_sysvar",
        "sol_get_epoch_schedule_sysvar",
        "sol_set_return_data",
        "sol_get_return_data",
        "sol_get_stack_height",
        "sol_get_processed_sibling_instruction",
        "sol_invoke_signed_c",
        "sol_remaining_compute_units",
    }
)
"""Names that the runtime resolves; any other undefined symbol is a mistake and refused."""

R_BPF_64_64 = 1
R_BPF_64_ABS64 = 2

_OPCODE_CALL = 0x85
_OPCODE_CALL_REGISTER = 0x8D
_PSEUDO_CALL = 1
_INSTRUCTION_BYTES = 8

_IGNORED = frozenset({".eh_frame"})


class LinkError(Exception):
    """The objects cannot become a program; the message names the object and the section, symbol or relocation."""


def link(objects: Sequence[ObjectFile], entry: str = "entrypoint") -> bytes:
    """Link `objects`, in this order, into one program that starts at the global function `entry`.

    Raises LinkError for anything a program cannot contain and for undefined or doubly defined symbols.
    """
    layout = _Layout(objects)
    entry_symbol = layout.globals.get(entry)
    if entry_symbol is None:
        raise LinkError(f"no object defines the entry point {entry!r}")
    calls = _relocate(layout)
    entry_at = layout.address_of(*entry_symbol)
    return write_program(LinkedProgram(bytes(layout.text), bytes(layout.rodata), layout.rodata_at, calls, entry_at))


@dataclass(slots=True)
class _Layout:
    """Where every loaded section of every object lies, as offsets in the output file."""

    objects: Sequence[ObjectFile]
    text: bytearray = field(default_factory=bytearray)
    rodata: bytearray = field(default_factory=bytearray)
    rodata_at: int = 0
    offsets: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    globals: dict[str, tuple[ObjectFile, Symbol]] = field(default_factory=dict[str, tuple[ObjectFile, Symbol]])

    def __post_init__(self) -> None:
        if len({item.name for item in self.objects}) != len(self.objects):
            raise LinkError("two objects have the same name")
        self._place(self.text, TEXT_AT, code=True)
        self.rodata_at = align(TEXT_AT + len(self.text))
        self._place(self.rodata, self.rodata_at, code=False)
        for item in self.objects:
            self._define_globals(item)

    def _place(self, area: bytearray, start: int, *, code: bool) -> None:
        for item in self.objects:
            for index, section in enumerate(item.sections):
                if not section.is_loaded or section.name in _IGNORED or section.is_code != code:
                    continue
                if section.flags & SHF_WRITE or section.kind == SHT_NOBITS:
                    raise LinkError(
                        f"{item.name}: section {section.name} is writable; a program has no writable globals"
                    )
                end = start + len(area)
                placed = align(end, max(section.alignment, _INSTRUCTION_BYTES))
                area.extend(bytes(placed - end))
                self.offsets[item.name, index] = placed
                area.extend(section.data)

    def _define_globals(self, item: ObjectFile) -> None:
        for symbol in item.symbols:
            if not symbol.is_global or symbol.section is None:
                continue
            if symbol.name in self.globals:
                other = self.globals[symbol.name][0].name
                raise LinkError(f"{symbol.name} is defined in both {other} and {item.name}")
            self.globals[symbol.name] = (item, symbol)

    def resolve(self, item: ObjectFile, symbol: Symbol) -> tuple[ObjectFile, Symbol] | None:
        """The definition that `symbol` of `item` means, or None for a syscall."""
        if symbol.section is not None:
            return item, symbol
        if symbol.name in self.globals:
            return self.globals[symbol.name]
        if symbol.name in SYSCALLS:
            return None
        raise LinkError(f"{item.name}: {symbol.name} is neither defined nor a syscall")

    def address_of(self, item: ObjectFile, symbol: Symbol) -> int:
        """The output offset of a defined symbol."""
        assert symbol.section is not None
        start = self.offsets.get((item.name, symbol.section))
        if start is None:
            raise LinkError(f"{item.name}: {symbol.name} lies in a section that is not loaded")
        return start + symbol.value

    def is_text(self, offset: int) -> bool:
        return TEXT_AT <= offset < TEXT_AT + len(self.text)


def _relocate(layout: _Layout) -> list[tuple[int, str]]:
    """Patch code and data in place; return the syscall sites as (output offset, name)."""
    calls: list[tuple[int, str]] = []
    for item in layout.objects:
        _refuse_indirect_calls(item)
        for relocation in item.relocations:
            start = layout.offsets.get((item.name, relocation.section))
            if start is None:
                continue  # it patches a section that is not loaded, such as .eh_frame
            where = start + relocation.offset
            if relocation.kind == R_BPF_64_32:
                name = _patch_call(layout, item, relocation, where)
                if name is not None:
                    calls.append((where, name))
            elif relocation.kind in (R_BPF_64_64, R_BPF_64_ABS64):
                _patch_address(layout, item, relocation, where)
            else:
                section = item.sections[relocation.section].name
                raise LinkError(
                    f"{item.name}: relocation type {relocation.kind} of {relocation.symbol.name} "
                    f"in {section} is not supported"
                )
    return calls


def _refuse_indirect_calls(item: ObjectFile) -> None:
    for section in item.sections:
        if section.is_code and _OPCODE_CALL_REGISTER in section.data[::_INSTRUCTION_BYTES]:
            raise LinkError(f"{item.name}: {section.name} calls through a function pointer, which is not supported")


def _patch_address(layout: _Layout, item: ObjectFile, relocation: Relocation, where: int) -> None:
    """Write an absolute address: split over a 16-byte load instruction, or as 8 bytes of data."""
    definition = layout.resolve(item, relocation.symbol)
    target = None if definition is None else layout.address_of(*definition)
    if target is None or layout.is_text(target):
        raise LinkError(f"{item.name}: the address of function {relocation.symbol.name} is taken")
    if relocation.kind == R_BPF_64_64:
        area, base, halves = layout.text, TEXT_AT, (where + 4, where + 12)
    else:
        area, base, halves = layout.rodata, layout.rodata_at, (where, where + 4)
    low, high = (struct.unpack_from("<I", area, half - base)[0] for half in halves)
    address = PROGRAM_ADDRESS + target + (high << 32 | low)
    struct.pack_into("<I", area, halves[0] - base, address & 0xFFFFFFFF)
    struct.pack_into("<I", area, halves[1] - base, address >> 32)


def _patch_call(layout: _Layout, item: ObjectFile, relocation: Relocation, where: int) -> str | None:
    """Point a call at its function, counted in instructions from the next one; return the name of a syscall."""
    at = where - TEXT_AT
    if layout.text[at] != _OPCODE_CALL:
        raise LinkError(f"{item.name}: a call relocation of {relocation.symbol.name} is not on a call instruction")
    registers = layout.text[at + 1] & 0x0F
    definition = layout.resolve(item, relocation.symbol)
    if definition is None:
        layout.text[at + 1] = registers
        struct.pack_into("<i", layout.text, at + 4, -1)  # the loader replaces -1 with the hash of the name
        return relocation.symbol.name
    addend = struct.unpack_from("<i", layout.text, at + 4)[0] + 1
    target = layout.address_of(*definition) + addend * _INSTRUCTION_BYTES
    if not layout.is_text(target):
        raise LinkError(f"{item.name}: {relocation.symbol.name} is called but is not code")
    layout.text[at + 1] = registers | _PSEUDO_CALL << 4
    struct.pack_into("<i", layout.text, at + 4, (target - where) // _INSTRUCTION_BYTES - 1)
    return None
