"""A small static linker: BPF objects from upstream clang in, a Solana program (sBPF version 0) out.

Used by `programs.build`. It lays out code and read-only data, resolves every address at link time, and leaves one kind
of dynamic relocation: calls of the runtime's syscalls, by name. Not done here, because a Solana program cannot have it:
writable globals. Not done, because nothing needs it: function pointers (sBPF encodes indirect calls differently from
upstream BPF), weak symbols, debug information.

The output depends on nothing but the objects and their order. Layout rules: the platform's sBPF loader (an ELF shared
object of machine 247, section addresses equal to file offsets, everything mapped read-only at 0x1_0000_0000).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from programs.elf_object import (
    EM_BPF,
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_WRITE,
    SHT_NOBITS,
    ObjectFile,
    Relocation,
    Symbol,
)

PROGRAM_ADDRESS = 1 << 32
"""Where the virtual machine maps the file."""

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
R_BPF_64_32 = 10

_OPCODE_CALL = 0x85
_OPCODE_CALL_REGISTER = 0x8D
_PSEUDO_CALL = 1
_INSTRUCTION_BYTES = 8

_ELF_HEADER_BYTES = 64
_PROGRAM_HEADER_BYTES = 56
_PROGRAM_HEADERS = 3
_SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_PAIR = struct.Struct("<QQ")
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
    return _write(layout, calls, layout.address_of(*entry_symbol))


def _align(offset: int, alignment: int = _INSTRUCTION_BYTES) -> int:
    return -(-offset // alignment) * alignment


@dataclass(slots=True)
class _Layout:
    """Where every loaded section of every object lies, as offsets in the output file."""

    objects: Sequence[ObjectFile]
    text: bytearray = field(default_factory=bytearray)
    rodata: bytearray = field(default_factory=bytearray)
    text_at: int = _ELF_HEADER_BYTES + _PROGRAM_HEADERS * _PROGRAM_HEADER_BYTES
    rodata_at: int = 0
    offsets: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    globals: dict[str, tuple[ObjectFile, Symbol]] = field(default_factory=dict[str, tuple[ObjectFile, Symbol]])

    def __post_init__(self) -> None:
        if len({item.name for item in self.objects}) != len(self.objects):
            raise LinkError("two objects have the same name")
        self._place(self.text, self.text_at, code=True)
        self.rodata_at = _align(self.text_at + len(self.text))
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
                placed = _align(end, max(section.alignment, _INSTRUCTION_BYTES))
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
        return self.text_at <= offset < self.text_at + len(self.text)


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
        area, base, halves = layout.text, layout.text_at, (where + 4, where + 12)
    else:
        area, base, halves = layout.rodata, layout.rodata_at, (where, where + 4)
    low, high = (struct.unpack_from("<I", area, half - base)[0] for half in halves)
    address = PROGRAM_ADDRESS + target + (high << 32 | low)
    struct.pack_into("<I", area, halves[0] - base, address & 0xFFFFFFFF)
    struct.pack_into("<I", area, halves[1] - base, address >> 32)


def _patch_call(layout: _Layout, item: ObjectFile, relocation: Relocation, where: int) -> str | None:
    """Point a call at its function, counted in instructions from the next one; return the name of a syscall."""
    at = where - layout.text_at
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


@dataclass(frozen=True, slots=True)
class _OutputSection:
    name: str
    kind: int
    flags: int
    data: bytes
    link: str = ""
    info: int = 0
    entry_size: int = 0


def _string_table(names: Sequence[str]) -> tuple[bytes, dict[str, int]]:
    table, offsets = b"\0", {"": 0}
    for name in names:
        if name not in offsets:
            offsets[name] = len(table)
            table += name.encode() + b"\0"
    return table, offsets


def _dynamic_sections(layout: _Layout, calls: list[tuple[int, str]]) -> list[_OutputSection]:
    """.dynamic, .dynsym, .dynstr and .rel.dyn: how the loader finds the syscall sites."""
    syscalls = list(dict.fromkeys(name for _, name in calls))
    names, name_offsets = _string_table(syscalls)
    stb_global = 0x10
    symbols = bytes(_SYMBOL.size) + b"".join(
        _SYMBOL.pack(name_offsets[name], stb_global, 0, 0, 0, 0) for name in syscalls
    )
    relocations = b"".join(_PAIR.pack(at, (syscalls.index(name) + 1) << 32 | R_BPF_64_32) for at, name in calls)
    dt_null, dt_strtab, dt_symtab, dt_strsz, dt_syment, dt_rel, dt_relsz, dt_relent = 0, 5, 6, 10, 11, 17, 18, 19
    entry_count = 8 if calls else 5  # the loader refuses a relocation table that is there but empty
    symbols_at = _align(layout.rodata_at + len(layout.rodata)) + entry_count * _PAIR.size
    names_at = symbols_at + len(symbols)
    relocations_at = _align(names_at + len(names))
    entries = [(dt_rel, relocations_at), (dt_relsz, len(relocations)), (dt_relent, _PAIR.size)] if calls else []
    entries += [(dt_symtab, symbols_at), (dt_syment, _SYMBOL.size), (dt_strtab, names_at), (dt_strsz, len(names))]
    entries.append((dt_null, 0))
    return [
        _OutputSection(
            ".dynamic", 6, SHF_ALLOC | SHF_WRITE, b"".join(_PAIR.pack(*e) for e in entries), ".dynstr", 0, 16
        ),
        _OutputSection(".dynsym", 11, SHF_ALLOC, symbols, ".dynstr", 1, _SYMBOL.size),
        _OutputSection(".dynstr", 3, SHF_ALLOC, names),
        _OutputSection(".rel.dyn", 9, SHF_ALLOC, relocations, ".dynsym", 0, _PAIR.size),
    ]


def _write(layout: _Layout, calls: list[tuple[int, str]], entry: int) -> bytes:
    sections = [_OutputSection(".text", 1, SHF_ALLOC | SHF_EXECINSTR, bytes(layout.text))]
    if layout.rodata:
        sections.append(_OutputSection(".rodata", 1, SHF_ALLOC, bytes(layout.rodata)))
    sections += _dynamic_sections(layout, calls)
    names, name_offsets = _string_table([section.name for section in sections] + [".shstrtab"])
    sections.append(_OutputSection(".shstrtab", 3, 0, names))

    image = bytearray(layout.text_at)
    starts: dict[str, int] = {}
    for section in sections:
        image.extend(bytes(_align(len(image)) - len(image)))
        starts[section.name] = len(image)
        image.extend(section.data)
    image.extend(bytes(_align(len(image)) - len(image)))
    headers_at = len(image)

    order = ["", *starts]
    image.extend(bytes(_SECTION_HEADER.size))
    for section in sections:
        start = starts[section.name]
        image.extend(
            _SECTION_HEADER.pack(
                name_offsets[section.name],
                section.kind,
                section.flags,
                start if section.flags & SHF_ALLOC else 0,
                start,
                len(section.data),
                order.index(section.link),
                section.info,
                8,
                section.entry_size,
            )
        )
    image[:_ELF_HEADER_BYTES] = _elf_header(entry, headers_at, len(order))
    image[_ELF_HEADER_BYTES : layout.text_at] = _program_headers(layout, starts)
    return bytes(image)


def _elf_header(entry: int, section_headers_at: int, section_count: int) -> bytes:
    et_dyn, version, flags = 3, 1, 0
    return b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH",
        et_dyn,
        EM_BPF,
        version,
        entry,
        _ELF_HEADER_BYTES,
        section_headers_at,
        flags,
        _ELF_HEADER_BYTES,
        _PROGRAM_HEADER_BYTES,
        _PROGRAM_HEADERS,
        _SECTION_HEADER.size,
        section_count,
        section_count - 1,
    )


def _program_headers(layout: _Layout, starts: dict[str, int]) -> bytes:
    pt_load, pt_dynamic, execute, write, read, page = 1, 2, 1, 2, 4, 4096
    dynamic, names = starts[".dynamic"], starts[".shstrtab"]
    segments = (
        (pt_load, read | execute, layout.text_at, len(layout.text), page),
        (pt_load, read, layout.rodata_at, names - layout.rodata_at, page),
        (pt_dynamic, read | write, dynamic, starts[".dynsym"] - dynamic, 8),
    )
    return b"".join(
        struct.pack("<IIQQQQQQ", kind, flags, start, start, start, size, size, alignment)
        for kind, flags, start, size, alignment in segments
    )
