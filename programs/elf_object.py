"""Reading the relocatable ELF objects that clang's BPF backend writes.

Used by `programs.linker` only. Nothing is laid out or relocated here; what the linker cannot use is still read, so that
the linker can name it when it refuses.

Format: the ELF-64 specification and LLVM's "BPF relocation" documentation.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

EM_BPF = 247
ET_REL = 1
SHT_NOBITS = 8
SHT_RELA = 4
SHT_REL = 9
SHT_SYMTAB = 2
SHF_WRITE = 1
SHF_ALLOC = 2
SHF_EXECINSTR = 4
STB_LOCAL = 0
SHN_UNDEF = 0
SHN_LORESERVE = 0xFF00

_HEADER_BYTES = 64
_SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_REL = struct.Struct("<QQ")


class ObjectFormatError(Exception):
    """The bytes are not a BPF relocatable object that can be read; the message names the file."""


@dataclass(frozen=True, slots=True)
class Section:
    """One section. `data` is empty for a section without bytes in the file (.bss)."""

    name: str
    kind: int
    flags: int
    data: bytes
    size: int
    alignment: int

    @property
    def is_loaded(self) -> bool:
        """Does this section have to be in memory when the program runs?"""
        return bool(self.flags & SHF_ALLOC) and self.size > 0

    @property
    def is_code(self) -> bool:
        """Does it hold instructions?"""
        return bool(self.flags & SHF_EXECINSTR)


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol. `section` is the index of the section that defines it, or None when it is undefined."""

    name: str
    section: int | None
    value: int
    is_global: bool


@dataclass(frozen=True, slots=True)
class Relocation:
    """Patch `offset` of section `section` with the address of `symbol`; `kind` is an R_BPF_* number."""

    section: int
    offset: int
    kind: int
    symbol: Symbol


@dataclass(frozen=True, slots=True)
class ObjectFile:
    """One parsed object; section indexes are those of the file."""

    name: str
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: tuple[Relocation, ...]


def _text_at(table: bytes, offset: int) -> str:
    return table[offset : table.index(b"\0", offset)].decode()


def _read_sections(data: bytes) -> tuple[list[tuple[int, ...]], tuple[Section, ...]]:
    table_at = int(struct.unpack_from("<Q", data, 0x28)[0])
    count, names_index = struct.unpack_from("<HH", data, 0x3C)
    headers = [_SECTION_HEADER.unpack_from(data, table_at + i * _SECTION_HEADER.size) for i in range(count)]
    names = data[headers[names_index][4] :]
    sections = tuple(
        Section(
            name=_text_at(names, name),
            kind=kind,
            flags=flags,
            data=b"" if kind == SHT_NOBITS else data[offset : offset + size],
            size=size,
            alignment=max(alignment, 1),
        )
        for name, kind, flags, _, offset, size, _, _, alignment, _ in headers
    )
    return headers, sections


def _section_name(sections: tuple[Section, ...], index: int) -> str:
    return sections[index].name if index < SHN_LORESERVE else ""


def _read_symbols(headers: list[tuple[int, ...]], sections: tuple[Section, ...]) -> tuple[Symbol, ...]:
    for header, section in zip(headers, sections, strict=True):
        if section.kind != SHT_SYMTAB:
            continue
        names = sections[header[6]].data
        return tuple(
            Symbol(
                name=_text_at(names, int(name)) or _section_name(sections, int(index)),
                section=None if index == SHN_UNDEF or index >= SHN_LORESERVE else index,
                value=value,
                is_global=info >> 4 != STB_LOCAL,
            )
            for name, info, _, index, value, _ in _SYMBOL.iter_unpack(section.data)
        )
    return ()


def read_object(name: str, data: bytes) -> ObjectFile:
    """Parse one object file; `name` is for messages.

    Raises ObjectFormatError when the bytes are not a little-endian 64-bit BPF relocatable object.
    """
    if data[:6] != b"\x7fELF\x02\x01" or len(data) < _HEADER_BYTES:
        raise ObjectFormatError(f"{name}: not a little-endian 64-bit ELF file")
    kind, machine = struct.unpack_from("<HH", data, 0x10)
    if (kind, machine) != (ET_REL, EM_BPF):
        raise ObjectFormatError(f"{name}: not a BPF relocatable object (type {kind}, machine {machine})")
    try:
        headers, sections = _read_sections(data)
        symbols = _read_symbols(headers, sections)
        relocations: list[Relocation] = []
        for header, section in zip(headers, sections, strict=True):
            if section.kind == SHT_RELA:
                raise ObjectFormatError(f"{name}: {section.name} has explicit addends, which BPF does not use")
            if section.kind == SHT_REL:
                relocations += [
                    Relocation(header[7], int(offset), int(info) & 0xFFFFFFFF, symbols[int(info) >> 32])
                    for offset, info in _REL.iter_unpack(section.data)
                ]
    except (struct.error, IndexError, ValueError) as error:
        # Stops: a file cut short or damaged cannot be linked, whatever is done next.
        raise ObjectFormatError(f"{name}: damaged object file ({error})") from error
    return ObjectFile(name, sections, symbols, tuple(relocations))
