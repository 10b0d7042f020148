"""Writing the ELF shared object that the Solana loader accepts (sBPF version 0).

Used by `programs.linker`, which has resolved every address before. Nothing is decided here but the order of the parts:
headers, code, read-only data, then the tables by which the loader finds the syscall sites.

The loader's rules: an ELF shared object of machine 247; section addresses equal to file offsets; code and data in one
read-only image at PROGRAM_ADDRESS; no relocation table rather than an empty one.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from programs.elf_object import EM_BPF, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE

PROGRAM_ADDRESS = 1 << 32
"""Where the virtual machine maps the file."""
R_BPF_64_32 = 10
"""The relocation of a call."""

_ELF_HEADER_BYTES = 64
_PROGRAM_HEADER_BYTES = 56
_PROGRAM_HEADERS = 3
_SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_PAIR = struct.Struct("<QQ")

TEXT_AT = _ELF_HEADER_BYTES + _PROGRAM_HEADERS * _PROGRAM_HEADER_BYTES
"""File offset of the code."""


def align(offset: int, alignment: int = 8) -> int:
    """The first multiple of `alignment` that is not before `offset`."""
    return -(-offset // alignment) * alignment


@dataclass(frozen=True, slots=True)
class LinkedProgram:
    """Code and data with all addresses in them. Offsets are of the file; `calls` are the syscall sites."""

    text: bytes
    rodata: bytes
    rodata_at: int
    calls: Sequence[tuple[int, str]]
    entry: int


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


def _dynamic_sections(program: LinkedProgram) -> list[_OutputSection]:
    """.dynamic, .dynsym, .dynstr and .rel.dyn: how the loader finds the syscall sites."""
    syscalls = list(dict.fromkeys(name for _, name in program.calls))
    names, name_offsets = _string_table(syscalls)
    stb_global = 0x10
    symbols = bytes(_SYMBOL.size) + b"".join(
        _SYMBOL.pack(name_offsets[name], stb_global, 0, 0, 0, 0) for name in syscalls
    )
    relocations = b"".join(_PAIR.pack(at, (syscalls.index(name) + 1) << 32 | R_BPF_64_32) for at, name in program.calls)
    dt_null, dt_strtab, dt_symtab, dt_strsz, dt_syment, dt_rel, dt_relsz, dt_relent = 0, 5, 6, 10, 11, 17, 18, 19
    entry_count = 8 if program.calls else 5
    symbols_at = align(program.rodata_at + len(program.rodata)) + entry_count * _PAIR.size
    names_at = symbols_at + len(symbols)
    relocations_at = align(names_at + len(names))
    entries = [(dt_rel, relocations_at), (dt_relsz, len(relocations)), (dt_relent, _PAIR.size)] if program.calls else []
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


def write_program(program: LinkedProgram) -> bytes:
    """The bytes of the file."""
    sections = [_OutputSection(".text", 1, SHF_ALLOC | SHF_EXECINSTR, program.text)]
    if program.rodata:
        sections.append(_OutputSection(".rodata", 1, SHF_ALLOC, program.rodata))
    sections += _dynamic_sections(program)
    names, name_offsets = _string_table([section.name for section in sections] + [".shstrtab"])
    sections.append(_OutputSection(".shstrtab", 3, 0, names))

    image = bytearray(TEXT_AT)
    starts: dict[str, int] = {}
    for section in sections:
        image.extend(bytes(align(len(image)) - len(image)))
        starts[section.name] = len(image)
        image.extend(section.data)
    image.extend(bytes(align(len(image)) - len(image)))
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
    image[:_ELF_HEADER_BYTES] = _elf_header(program.entry, headers_at, len(order))
    image[_ELF_HEADER_BYTES:TEXT_AT] = _program_headers(program, starts)
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


def _program_headers(program: LinkedProgram, starts: dict[str, int]) -> bytes:
    pt_load, pt_dynamic, execute, write, read, page = 1, 2, 1, 2, 4, 4096
    dynamic, names = starts[".dynamic"], starts[".shstrtab"]
    segments = (
        (pt_load, read | execute, TEXT_AT, len(program.text), page),
        (pt_load, read, program.rodata_at, names - program.rodata_at, page),
        (pt_dynamic, read | write, dynamic, starts[".dynsym"] - dynamic, 8),
    )
    return b"".join(
        struct.pack("<IIQQQQQQ", kind, flags, start, start, start, size, size, alignment)
        for kind, flags, start, size, alignment in segments
    )
