"""When nothing more can be said of an operation, told by the subjects of its events. Pure."""

from typing import Final

from contracts.mint import Completed, Confirmed, Failed, Finalized

_CONFIRMED: Final = Confirmed.type().removesuffix(".v1")
_ENDS: Final = frozenset({Finalized.type().removesuffix(".v1"), Failed.type().removesuffix(".v1")})


class Ending:
    """Sees an operation's events in order; `reached` once it is completed and each of its confirmations has ended.

    A confirmation ends by being final, or by a fork that takes it back when nothing can land in its place.
    """

    def __init__(self) -> None:
        self._completed = False
        self._open: set[str] = set()

    def see(self, subject: str) -> None:
        """Take in the subject of the next event."""
        kind, _, name = subject.partition(".v1.")
        if subject.startswith(f"{Completed.type()}."):
            self._completed = True
        elif kind == _CONFIRMED:
            self._open.add(name)
        elif kind in _ENDS:
            self._open.discard(name)

    @property
    def reached(self) -> bool:
        """Whether the last event was the last for ever (forks after finality apart)."""
        return self._completed and not self._open
