"""`python -m programs.build [--check] [--from-rpc URL [--pin NAME=SHA256 ...]] [NAME ...]`: the on-chain programs.

Without options: compile the named programs (all by default) with the ziglang wheel's clang, link them with
`programs.linker` and write `programs/bin/<name>.so` and the manifest's hashes. `--check` builds into memory instead and
fails when a byte differs from what is committed. `--from-rpc` fetches the deployed bytecode of the real programs into
`programs/deployed/`, which a cluster prefers.

The bytes depend only on the sources, the manifest and the pinned ziglang version; no path, time or host enters them.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from programs import fetch
from programs.elf_object import ObjectFormatError, read_object
from programs.linker import LinkError, link
from programs.manifest import BIN, PROGRAMS, Program, load_manifest, record_hashes

ZIG_VERSION = "0.17.0"

COMPILER_FLAGS = (
    *("-target", "bpfel-freestanding", "-mcpu=v2", "-std=c2x"),
    *("-O2", "-g0", "-fno-builtin", "-fno-stack-protector", "-fno-strict-aliasing", "-fno-jump-tables"),
    # A frame of sBPF is 4096 bytes (upstream's check assumes Linux's 512), and unaligned access is allowed.
    *("-mllvm", "-bpf-stack-size=4096", "-Xclang", "-target-feature", "-Xclang", "+allows-misaligned-mem-access"),
    *("-Wall", "-Wextra", "-Werror", "-Wno-unused-function", "-Wno-unused-const-variable"),
)


class BuildError(Exception):
    """A program cannot be built; the message is a sentence for the person at the keyboard."""


def compile_object(source: Path, include: Path, defines: Sequence[str]) -> bytes:
    """Compile one C file to a BPF object. `include` holds the generated headers. Raises BuildError."""
    with tempfile.TemporaryDirectory(prefix="mintstream-cc-") as scratch:
        output = Path(scratch) / "out.o"
        command = [
            *(sys.executable, "-m", "ziglang", "cc", *COMPILER_FLAGS),
            *("-I", str(PROGRAMS / "sdk"), "-I", str(include)),
            *(f"-D{define}" for define in defines),
            *("-c", str(source), "-o", str(output)),
        ]
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
        if result.returncode != 0:
            raise BuildError(f"{source.name} does not compile:\n{result.stderr.strip()}")
        return output.read_bytes()


def address_header(programs: dict[str, Program]) -> str:
    """`addresses.h`: the address of every program of the manifest as `static const u8 <NAME>_ID[32]`."""
    lines = ["/* Generated from manifest.json by programs.build. */", "#pragma once", '#include "sbf.h"']
    for program in programs.values():
        values = ", ".join(str(byte) for byte in bytes(program.address))
        lines.append(f"static const u8 {program.name.upper()}_ID[KEY_BYTES] = {{{values}}};")
    return "\n".join(lines) + "\n"


def build_program(program: Program, programs: dict[str, Program]) -> bytes:
    """Compile and link one program. Raises BuildError."""
    folder = PROGRAMS / program.source
    sources = sorted(folder.glob("*.c"))
    if not sources:
        raise BuildError(f"{program.name}: there is no C source in programs/{program.source}/.")
    with tempfile.TemporaryDirectory(prefix="mintstream-include-") as scratch:
        include = Path(scratch)
        (include / "addresses.h").write_text(address_header(programs))
        try:
            return link(
                [read_object(source.name, compile_object(source, include, program.defines)) for source in sources]
            )
        except (ObjectFormatError, LinkError) as error:
            # Stops: the source asks for something that a program cannot have, and the message says what.
            raise BuildError(f"{program.name} does not link: {error}") from error


def _require_compiler() -> None:
    command = [sys.executable, "-m", "ziglang", "version"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if result.returncode != 0:
        raise BuildError(f"The compiler is missing: install the ziglang=={ZIG_VERSION} wheel (the dev requirements).")
    if result.stdout.strip() != ZIG_VERSION:
        raise BuildError(
            f"ziglang is {result.stdout.strip()}, but the committed bytes are those of {ZIG_VERSION}: install that one."
        )


def _build(names: list[str], programs: dict[str, Program]) -> None:
    _require_compiler()
    BIN.mkdir(exist_ok=True)
    hashes: dict[str, str] = {}
    for name in names:
        image = build_program(programs[name], programs)
        programs[name].built.write_bytes(image)
        hashes[name] = hashlib.sha256(image).hexdigest()
        print(f"{name}: {len(image)} bytes, sha256 {hashes[name]}")  # noqa: T201 - the command's output
    record_hashes(hashes)


def differences(names: list[str], programs: dict[str, Program]) -> list[str]:
    """A sentence for each named program whose committed file is not what its sources give."""
    found: list[str] = []
    for name in names:
        program = programs[name]
        image = build_program(program, programs)
        if not program.built.exists():
            found.append(f"programs/bin/{name}.so is missing.")
        elif program.built.read_bytes() != image:
            found.append(f"programs/bin/{name}.so differs from what its sources give.")
        elif program.sha256 != hashlib.sha256(image).hexdigest():
            found.append(f"The sha256 of {name} in programs/manifest.json is not that of its file.")
    return found


def _check(names: list[str], programs: dict[str, Program]) -> None:
    _require_compiler()
    found = differences(names, programs)
    if found:
        raise BuildError("\n".join([*found, "Run `python -m programs.build` and commit the result."]))
    print(f"{len(names)} programs: the committed bytes are what the sources give.")  # noqa: T201 - the command's output


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m programs.build", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="NAME", help="programs of manifest.json; all by default")
    parser.add_argument("--check", action="store_true", help="fail when a rebuild differs from programs/bin")
    parser.add_argument("--from-rpc", metavar="URL", help="fetch the deployed programs from this JSON-RPC node")
    parser.add_argument("--pin", action="append", default=[], metavar="NAME=SHA256", help="with --from-rpc")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = _parser().parse_args(arguments)
    programs = load_manifest()
    names: list[str] = options.names or list(programs)
    try:
        unknown = [name for name in names if name not in programs]
        if unknown:
            raise BuildError(f"No program is called {', '.join(unknown)}; there are {', '.join(programs)}.")
        if options.pin and not options.from_rpc:
            raise BuildError("--pin is for --from-rpc.")
        if options.from_rpc:
            fetch.fetch_programs(options.from_rpc, [programs[name] for name in names], fetch.parse_pins(options.pin))
        elif options.check:
            _check(names, programs)
        else:
            _build(names, programs)
    except (BuildError, fetch.FetchError) as error:
        # Stops: the sentence says what the person has to do.
        print(error, file=sys.stderr)  # noqa: T201 - the command's output
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
