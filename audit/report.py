"""The story of an operation, step by step, and what was found of it."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from audit.evidence import Evidence, LoggedEvent


class Verdict(StrEnum):
    """`proven`: looked at and right; `broken`: looked at and wrong; `unknown`: could not be looked at."""

    PROVEN = "proven"
    BROKEN = "broken"
    UNKNOWN = "unknown"


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One question about one thing, and its answer."""

    question: str
    about: str
    verdict: Verdict
    reason: str = ""


class Step(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One event of the story."""

    sequence: int
    subject: str
    type: str
    event: UUID
    time: datetime
    stored_at: datetime
    cause: UUID | None
    producer: str


class Report(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The whole answer. It is `proven` when every question is, `broken` when one is."""

    operation: UUID
    verdict: Verdict
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]


def overall(findings: tuple[Finding, ...]) -> Verdict:
    """Return the worst answer; without any question nothing is proven."""
    verdicts = {finding.verdict for finding in findings}
    if Verdict.BROKEN in verdicts:
        return Verdict.BROKEN
    return Verdict.UNKNOWN if Verdict.UNKNOWN in verdicts or not verdicts else Verdict.PROVEN


def step_of(logged: LoggedEvent) -> Step:
    """Return the event as a step."""
    event = logged.event
    return Step(
        sequence=logged.sequence,
        subject=logged.subject,
        type=event.type,
        event=event.id,
        time=event.time,
        stored_at=logged.stored_at,
        cause=event.causation_id,
        producer=f"{event.producer.name} {event.producer.version}",
    )


def report_of(evidence: Evidence, findings: tuple[Finding, ...]) -> Report:
    """Return the story with what was found."""
    return Report(
        operation=evidence.operation,
        verdict=overall(findings),
        steps=tuple(step_of(logged) for logged in evidence.events),
        findings=findings,
    )


def answer(question: str, about: str, holds: bool, reason: str) -> Finding:
    """Return the answer to a question about a thing that was looked at; `reason`: why it does not hold."""
    verdict = Verdict.PROVEN if holds else Verdict.BROKEN
    return Finding(question=question, about=about, verdict=verdict, reason="" if holds else reason)
