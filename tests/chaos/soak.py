"""A running stack under a mixed load and random faults, then one question: is each NFT that was accepted there once?

    python -m tests.chaos.soak --minutes 10 --seed 7 [--only kill,network | --without kill,freeze]

Callers mint (`soak_load`), each fault strikes alone and then together with others (`soak_faults`); when it strikes is
up to the machine, what it is to the seed. Then there is peace, and chain, log, tables, a replay, the receiver of the
webhooks and the logs of all processes are asked what they know (`soak_witnesses`). Memory and file descriptors are
judged for processes that lived for a minute at least: a soak that is to find leaks leaves out `kill`.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from solders.keypair import Keypair

from contracts.mint import Cancelled, Confirmed, Pinned, Requested
from contracts.streams import MINT
from localnet.secret_files import read_secret
from tests.bench.report import Section, Table
from tests.chaos.report import RELIABILITY, document
from tests.chaos.soak_faults import DRAWN, Faults
from tests.chaos.soak_load import Load
from tests.chaos.soak_scene import LINKS, Hook, scene, soak_stack
from tests.chaos.soak_witnesses import judge_deliveries, judge_logs, replay_verdict, secret_texts, to_be_told
from tests.support import slow_disk
from tests.support.audit import Verdict, Wanted, audit, newest
from tests.support.ending import end
from tests.support.exactly_once import trees_of
from tests.support.small_disk import SmallDisk
from tests.support.stack import Asked, LiveStack, facts
from tests.support.vitals import Trend, Vitals

LONGEST: Final = 5.0
"""Seconds that a fault lasts at most, unless told otherwise."""
PATIENCE: Final = 120.0
"""Seconds after the last fault within which the receiver must have been told of everything."""


@dataclass(frozen=True)
class Report:
    """What a soak came to."""

    seed: int
    seconds: float
    settling: float
    """Seconds from the last fault to the end of the last operation, of retries too."""
    operations: int
    struck: Counter[str]
    left_out: Sequence[str]
    """Faults that this machine cannot do."""
    verdicts: list[Verdict]
    trends: list[Trend]

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled or strange."""
        return bool(self.operations) and all(verdict.clean for verdict in self.verdicts)

    def tell(self, section: Section) -> None:
        """Put it into a section."""
        kinds = Counter[str]()
        for told, times in self.struck.items():
            kinds[told.partition(":")[0]] += times
        struck = ", ".join(f"{name} {times}" for name, times in sorted(kinds.items()))
        section.say(
            f"Seed {self.seed}, {self.seconds:.0f} s with the end: {self.operations} operations under "
            f"{self.struck.total()} faults ({struck}); the last one ended {self.settling:.0f} s after the last fault."
            + (f" This machine cannot do: {', '.join(self.left_out)}." if self.left_out else "")
        )
        table = Table(("told by", "lost", "doubled", "else"))
        for each in self.verdicts:
            table.add(each.witness, str(each.lost), str(each.doubled), "; ".join(each.strange[:3]) or "nothing")
        section.show(table)
        table = Table(("process", "lives", "longest, s", "MiB, middle and last third", "MiB/h", "descriptors", "flat"))
        for each in self.trends:
            flat = {None: "too short to tell", True: "yes", False: "no"}[each.steady]
            middle, last = (value / 2**20 for value in each.memory)
            table.add(
                *(each.name, str(each.lives), f"{each.seconds:.0f}", f"{middle:.1f}, {last:.1f}"),
                *(f"{each.slope / 2**20:+.1f}", f"{each.descriptors[0]:.0f}, {each.descriptors[1]:.0f}", flat),
            )
        section.show(table)

    def text(self) -> str:
        """The same as Markdown."""
        self.tell(section := Section("Soak", ""))
        return "\n\n".join(section.parts)

    def figures(self) -> dict[str, object]:
        """The same as numbers."""
        return {
            "seed": self.seed,
            "seconds": round(self.seconds),
            "settling": round(self.settling),
            "operations": self.operations,
            "faults": dict(sorted(self.struck.items())),
            "violations": sum(each.lost + each.doubled + len(each.strange) for each in self.verdicts),
        }


async def soak(
    live: LiveStack,
    disks: dict[str, SmallDisk],
    *,
    seconds: float,
    seed: int,
    kinds: Sequence[str] = tuple(DRAWN),
    longest: float = LONGEST,
    first: int = 1,
) -> Report:
    """Load and faults for `seconds`, and until each fault of `kinds` came once, `first` at a time; then peace, and the
    witnesses.
    """
    began = time.perf_counter()
    unable = {"full disk": not disks, "slow disk": not slow_disk.allowed()}
    possible = [kind for kind in kinds if not unable.get(kind, False)]
    collection = await live.collection("v2")
    after = await live.log.last_sequence(MINT)
    async with scene(live) as around:
        load = Load(live, random.Random(seed), collection, str(Keypair().pubkey()), around.keys)
        faults = Faults(
            live=live,
            chance=random.Random(seed + 1),
            kinds=possible,
            longest=longest,
            first=first,
            links=around.links,
            clocks=around.clocks,
            disks=disks,
            pinning=around.pinning,
            receiving=around.hook.receiving,
            mint={"collection": collection["id"], "recipient": load.recipient},
        )
        # Before anything goes wrong: when the first write of a stream fails, its sequence 1 is skipped (limits.md).
        await load.ask(0)
        vitals = Vitals(live.stack.pid, live.stack.names)
        await _together(load, faults, vitals, seconds)
        calm = time.perf_counter()
        await load.retry_cancelled(after)
        settling = time.perf_counter() - calm
        verdicts = await _verdicts(live, load, after)
        verdicts += [await _told(live, around.hook, after), await replay_verdict(live)]
        verdicts += [judge_logs(live.stack.data_dir, secret_texts(live, around.secrets))]
    trends = vitals.trends()
    grown = [each.name for each in trends if each.steady is False and each.name in LINKS]
    verdicts.append(Verdict(witness="memory and descriptors", strange=[f"those of {name} grow" for name in grown]))
    left_out = [kind for kind in kinds if kind not in possible]
    took = time.perf_counter() - began
    return Report(seed, took, settling, len(load.accepted), faults.struck, left_out, verdicts, trends)


