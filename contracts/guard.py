"""The facts of the truncation guard: has the log kept everything that it ever acknowledged?

Whoever signs asks (`challenged`, minter) whenever its connection to the log was lost, and at its start. `verified`
(indexer) answers, by the challenge's own id, once the log agrees with its second copy. `truncated` (indexer) says that
the log had lost its tail; `bounded` (minter) says from which block on nothing that was lost can land any more.
`archived` (indexer) anchors a segment of the archive, so that nobody can exchange it.
"""

from typing import Annotated, ClassVar
from uuid import UUID

import msgspec

from contracts.fact import Count, Fact, Hash32

MAX_HOLES = 1000
"""Most holes that one alarm tells of."""


class Witness(msgspec.Struct, frozen=True, kw_only=True):
    """A message that the log acknowledged: the newest that somebody knows of in one stream."""

    stream: str
    sequence: Annotated[int, msgspec.Meta(ge=1)]
    event: UUID


class Challenged(Fact, frozen=True, kw_only=True):
    """A minter that was cut off from the log asks whether the log is whole. It signs and sends nothing meanwhile."""

    SUBJECT: ClassVar[str] = "guard.challenged.v1.{challenge}"

    challenge: UUID
    """New for every question: no older answer can be taken for its own."""
    witnesses: tuple[Witness, ...] = ()
    """What the minter knows to have been acknowledged; the second copy may not have had it yet."""


class Verified(Fact, frozen=True, kw_only=True):
    """Every projected stream agrees with its second copy, or was made to."""

    SUBJECT: ClassVar[str] = "guard.verified.v1.{challenge}"

    challenge: UUID
    """Or the loss that has been repaired, when nobody asked."""
    truncation: UUID | None = None
    """The newest loss that is known of this log, healed or not; None: it never lost anything."""


class Hole(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Sequences of a stream, the ends included."""

    first: Annotated[int, msgspec.Meta(ge=1)]
    last: Annotated[int, msgspec.Meta(ge=1)]


class Truncated(Fact, frozen=True, kw_only=True):
    """An alarm: a stream had lost its tail. On the log before anything is repaired."""

    SUBJECT: ClassVar[str] = "guard.truncated.v1.{truncation}"

    truncation: UUID
    stream: str
    last: Count
    """The stream's last sequence when the loss was noticed."""
    expected: Count
    """The sequence up to which messages are known to have been acknowledged."""
    restorable: Count
    """How many of the lost messages the second copy holds."""
    replaced: bool = False
    """Other messages stand at the lost sequences, or behind them: what is put back gets new ones."""
    holes: Annotated[tuple[Hole, ...], msgspec.Meta(max_length=MAX_HOLES)] = ()
    """Lost sequences that stay empty, for ever. What stood there is said again at the end, if anybody has it."""


class Bounded(Fact, frozen=True, kw_only=True):
    """No transaction whose intent was lost in `truncation` can land in a block above `block_height`."""

    SUBJECT: ClassVar[str] = "guard.bounded.v1.{truncation}"

    truncation: UUID
    block_height: Count


class Archived(Fact, frozen=True, kw_only=True):
    """Messages `first` to `last` of `stream` are in the archive, as its segment `number`."""

    SUBJECT: ClassVar[str] = "guard.archived.v1.{stream}.{number}"

    stream: str
    number: Annotated[int, msgspec.Meta(ge=1)]
    first: Annotated[int, msgspec.Meta(ge=1)]
    last: Annotated[int, msgspec.Meta(ge=1)]
    manifest: Hash32
    """SHA-256 of the segment's manifest, which holds that of the one before: it vouches for all that came earlier."""
