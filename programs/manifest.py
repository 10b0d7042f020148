"""Which programs there are: their addresses, sources and built files (`manifest.json`).

Used by `programs.build` and by `programs.fetch`. What a cluster loads of it: `localnet.cluster.programs`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from solders.pubkey import Pubkey

PROGRAMS = Path(__file__).resolve().parent
BIN = PROGRAMS / "bin"
"""The stand-ins that we build and commit."""
DEPLOYED = PROGRAMS / "deployed"
"""The real programs, fetched with `--from-rpc`; never committed, preferred when present."""
MANIFEST = PROGRAMS / "manifest.json"


@dataclass(frozen=True, slots=True)
class Program:
    """One on-chain program. `source` is a folder of C files, `defines` the macros it is compiled with."""

    name: str
    address: Pubkey
    source: str
    defines: tuple[str, ...]
    sha256: str

    @property
    def built(self) -> Path:
        """The committed stand-in."""
        return BIN / f"{self.name}.so"

    @property
    def deployed(self) -> Path:
        """Where the real program's bytecode goes."""
        return DEPLOYED / f"{self.name}.so"


def load_manifest() -> dict[str, Program]:
    """All programs by name, in the manifest's order."""
    raw = json.loads(MANIFEST.read_text())
    return {
        name: Program(
            name=name,
            address=Pubkey.from_string(entry["address"]),
            source=entry["source"],
            defines=tuple(entry["defines"]),
            sha256=entry.get("sha256", ""),
        )
        for name, entry in raw.items()
    }


def record_hashes(hashes: dict[str, str]) -> None:
    """Write the sha256 of freshly built programs into the manifest."""
    raw = json.loads(MANIFEST.read_text())
    for name, digest in hashes.items():
        raw[name]["sha256"] = digest
    MANIFEST.write_text(json.dumps(raw, indent=2) + "\n")
