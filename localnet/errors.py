"""The errors of the embedded stack that a person is meant to read.

Raised by localnet's servers and supervisor, printed by the command line without a traceback.
"""

from collections.abc import Mapping


class StackError(Exception):
    """Something keeps the stack from running; the text is a sentence that says what, and what to do."""


class PortsTaken(StackError):
    """Other processes have ports that the stack needs. `taken` says of each who has it, by the flag that changes it."""

    def __init__(self, taken: Mapping[str, str]) -> None:
        super().__init__("\n".join(f"{who}; choose another one with {flag}" for flag, who in taken.items()))
        self.taken = taken
