"""What the log says of an operation: its facts, and what of it stands. Pure; for the questions and for `gathering`."""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from audit.evidence import Evidence
from contracts.fact import Fact
from contracts.mint import Confirmed, Failed

F = TypeVar("F", bound=Fact)

Place = tuple[int, int]
"""Chunk and transaction."""


def facts(evidence: Evidence, kind: type[F]) -> Iterator[F]:
    """Return the facts of one kind, in order."""
    return (logged.fact for logged in evidence.events if isinstance(logged.fact, kind))


def latest(evidence: Evidence) -> Mapping[Place, Confirmed]:
    """Return the last confirmation of each transaction that stands: after a fork an earlier one is nothing any more."""
    standing: dict[Place, Confirmed] = {}
    for logged in evidence.events:
        fact = logged.fact
        if isinstance(fact, Confirmed):
            standing[fact.chunk, fact.tx] = fact
        elif isinstance(fact, Failed) and fact.dropped is not None:
            standing.pop((fact.chunk, fact.tx), None)
    return standing
