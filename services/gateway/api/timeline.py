"""Events of the log as callers see them: whole in a timeline, without their bulk in a stream. Pure."""

from typing import Any, Final, cast

import msgspec

from services.gateway.ports import LoggedEvent

Json = dict[str, Any]

_BULKY: Final = ("nfts", "transaction", "earlier")
"""Fields that a stream leaves out: the request as it was sent, and the bytes of signed transactions."""


def whole(event: LoggedEvent) -> Json:
    """Return the event as it is on the log, with its place there."""
    return {"sequence": event.sequence, **cast("Json", msgspec.json.decode(event.payload))}


def streamed(event: LoggedEvent) -> Json:
    """Return the event without the fields that only an auditor wants."""
    view = whole(event)
    view["data"] = {name: value for name, value in view["data"].items() if name not in _BULKY}
    return view
