"""A report for a person: the story line by line, each question's answers counted, and what is not proven.

Used by `audits`. Lines are never cut, whatever the terminal: ids are there to be copied. Texts come from outside,
so nothing in them is taken for markup or sent to the terminal as control. Pure.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from rich.text import Text

from audit.report import Report, Step, Verdict

COLOURS: Final = {Verdict.PROVEN: "green", Verdict.BROKEN: "bold red", Verdict.UNKNOWN: "yellow"}
_EVENT: Final = 3
"""Tokens of a subject before the operation: noun, fact, version."""


def story(report: Report, shown: int | None = None) -> Iterator[Text]:
    """Yield the report's lines; of each question's answers that are alike, at most `shown` are told one by one."""
    yield Text(f"Operation {report.operation}", "bold")
    yield from _steps(report)
    counts = Counter((finding.question, finding.verdict) for finding in report.findings)
    for (question, verdict), count in counts.items():
        yield Text.assemble(f"  {question:<12} {count:>5} ", (verdict.value, COLOURS[verdict]))
    most = len(report.findings) if shown is None else shown
    told = Counter[tuple[str, Verdict]]()
    for finding in report.findings:
        kind = finding.question, finding.verdict
        told[kind] += 1
        if finding.verdict is Verdict.PROVEN or told[kind] > most:
            continue
        sentence = _printable(f"{finding.question}, {finding.about}: {finding.reason}")
        yield Text.assemble((finding.verdict.value, COLOURS[finding.verdict]), f" {sentence}")
        if told[kind] == most and counts[kind] > most:
            more = f" {finding.question}: {counts[kind] - most:,} more, told by --json"
            yield Text.assemble((finding.verdict.value, COLOURS[finding.verdict]), more)
    yield Text.assemble("The operation is ", (report.verdict.value, COLOURS[report.verdict]), ".")


def _steps(report: Report) -> Iterator[Text]:
    """Yield a line for each event, in columns; a line with the date whenever it is another one."""
    numbers = {step.event: number for number, step in enumerate(report.steps, 1)}
    rows = [
        (step, _event(step), _cause(step, numbers.get(step.cause) if step.cause else None)) for step in report.steps
    ]
    event_width = max((len(event) for _, event, _ in rows), default=0)
    cause_width = max((len(cause) for _, _, cause in rows), default=0)
    date = None
    for number, (step, event, cause) in enumerate(rows, 1):
        if step.time.date() != date:
            date = step.time.date()
            yield Text(f"  {date} UTC", "dim")
        columns = (
            f"{number:>4}",
            f"{step.time:%H:%M:%S.%f}"[:-3],
            f"{event:<{event_width}}",
            f"{cause:<{cause_width}}",
        )
        yield Text("  ".join((*columns, f"{_printable(step.producer):<14}", str(step.event))))


def _event(step: Step) -> str:
    """Return what was said, with chunk and transaction: `confirmed 0.1`."""
    fact, place = step.subject.split(".")[1], step.subject.split(".")[_EVENT + 1 :]
    return _printable(f"{fact} {'.'.join(place)}".strip())


def _cause(step: Step, number: int | None) -> str:
    """Return what it followed from: the number of a line, or the id of an event that is in another story."""
    if step.cause is None:
        return ""
    return f"after {step.cause if number is None else number}"


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
