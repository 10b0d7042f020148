"""Compiling small C texts against the SDK and running them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from solders.instruction import Instruction

from programs.build import address_header, compile_object
from programs.elf_object import ObjectFile, read_object
from programs.manifest import load_manifest
from tests.support.vm import AccountMeta, Outcome, Vm

Compile = Callable[..., ObjectFile]


@pytest.fixture
def compile_c(tmp_path: Path) -> Compile:
    """Compile one C text: `compile_c(text, name="main.c")`; the name is the file's, and may have folders."""

    def compile_text(text: str, name: str = "main.c") -> ObjectFile:
        source = tmp_path / name
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text('#include "sbf.h"\n' + text)
        (tmp_path / "addresses.h").write_text(address_header(load_manifest()))
        return read_object(source.name, compile_object(source, tmp_path, ()))

    return compile_text


def run(program: bytes, data: bytes = b"", accounts: list[AccountMeta] | None = None, vm: Vm | None = None) -> Outcome:
    """Load a program into a fresh machine, or into `vm`, and call it once."""
    vm = vm or Vm()
    return vm.send(Instruction(vm.add_program(program), data, accounts or []))
