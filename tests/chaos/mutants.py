"""Known bugs, planted one at a time into the program that the schedules run: the schedules have to notice every one.

Each is a part of the program with the bug in it, made by overriding or patching the one place that matters.

    python -m tests.chaos.mutants [--document]     # which seed notices which bug, and by what
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, cast
from unittest.mock import patch

from chassis.log import Message, RetryLater
from contracts.mint import Attempt, Confirmed, Pinned
from services.indexer.entries import Entry
from services.indexer.ports import Committed, Fenced
from services.minter import lander
from services.minter.drafting import Draft, Drafter, Work
from services.minter.gate import Gate, Passage
from services.minter.landing import ChainView, Sign, Step, next_step
from services.minter.minting import FINALITY_DELAY, Minting
from services.minter.ports import Chain, Look
from services.minter.refusals import Refusal
from tests.bench.report import Section, Table
from tests.chaos.report import RELIABILITY, document
from tests.chaos.schedules import quiet, schedule
from tests.support.scheduled_wires import FaultyTables
from tests.support.scheduled_world import Program

PATIENCE: Final = 2.0
ENOUGH: Final = 150
"""Schedules within which a planted bug has to be noticed."""
Mutant = Callable[[], AbstractContextManager[Program]]


class SendingDrafter(Drafter):
    """Sends what it has signed, before anybody can say so on the log."""

    async def draft(self, work: Work, *, first: bool) -> Draft | Refusal:
        drafted = await super().draft(work, first=first)
        if isinstance(drafted, Draft):
            await self._chain.send(bytes(drafted.transaction))
        return drafted


@contextmanager
def send_before_intend() -> Generator[Program]:
    """The transaction is sent first and recorded after."""
    with patch.object(lander, "Drafter", SendingDrafter):
        yield Program()


def impatient(attempts: Sequence[Attempt], view: ChainView | None, since_send: float | None) -> Step:
    """Signs again what is not seen two seconds after it was sent."""
    step = next_step(attempts, view, since_send)
    overdue = since_send is not None and since_send >= PATIENCE
    return Sign(attempts[-1].number + 1) if attempts and view and not view.states and overdue else step


@contextmanager
def sign_again_without_proof() -> Generator[Program]:
    """A second signature while the first can still land."""
    with patch.object(lander, "next_step", impatient):
        yield Program()


class RecentOnly:
    """A chain that is never asked for its history."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)

    async def look(self, signatures: Sequence[str], *, search_history: bool) -> Look:
        return await self._chain.look(signatures, search_history=False)


@contextmanager
def history_search_off() -> Generator[Program]:
    """A status looked up among recent ones only, and read as "never landed"."""
    yield Program(chain=lambda chain: cast("Chain", RecentOnly(chain)))


class Eager(Minting):
    """Has its message acknowledged, and then begins."""

    async def on_pinned(self, message: Message[Pinned]) -> None:
        task = asyncio.create_task(super().on_pinned(message))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())


@contextmanager
def acknowledge_before_publish() -> Generator[Program]:
    """The message is acknowledged before what follows from it is on the log."""
    yield Program(minting=Eager)


class Trusting(Minting):
    """Waits for as long as its wall clock says, right or wrong."""

    async def on_confirmed(self, message: Message[Confirmed]) -> None:
        age = (self._clock.now() - message.stored_at).total_seconds()
        if age < FINALITY_DELAY:
            raise RetryLater("not final yet", after=FINALITY_DELAY - age)
        await super().on_confirmed(message)


@contextmanager
def wait_by_a_wrong_clock() -> Generator[Program]:
    """A pause that is as long as a clock was wrong."""
    yield Program(minting=Trusting)


class LooseWatermark(FaultyTables):
    """Commits the watermark in a transaction of its own, before the rows."""

    async def apply(self, stream: str, after: int, entries: Sequence[Entry]) -> Committed:
        if self.watermarks[stream] != after:
            raise Fenced(stream)
        self.watermarks[stream] = entries[-1].raw.sequence
        await self.fail_before()
        self.watermarks[stream] = after
        return await super().apply(stream, after, entries)


@contextmanager
def watermark_outside_the_transaction() -> Generator[Program]:
    """Rows and watermark are not committed together."""
    yield Program(tables=LooseWatermark)


class Credulous(Gate):
    """Open, whatever the log has lost."""

    @property
    def passage(self) -> Passage | None:
        return Passage(0, None)

    async def run(self) -> None:
        await self._clock.sleep(1e9)


@contextmanager
def sign_before_the_log_is_verified() -> Generator[Program]:
    """A minter that was cut off goes on with what it knows."""
    yield Program(gate=Credulous)


MUTANTS: Final[Mapping[str, Mutant]] = {
    "send before intend": send_before_intend,
    "sign again without proof of expiry": sign_again_without_proof,
    "history search off": history_search_off,
    "acknowledge before publish": acknowledge_before_publish,
    "wait by a wrong clock": wait_by_a_wrong_clock,
    "watermark outside the transaction": watermark_outside_the_transaction,
    "sign before the log is verified": sign_before_the_log_is_verified,
}


def noticed(mutant: Mutant) -> tuple[int, str] | None:
    """Return the first seed from 1 on whose schedule breaks an invariant with the bug in it, and which one."""
    with mutant() as program:
        for seed in range(1, ENOUGH + 1):
            if found := schedule(seed, program):
                return seed, found[0]
    return None


def main() -> None:
    """Plant each bug and tell what notices it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--document", action="store_true", help=f"write the outcome into {RELIABILITY.name}")
    recorded: bool = parser.parse_args().document
    quiet()
    section, table = (
        Section("Planted bugs", "python -m tests.chaos.mutants"),
        Table(("bug", "first seed", "noticed by")),
    )
    outcomes = {name: noticed(mutant) for name, mutant in MUTANTS.items()}
    for name, outcome in outcomes.items():
        seed, what = outcome or ("none", "nothing")
        table.add(name, str(seed), what.split(":")[0])
    section.show(table)
    if recorded:
        document(section, {name: outcome[0] if outcome else None for name, outcome in outcomes.items()})
    sys.exit(0 if all(outcomes.values()) else 1)


if __name__ == "__main__":
    main()
