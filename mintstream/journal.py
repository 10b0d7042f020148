"""What `mintstream mint` has asked for, kept on this machine: the idempotency keys and the operations they became.

One small file for each drop, named after its content. It is a convenience: without it the same keys are derived again,
and the gateway answers with the operations that it has. Not done here: deriving keys (`drop`).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

_DIRECTORY: Final = Path("mintstream") / "mints"


def state_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """Return where the files are, by the XDG base directory specification."""
    base = environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / _DIRECTORY


@dataclass(slots=True)
class Journal:
    """One drop: which time it is minted, and the operation of every request that was taken on."""

    path: Path
    run: int = 1
    operations: dict[str, str] = field(default_factory=dict[str, str])
    """Position of the request -> operation."""

    @classmethod
    def open(cls, directory: Path, key: str) -> Self:
        """Return what is known of the drop with this content key; a file that cannot be read is as good as none."""
        path = directory / f"{key}.json"
        try:
            known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return cls(path, int(known["run"]), {str(at): str(name) for at, name in known["operations"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # Go on: the gateway knows the same operations by the same keys.
            return cls(path)

    def again(self) -> None:
        """Begin to mint the same content once more."""
        self.run, self.operations = self.run + 1, {}
        self.keep()

    def accepted(self, position: int, operation: str) -> None:
        """Remember the operation of a request."""
        self.operations[str(position)] = operation
        self.keep()

    def keep(self) -> None:
        """Write the file, whole or not at all. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        partial.write_text(json.dumps({"run": self.run, "operations": self.operations}), encoding="utf-8")
        partial.replace(self.path)
