"""What stops a command, as its own modules raise it. Which exit status an error comes to: `ending`."""

from collections.abc import Sequence


class ApiError(Exception):
    """The gateway refused, did not answer (`status` 0), or was not understood. `details`: its sentences by field."""

    def __init__(self, status: int, error: str, details: Sequence[str] = ()) -> None:
        super().__init__(
            (f"{error} (HTTP {status})" if status else error) + "".join(f"\n  {detail}" for detail in details)
        )
        self.status = status
        self.error = error
        self.details = tuple(details)
