"""When nothing more can be said of an operation, told by the subjects of its events. Pure."""

from contracts.mint import Completed, Confirmed, Finalized


class Ending:
    """Sees an operation's events in order; `reached` once it is completed and each of its confirmations is final."""

    def __init__(self) -> None:
        self._completed = False
        self._open: set[str] = set()

    def see(self, subject: str) -> None:
        """Take in the subject of the next event."""
        kind, _, name = subject.partition(".v1.")
        if subject.startswith(f"{Completed.type()}."):
            self._completed = True
        elif kind == Confirmed.type().removesuffix(".v1"):
            self._open.add(name)
        elif kind == Finalized.type().removesuffix(".v1"):
            self._open.discard(name)

    @property
    def reached(self) -> bool:
        """Whether the last event was the last for ever (forks after finality apart)."""
        return self._completed and not self._open