async def _together(load: Load, faults: Faults, vitals: Vitals, seconds: float) -> None:
    """Run all three for `seconds` and until each fault came once; raise what one of them ended with."""
    tasks = [asyncio.create_task(each) for each in (load.run(), faults.run(), vitals.run())]
    enough = asyncio.gather(asyncio.sleep(seconds), faults.each_came.wait())
    try:
        done, _ = await asyncio.wait([*tasks, enough], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        enough.cancel()
        await end(tasks)
    await faults.calm()
    for name in load.live.stack.names:
        await load.live.stack.wait(name)


async def _verdicts(live: LiveStack, load: Load, after: int) -> list[Verdict]:
    """Ask chain, log and tables for everything that was accepted."""
    events = await live.events(after=after)
    requests = {fact.operation: fact for fact in facts(events, Requested)}
    cancelled = frozenset(fact.operation for fact in facts(events, Cancelled))
    names = {(fact.operation, item.index): item.name for fact in facts(events, Pinned) for item in fact.items}
    copies: Counter[str] = Counter()
    for operation in requests.keys() - cancelled:
        copies.update({nft.name: nft.copies for nft in requests[operation].nfts})
    for fact in newest(facts(events, Confirmed)):
        if fact.operation in cancelled:
            copies.update(names[fact.operation, leaf.item] for leaf in fact.leaves)
    asked = Asked(
        operation=next(iter(requests)), collection=load.collection, recipient=load.recipient, names=(), after=after
    )
    wanted = Wanted(
        names=frozenset(copies),
        recipient=load.recipient,
        operations=tuple(requests),
        trees=tuple(await trees_of(live, asked)),
        wallet=str(Keypair.from_base58_string(read_secret(live.stack.plan.secrets.wallet_key)).pubkey()),
        after=after,
        copies=copies,
        cancelled=cancelled,
    )
    verdicts = await audit(live, wanted)
    return [*verdicts, Verdict(witness="the gateway's answers", lost=len(load.accepted - requests.keys()))]


async def _told(live: LiveStack, hook: Hook, after: int) -> Verdict:
    """Return how the webhook fared, once everything was told or PATIENCE is over."""
    until = time.monotonic() + PATIENCE
    while True:
        verdict = judge_deliveries(to_be_told(await live.events(after=after)), list(hook.taken))
        if not verdict.lost or time.monotonic() > until:
            return verdict
        await asyncio.sleep(1.0)


async def run(
    minutes: float, seed: int, kinds: Sequence[str], command: str, *, recorded: bool, keep: Path | None = None
) -> bool:
    """Start a stack, soak it, print the report, record it if asked; return whether it is clean.

    The logs of all processes are left in `keep`, if that is given, also after a failure.
    """
    with tempfile.TemporaryDirectory() as directory:
        try:
            async with soak_stack(Path(directory)) as (live, disks):
                report = await soak(live, disks, seconds=60 * minutes, seed=seed, kinds=kinds)
        finally:
            if keep is not None:
                shutil.copytree(Path(directory) / "logs", keep, dirs_exist_ok=True)
    section = Section("Soak", command)
    report.tell(section)
    if recorded:
        document(section, report.figures())
    return report.clean


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long load and faults last")
    parser.add_argument("--seed", type=int, default=None, help="by default another one each time, which is printed")
    parser.add_argument("--only", default=",".join(DRAWN), help="these faults, by name, comma separated")
    parser.add_argument("--without", default="", help="not these")
    parser.add_argument("--keep", type=Path, help="a folder that gets the logs of all processes")
    parser.add_argument("--document", action="store_true", help=f"write the outcome into {RELIABILITY.name}")
    arguments = parser.parse_args()
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**6)
    kinds = [kind for kind in arguments.only.split(",") if kind not in arguments.without.split(",")]
    if unknown := {*kinds, *filter(None, arguments.without.split(","))} - DRAWN.keys():
        parser.error(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(DRAWN)}")
    chosen = [
        f" --{name} '{text}'"
        for name in ("only", "without")
        if (text := getattr(arguments, name)) != parser.get_default(name)
    ]
    command = f"python -m tests.chaos.soak --minutes {arguments.minutes:g} --seed {seed}{''.join(chosen)}"
    print(command, flush=True)
    soaking = run(arguments.minutes, seed, kinds, command, recorded=arguments.document, keep=arguments.keep)
    sys.exit(0 if asyncio.run(soaking) else 1)


if __name__ == "__main__":
    main()
