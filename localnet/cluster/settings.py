"""The command line of the cluster.

Used by `python -m localnet.cluster`. Every setting has a flag; nothing is read from the environment.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PROGRAMS = Path(__file__).resolve().parents[2] / "programs"


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """How to run a cluster. `slot_ms` 0 is the stepped mode; `data` None keeps the chain in memory."""

    host: str = "127.0.0.1"
    port: int = 0
    data: Path | None = None
    slot_ms: int = 400
    programs: Path | None = None
    ports_file: Path | None = None
    confirmed_after: int = 1
    finalized_after: int = 32


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return value


def parse_settings(arguments: Sequence[str] | None = None) -> ClusterSettings:
    """Read the command line; exits with a message when it is wrong, as argparse does."""
    parser = argparse.ArgumentParser(
        prog="python -m localnet.cluster",
        description="A local Solana cluster: JSON-RPC, DAS and WebSocket on one port, WebSocket also on the next.",
    )
    parser.add_argument("--listen", default="127.0.0.1:8899", metavar="HOST:PORT", help="port 0 takes a free pair")
    parser.add_argument("--data", type=Path, help="folder of the ledger; in memory when not given")
    parser.add_argument("--slot-ms", type=_natural, default=400, help="length of a slot; 0: only localnet_step")
    parser.add_argument("--programs", type=Path, default=DEFAULT_PROGRAMS, help="folder with manifest.json")
    parser.add_argument("--ports-file", type=Path, help="write the bound addresses here, as JSON, when ready")
    parser.add_argument("--confirmed-after", type=_natural, default=1, help="blocks on top until confirmed")
    parser.add_argument("--finalized-after", type=_natural, default=32, help="blocks on top until finalized")
    given = parser.parse_args(arguments)
    host, _, port = str(given.listen).rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        parser.error(f"--listen {given.listen}: expected HOST:PORT")
    if not 0 < given.confirmed_after < given.finalized_after:
        parser.error("--confirmed-after must be positive and below --finalized-after")
    return ClusterSettings(
        host=host,
        port=int(port),
        data=given.data,
        slot_ms=given.slot_ms,
        programs=given.programs,
        ports_file=given.ports_file,
        confirmed_after=given.confirmed_after,
        finalized_after=given.finalized_after,
    )
