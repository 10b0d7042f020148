"""Which programs the cluster loads, and from where.

Used at start. A programs folder has `manifest.json` (name -> {"address": ...}), `bin/<name>.so` (the local stand-ins)
and maybe `deployed/<name>.so` (bytecode fetched from a real cluster), which wins. Building and fetching are not done
here. Missing files are reported, not fatal: a cluster without a program is still a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
from solders.pubkey import Pubkey


class ProgramsError(RuntimeError):
    """The manifest cannot be read. The message names the file; never retried."""


class _Entry(msgspec.Struct):
    address: str


@dataclass(frozen=True, slots=True)
class LoadedProgram:
    """One program found on disk."""

    name: str
    address: Pubkey
    elf: bytes
    stand_in: bool


@dataclass(frozen=True, slots=True)
class ProgramSet:
    """Everything found, and the names of what the manifest lists but the folder lacks."""

    programs: tuple[LoadedProgram, ...]
    missing: tuple[str, ...]

    def by_address(self) -> dict[Pubkey, bytes]:
        """Address to bytecode, as the runtime takes it."""
        return {program.address: program.elf for program in self.programs}

    def banner(self) -> str:
        """One line for people: what runs here and what does not."""
        stand_ins = [program.name for program in self.programs if program.stand_in]
        deployed = [program.name for program in self.programs if not program.stand_in]
        parts = [
            f"local stand-in programs: {', '.join(stand_ins)}" if stand_ins else "",
            f"deployed programs: {', '.join(deployed)}" if deployed else "",
            f"missing, not loaded: {', '.join(self.missing)}" if self.missing else "",
        ]
        return "; ".join(part for part in parts if part) or "no programs but the built-in ones"


NO_PROGRAMS = ProgramSet((), ())


def find_programs(folder: Path) -> ProgramSet:
    """Read a programs folder. Raises ProgramsError when its manifest is absent or unreadable."""
    manifest = folder / "manifest.json"
    try:
        entries = msgspec.json.decode(manifest.read_bytes(), type=dict[str, _Entry])
        addresses = {name: Pubkey.from_string(entry.address) for name, entry in entries.items()}
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise ProgramsError(f"{manifest} cannot be read: {error}") from error
    found: list[LoadedProgram] = []
    missing: list[str] = []
    for name, address in addresses.items():
        deployed, stand_in = folder / "deployed" / f"{name}.so", folder / "bin" / f"{name}.so"
        if deployed.is_file():
            found.append(LoadedProgram(name, address, deployed.read_bytes(), stand_in=False))
        elif stand_in.is_file():
            found.append(LoadedProgram(name, address, stand_in.read_bytes(), stand_in=True))
        else:
            missing.append(name)
    return ProgramSet(tuple(found), tuple(missing))
