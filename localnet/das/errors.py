"""The error that a DAS request ends with.

Codes are JSON-RPC 2.0's; -32000 for an asset that is not there is what the reference implementation of DAS answers.
"""

from typing import Final

NOT_FOUND: Final = -32000
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602


class DasError(Exception):
    """A JSON-RPC error answer. The request is over; whether to ask again is the client's decision, from `code`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> DasError:
    """An INVALID_PARAMS error to raise."""
    return DasError(INVALID_PARAMS, message)


def not_found(message: str) -> DasError:
    """A NOT_FOUND error to raise."""
    return DasError(NOT_FOUND, message)
