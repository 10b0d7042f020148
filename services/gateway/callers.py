"""Who calls, and what that caller may do and see. Pure."""

from typing import Final

import msgspec

from contracts.access import Scope
from services.gateway.errors import Forbidden, OperationNotFound

BOOTSTRAP: Final = "api-key"
"""The name of whoever holds API_KEY. Idempotency keys are remembered under it, so it outlives a change of the key."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has shown who he is. `name` is what operations and idempotency keys are kept under."""

    name: str
    scopes: frozenset[Scope]

    @property
    def is_admin(self) -> bool:
        """Whether nothing is closed to this caller."""
        return Scope.ADMIN in self.scopes

    @property
    def only(self) -> str | None:
        """Whose operations are shown to this caller: its own; None means everybody's."""
        return None if self.is_admin else self.name

    def require(self, scope: Scope) -> None:
        """Return when the caller may do what needs `scope`. Raises Forbidden."""
        if scope not in self.scopes and not self.is_admin:
            raise Forbidden(scope)

    def require_sight(self, owner: str) -> None:
        """Return when the caller may know of an operation of `owner`. Raises OperationNotFound.

        The same answer as for an id that was never used: nobody learns which operations others have.
        """
        if owner != self.name and not self.is_admin:
            raise OperationNotFound
