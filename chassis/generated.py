"""Writes a committed file that is generated, or compares it: the `main` of every generator of one document.

Used by those that `make generated` runs with `--check`, and by `deploy.dashboard`, which a test compares. Not done
here: what is generated.
"""

import sys
from collections.abc import Sequence
from pathlib import Path


def write_or_check(path: Path, wanted: bytes, arguments: Sequence[str], stale: str) -> int:
    """Write `wanted`, or with `--check` among the arguments compare only; return the exit status.

    `stale` is the sentence that is said, with status 1, of a file that is missing or says something else.
    """
    if "--check" not in arguments:
        path.write_bytes(wanted)
        return 0
    if path.exists() and path.read_bytes() == wanted:
        return 0
    sys.stderr.write(f"{stale}\n")
    return 1
