"""The base of every message body, the envelope around it, and the types that many bodies share.

A fact knows its own subject: the first three tokens are its type (`mint.requested.v1`), the rest name the thing it
is about. Within v1 only defaulted fields may be added, and readers ignore fields they do not know.
"""

import re
from collections.abc import Callable
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Annotated, ClassVar, Generic, TypeVar
from uuid import UUID

import msgspec

Address = Annotated[str, msgspec.Meta(pattern=r"^[1-9A-HJ-NP-Za-km-z]{32,44}$")]
"""A Solana account address: 32 bytes in base58."""
Signature = Annotated[str, msgspec.Meta(pattern=r"^[1-9A-HJ-NP-Za-km-z]{64,88}$")]
"""A Solana transaction signature: 64 bytes in base58."""
Hash32 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
"""32 bytes in lower-case hexadecimal."""
Index = Annotated[int, msgspec.Meta(ge=0)]
"""A position counted from zero."""
Count = Annotated[int, msgspec.Meta(ge=0)]
Slot = Annotated[int, msgspec.Meta(ge=0)]
"""A Solana slot number."""
Lamports = Annotated[int, msgspec.Meta(ge=0)]

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Fact(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing that was asked for or that happened; immutable once it is on the log."""

    SUBJECT: ClassVar[str]
    """The subject with the names of the identifying fields in braces."""

    @classmethod
    def type(cls) -> str:
        """Return the type: noun, name and version, such as `mint.requested.v1`."""
        return ".".join(cls.SUBJECT.split(".")[:3])

    @classmethod
    def subject_of(cls, **tokens: object) -> str:
        """Return the subject of the fact that `tokens` identify; a missing token raises KeyError."""
        return cls.SUBJECT.format(**tokens)

    @classmethod
    @cache
    def tokens(cls) -> tuple[str, ...]:
        """Return the names of the identifying fields, in the subject's order."""
        return tuple(_PLACEHOLDER.findall(cls.SUBJECT))

    @classmethod
    def pattern(cls, **tokens: object) -> str:
        """Return the wildcard that matches every subject of this type, such as `mint.pinned.v1.*.*`.

        With `tokens`, that of the things that have these: `mint.pinned.v1.*.0`.
        """
        return _PLACEHOLDER.sub(lambda found: str(tokens.get(found[1], "*")), cls.SUBJECT)

    def subject(self) -> str:
        """Return this fact's own subject."""
        template, fields = self._template()
        return template.format(*fields(self))

    @classmethod
    @cache
    def _template(cls) -> tuple[str, Callable[[object], tuple[object, ...]]]:
        """Return the subject with an empty brace for each identifying field, and what reads these fields."""
        names = cls.tokens()
        read = attrgetter(*names)
        return _PLACEHOLDER.sub("{}", cls.SUBJECT), read if len(names) > 1 else lambda fact: (read(fact),)


class Producer(msgspec.Struct, frozen=True, kw_only=True):
    """The program that wrote a message."""

    name: str
    version: str


F = TypeVar("F", bound=Fact)
F_co = TypeVar("F_co", bound=Fact, covariant=True)


class Event(msgspec.Struct, Generic[F_co], frozen=True, kw_only=True, rename="camel"):
    """The envelope: who said what, when, and because of which earlier event.

    `id` is a UUIDv7. `causation_id` is the id of the event that led to this one; None only for a command that came
    from outside. The trace context rides in the message headers, not here.
    """

    id: UUID
    type: str
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    producer: Producer
    data: F_co
    causation_id: UUID | None = None
