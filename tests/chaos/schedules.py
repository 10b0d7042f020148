"""Thousands of random schedules of faults against the whole of minting in memory, each by its seed.

    python -m tests.chaos.schedules --count 1000 --seed 1     # seeds 1 to 1000, a report as Markdown
    python -m tests.chaos.schedules --count 1 --seed 4711     # one of them again

With `--document` the outcome is written into docs/reliability.md.

Ends with status 1 when an invariant does not hold; the report names the seed.
"""

import argparse
import logging
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import NoReturn

import structlog

from contracts.mint import Cancelled, Confirmed, Failed, Requested, Signed
from tests.bench.report import Section
from tests.chaos.report import RELIABILITY, document
from tests.support.scheduled_checks import on_chain, violations
from tests.support.scheduled_run import run
from tests.support.scheduled_world import Program, Violation, World
from tests.support.virtual_time import Stuck, run_in_virtual_time


@dataclass
class Tally:
    """What a number of schedules came to."""

    seeds: list[int] = field(default_factory=list[int])
    sums: Counter[str] = field(default_factory=Counter[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    broken: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    seconds: float = 0.0
    virtual_seconds: float = 0.0

    def text(self) -> str:
        """The report as Markdown."""
        told = ", ".join(f"{count} {what}" for what, count in sorted(self.sums.items()))
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        lines = [
            f"{len(self.seeds)} schedules, seeds {self.seeds[0]} to {self.seeds[-1]}: **{len(self.broken)} broke an "
            f"invariant**; {self.virtual_seconds / 3600:.0f} hours of their own time in {self.seconds:.0f} s. In them: "
            f"{told}.",
            "",
            f"Times that each fault struck: {faults}.",
        ]
        lines += [f"- seed {seed}: {'; '.join(found[:3])}" for seed, found in list(self.broken.items())[:20]]
        return "\n".join(lines)

    def figures(self) -> dict[str, object]:
        """The same as numbers."""
        return {
            "first_seed": self.seeds[0],
            "schedules": len(self.seeds),
            "broken": len(self.broken),
            "virtual_seconds": round(self.virtual_seconds),
            "faults": dict(sorted(self.faults.items())),
            "sums": dict(sorted(self.sums.items())),
        }


def schedule(seed: int, program: Program | None = None, tally: Tally | None = None) -> list[str]:
    """Run one; return the invariants that do not hold."""

    async def whole() -> list[str]:
        world = await run(seed, program)
        if tally is not None:
            count(tally, world)
        return await violations(world)

    try:
        return run_in_virtual_time(whole())
    except (Violation, Stuck) as error:
        return [str(error) or "everybody waits for ever"]


def count(tally: Tally, world: World) -> None:
    """Add what has come of a schedule."""
    tally.faults.update(+world.weather.struck)
    tally.sums.update(
        {
            "operations": len(world.log.facts(Requested)),
            "cancelled": len(world.log.facts(Cancelled)),
            "NFTs on chain": len(on_chain(world)),
            "signatures": len(world.log.facts(Signed)),
            "confirmations": len(world.log.facts(Confirmed)),
            "failed transactions": len(world.log.facts(Failed)),
            "deaths of processes": world.deaths,
            "lost messages": world.server.lost.total(),
            "operations that wait for a person": len(world.waiting()),
        }
    )
    tally.virtual_seconds += world.clock.monotonic()


def run_all(seeds: range, tally: Tally) -> None:
    """Run the schedules of `seeds`."""
    began = time.perf_counter()
    for seed in seeds:
        tally.seeds.append(seed)
        if found := schedule(seed, tally=tally):
            tally.broken[seed] = found
    tally.seconds += time.perf_counter() - began


def main() -> None:
    """Run the schedules that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="how many schedules")
    parser.add_argument("--seed", type=int, default=1, help="the first one's seed; the others follow it")
    parser.add_argument("--document", action="store_true", help=f"write the outcome into {RELIABILITY.name}")
    arguments = parser.parse_args()
    quiet()
    tally = Tally()
    run_all(range(arguments.seed, arguments.seed + arguments.count), tally)
    section = Section(
        "Random schedules", f"python -m tests.chaos.schedules --count {arguments.count} --seed {arguments.seed}"
    )
    section.say(tally.text())
    if arguments.document:
        document(section, tally.figures())
    sys.exit(1 if tally.broken else 0)


def quiet() -> None:
    """The program's own log lines are not what is looked at here."""
    structlog.configure(processors=[_drop], wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def _drop(*_: object) -> NoReturn:
    raise structlog.DropEvent


if __name__ == "__main__":
    main()
