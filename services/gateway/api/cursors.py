"""Where a page of operations ended, as a text that callers hand back without looking into it. Pure."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.gateway.errors import Problem, ValidationFailed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SIZE = 8 + 16


def write_cursor(start_time: datetime, operation: UUID) -> str:
    """Return the cursor behind an operation."""
    microseconds = (start_time - _EPOCH) // _MICROSECOND
    return base64.urlsafe_b64encode(microseconds.to_bytes(8, "big") + operation.bytes).decode()


def read_cursor(text: str) -> tuple[datetime, UUID]:
    """Return what `write_cursor` was given. Raises ValidationFailed for anything else."""
    try:
        packed = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        if len(packed) == _SIZE:
            start_time = _EPOCH + int.from_bytes(packed[:8], "big") * _MICROSECOND
            return start_time, UUID(bytes=packed[8:])
    except (binascii.Error, UnicodeEncodeError, OverflowError):  # stop: outside input, answered below
        pass
    raise ValidationFailed([Problem("cursor", "must be the nextCursor of an earlier answer")])
