"""A message on its way into the tables: read and planned, then applied to the rows or parked with the reason. Pure.

Planned by the projector before a transaction is open, folded by the store inside it. A message that cannot be applied
changes no row, is kept with its reason, and never holds up the ones behind it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from chassis.log import RawMessage
from contracts.fact import Event
from contracts.registry import UndecodableMessage, decode
from services.indexer.changes import RowChange
from services.indexer.projection import Unprojectable, clean_text, project
from services.indexer.rows import Rows, UnknownRow

MAX_REASON = 2000
"""Characters of a parked message's reason that are kept."""


class Entry(msgspec.Struct, frozen=True):
    """One message with what it changes, or with the reason why it is parked."""

    raw: RawMessage
    changes: Sequence[RowChange] = ()
    parked: str | None = None
    event: Event[Any] | None = None
    """The message as it was read; None when it cannot be, or was read by another process."""


def plan(raw: RawMessage) -> Entry:
    """Return the message with its changes, or parked when it cannot be read or means nothing for the tables."""
    try:
        event = decode(raw.subject, raw.payload)
        return Entry(raw, changes=project(event, raw.sequence), event=event)
    except (UndecodableMessage, Unprojectable) as error:  # stop: these bytes will never say anything else
        return park(raw, str(error))


def park(raw: RawMessage, reason: str) -> Entry:
    """Return the message as one that changes no row."""
    return Entry(raw, parked=clean_text(reason)[:MAX_REASON])


def fold(rows: Rows, entries: Sequence[Entry]) -> list[Entry]:
    """Apply the entries to the rows in order; return those that are parked."""
    parked: list[Entry] = []
    for entry in entries:
        if entry.parked is not None:
            parked.append(entry)
            continue
        try:
            rows.apply(entry.changes)
        except UnknownRow as error:  # stop: what would introduce the row is not before this message
            parked.append(park(entry.raw, str(error)))
    return parked
