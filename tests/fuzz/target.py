"""What is fuzzed: a parser, samples of what it takes, and the only errors that may come out of it.

A target takes bytes and returns; `documented` errors are the parser's word that it refuses them. Anything else that is
raised is a finding: also an AssertionError of the target itself, which holds what was parsed against what must be true.
"""

import asyncio
import tracemalloc
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

CASES: Final = Path(__file__).resolve().parent / "cases"
"""Inputs that were findings once: one folder for each target."""

MEMORY_BASE: Final = 24 * 1024 * 1024
MEMORY_FACTOR: Final = 256
"""Most bytes that Python objects of one input may take: the base, and this many for each byte of the input."""


@dataclass(frozen=True, slots=True)
class Target:
    """One parser of outside bytes; `run` may be a coroutine function."""

    name: str
    run: Callable[[bytes], Coroutine[object, object, None] | None]
    documented: tuple[type[Exception], ...]
    samples: tuple[bytes, ...] = field(repr=False)

    def cases(self) -> list[bytes]:
        """The kept findings."""
        return [path.read_bytes() for path in sorted((CASES / self.name).glob("*"))]


class Trial:
    """Runs inputs through targets, on one event loop; `measured` also bounds the memory that each takes."""

    def __init__(self, *, measured: bool = False) -> None:
        self._runner = asyncio.Runner()
        self._measured = measured

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.close()

    def of(self, target: Target, data: bytes) -> bool:
        """Return whether the target took the input; False when it refused it. Raises what is a finding."""
        if not self._measured:
            return self._taken(target, data)
        tracemalloc.start()
        try:
            taken = self._taken(target, data)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        bound = MEMORY_BASE + MEMORY_FACTOR * len(data)
        assert peak <= bound, f"{target.name} takes {peak} bytes of memory for {len(data)}"
        return taken

    def _taken(self, target: Target, data: bytes) -> bool:
        try:
            work = target.run(data)
            if work is not None:
                self._runner.run(work)
        except target.documented:
            return False
        return True
