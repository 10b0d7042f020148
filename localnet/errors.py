"""The one error of the embedded stack that a person is meant to read.

Raised by localnet's servers and supervisor, printed by the command line without a traceback.
"""


class StackError(Exception):
    """Something keeps the stack from running; the text is a sentence that says what, and what to do."""
