"""What can go wrong in this package: one class per thing the caller would do differently.

Used by every module here and by whoever calls them. Program errors that come back from the chain are not here: they
arrive as `ExecutedTransaction.err` and are judged by the caller.
"""


class BubblegumError(Exception):
    """Base of every error of this package."""


class MetadataError(BubblegumError):
    """The metadata would be refused by the program. The caller must change `field`; trying again changes nothing."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class DecodeError(BubblegumError):
    """Bytes or JSON from outside that are not what they were said to be. Never worth a second try on the same input."""


class MerkleError(BubblegumError):
    """A tree was asked for something it cannot do: an unsupported size, a leaf that is not there, one leaf too many."""
