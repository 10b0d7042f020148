"""What telemetry costs a handler while nothing is exported: the same loop with its calls and without them.

`python -m tests.bench.bench_telemetry` (`make bench-telemetry`). The handler decodes a message, decides and encodes
one, as every handler does; around it are the spans, the trace headers and the metrics that the chassis makes. Rounds
with and without take turns, so that both see the same machine. Not done here: asserting anything.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from chassis import metrics, telemetry
from chassis.log import RawMessage
from chassis.messaging_spans import processing, sending
from contracts import registry
from contracts.mint import Pinned
from contracts.streams import MINTER_MINT
from tests.bench.report import Section, Table
from tests.support.samples import SAMPLES, event


def _message() -> tuple[RawMessage, UUID]:
    said = event(next(each for each in SAMPLES if isinstance(each, Pinned)))
    headers: dict[str, str] = {}
    with telemetry.span("requested"):
        telemetry.inject(headers)
    return RawMessage(said.data.subject(), 1, datetime.now(UTC), registry.encode(said), headers), said.id


def _bare(raw: RawMessage, _: UUID) -> None:
    registry.encode(registry.decode(raw.subject, raw.payload))


def _watched(raw: RawMessage, identity: UUID) -> None:
    with processing(MINTER_MINT, raw):
        read = registry.decode(raw.subject, raw.payload)
        with sending(Pinned, raw.subject, identity, len(raw.payload)):
            headers: dict[str, str] = {}
            telemetry.inject(headers)
            registry.encode(read)
    metrics.CONSUMED.add(consumer=MINTER_MINT.name, verdict="ack")


def _microseconds(work: Callable[[RawMessage, UUID], None], raw: RawMessage, identity: UUID, count: int) -> float:
    began = time.process_time()
    for _ in range(count):
        work(raw, identity)
    return (time.process_time() - began) / count * 1e6


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="messages in a round")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each kind; the median counts")
    options = parser.parse_args(arguments)
    telemetry.configure("bench", "0", environ={})
    raw, identity = _message()
    bare: list[float] = []
    watched: list[float] = []
    for _ in range(options.rounds):
        bare.append(_microseconds(_bare, raw, identity, options.count))
        watched.append(_microseconds(_watched, raw, identity, options.count))
    without, with_calls = statistics.median(bare), statistics.median(watched)
    section = Section("Telemetry that is off", "make bench-telemetry")
    table = Table(("a message", "microseconds", "to bare"))
    table.add("decoded and encoded, nothing else", f"{without:.1f}", "1.00")
    table.add("with two spans, trace headers and a counter", f"{with_calls:.1f}", f"{with_calls / without:.2f}")
    section.show(table)
    section.say(
        f"Telemetry that exports nothing takes {with_calls - without:.0f} microseconds of CPU for each message that is "
        f"handled and answered. Medians of {options.rounds} rounds of {options.count} messages, taken in turns."
    )
    section.write()


if __name__ == "__main__":
    main()
