"""Thousands of mints on a cluster that drops, lags and refuses, while the minter is killed again and again.

    python -m tests.bench.fault_run [--count 10000] [--trees 2] [--standard v2] [--slot-ms 400]

Starts a stack of its own in a temporary directory. While it mints, 10 % of the sends are dropped, 5 % of the reads are
answered from a bank 20 slots behind, every request is refused with HTTP 429 for a while, and the minter gets SIGKILL
every 5 seconds (later when it is not up again by then). Afterwards every leaf is counted on the chain, on the log and
in the tables. Prints a report; ends with status 1 when anything was lost or doubled, or does not fit.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

from solders.keypair import Keypair

from contracts.mint import Completed, Confirmed, Signed
from contracts.streams import MINT
from localnet.secret_files import read_secret
from localnet.supervisor import RestartPolicy
from tests.bench.report import Section
from tests.chaos.report import RELIABILITY, document
from tests.support.audit import Verdict, Wanted, attempts, audit, newest
from tests.support.exactly_once import trees_of
from tests.support.stack import URI, Asked, Json, LiveStack, facts, live_stack, stack_settings

OPERATION_ITEMS = 1000
"""Most NFTs of one request."""
LOOK = 0.5
"""Seconds between two looks at how far the minting is."""
PATIENT = RestartPolicy(deaths=10_000, longest_pause=0.2)
"""The supervisor is not to give up on what is killed on purpose."""


@dataclass(frozen=True, kw_only=True)
class FaultPlan:
    """What goes wrong. Shares from 0 to 1, times in seconds."""

    count: int
    batch_size: int = 50
    drop_send_share: float = 0.1
    lag_share: float = 0.05
    lag_slots: int = 20
    storm_at: float = 0.4
    """The part of the NFTs that are confirmed when the storm begins."""
    storm_seconds: float = 10.0
    kill_every: float = 5.0
    seed: int = 7

    @property
    def faults(self) -> Json:
        """In the names of `localnet_setFaults`."""
        return {
            "seed": self.seed,
            "dropSendShare": self.drop_send_share,
            "lagSlots": self.lag_slots,
            "lagShare": self.lag_share,
        }


@dataclass(frozen=True, kw_only=True)
class Report:
    """How it went."""

    plan: FaultPlan
    seconds: float
    kills: int
    stormy: bool
    transactions: int
    signatures: Counter[int]
    """How many transactions took how many signatures."""
    verdicts: list[Verdict]

    @property
    def clean(self) -> bool:
        """Whether nothing was lost or doubled, and every fault was there."""
        return self.kills > 0 and self.stormy and all(verdict.clean for verdict in self.verdicts)

    def figures(self) -> Json:
        """The same as numbers."""
        return {
            "count": self.plan.count,
            "seconds": round(self.seconds),
            "kills": self.kills,
            "transactions": self.transactions,
            "signatures": {str(number): count for number, count in sorted(self.signatures.items())},
            "violations": sum(each.lost + each.doubled + len(each.strange) for each in self.verdicts),
        }

    def text(self) -> str:
        """The report as Markdown."""
        plan = self.plan
        storm = f"{plan.storm_seconds:g} s of 429" if self.stormy else "a storm of 429 that never came"
        again = ", ".join(f"{count} took {number}" for number, count in sorted(self.signatures.items()))
        lines = [
            f"{plan.count} NFTs in {self.seconds:.0f} s ({plan.count / self.seconds:.1f}/s), {self.transactions} "
            f"transactions; {plan.drop_send_share:.0%} of the sends dropped, {plan.lag_share:.0%} of the reads "
            f"{plan.lag_slots} slots behind, {storm}, {self.kills} times SIGKILL for the minter. Transactions by the "
            f"signatures that they took: {again}.",
            "",
            "| told by | lost | doubled | else |",
            "| --- | --- | --- | --- |",
        ]
        lines += [
            f"| {each.witness} | {each.lost} | {each.doubled} | {'; '.join(each.strange[:3]) or 'nothing'} |"
            for each in self.verdicts
        ]
        return "\n".join(lines)


async def fault_run(live: LiveStack, collection: Json, plan: FaultPlan) -> Report:
    """Mint under faults and count what has come of it."""
    recipient = str(Keypair().pubkey())
    names = [f"Storm #{number:06}" for number in range(plan.count)]
    after = await live.log.last_sequence(MINT)
    await live.rpc("localnet_setFaults", plan.faults)
    began = time.perf_counter()
    async with killing(live, plan) as kills:
        operations = [
            await ask(live, collection["id"], recipient, names[start : start + OPERATION_ITEMS], plan.batch_size)
            for start in range(0, plan.count, OPERATION_ITEMS)
        ]
        stormy = await until_completed(live, plan, after, frozenset(operations))
    seconds = time.perf_counter() - began
    await live.rpc("localnet_setFaults", {})
    await live.stack.wait("minter")
    asked = Asked(operation=operations[0], collection=collection, recipient=recipient, names=(), after=after)
    wanted = Wanted(
        names=frozenset(names),
        recipient=recipient,
        operations=tuple(operations),
        trees=tuple(await trees_of(live, asked)),
        wallet=str(Keypair.from_base58_string(read_secret(live.stack.plan.secrets.wallet_key)).pubkey()),
        after=after,
    )
    verdicts = await audit(live, wanted)
    events = await live.events(after=after)
    return Report(
        plan=plan,
        seconds=seconds,
        kills=kills[0],
        stormy=stormy,
        transactions=len(newest(facts(events, Confirmed))),
        signatures=attempts(facts(events, Signed)),
        verdicts=verdicts,
    )


async def ask(live: LiveStack, collection: str, recipient: str, names: list[str], batch_size: int) -> UUID:
    """Ask for one operation; images are published already, metadata is pinned for every NFT."""
    nfts = [{"name": name, "image": URI} for name in names]
    accepted = await live.api.mint_batch(collection, recipient, nfts, batch_size=batch_size)
    return UUID(accepted["transactionId"])


async def until_completed(live: LiveStack, plan: FaultPlan, after: int, operations: frozenset[UUID]) -> bool:
    """Return when every operation has ended; let the storm come on the way. Returns whether it came."""
    confirmed: dict[tuple[UUID, int, int], int] = {}
    ended: set[UUID] = set()
    stormy = False
    while not operations <= ended:
        for message in await live.events(after=after):
            after = message.sequence
            if isinstance(message.data, Confirmed):
                fact = message.data
                confirmed[fact.operation, fact.chunk, fact.tx] = len(fact.leaves)
            elif isinstance(message.data, Completed):
                ended.add(message.data.operation)
        if not stormy and sum(confirmed.values()) >= plan.storm_at * plan.count:
            stormy = True
            await live.rpc("localnet_setFaults", plan.faults | {"rateLimitShare": 1.0, "retryAfterSeconds": 1})
            await asyncio.sleep(plan.storm_seconds)
            await live.rpc("localnet_setFaults", plan.faults)
        await asyncio.sleep(LOOK)
    return stormy


@asynccontextmanager
async def killing(live: LiveStack, plan: FaultPlan) -> AsyncGenerator[list[int]]:
    """Kill the minter every `kill_every` seconds; yields a list of one number, how often so far.

    One that takes longer to start is given half of that time before it is killed again, or it would never work.
    """
    kills = [0]

    async def kill() -> None:
        while True:
            await asyncio.gather(asyncio.sleep(plan.kill_every), up())
            live.stack.kill("minter")
            kills[0] += 1

    async def up() -> None:
        await live.stack.wait("minter")
        await asyncio.sleep(plan.kill_every / 2)

    task = asyncio.create_task(kill())
    try:
        yield kills
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def run(arguments: argparse.Namespace) -> bool:
    """Start a stack, run, and print the report; return whether it is clean."""
    with tempfile.TemporaryDirectory() as directory:
        settings = replace(stack_settings(Path(directory), slot_ms=arguments.slot_ms), restarts=PATIENT)
        async with live_stack(settings) as live:
            fields: Json = {"trees": arguments.trees} if arguments.trees > 1 else {}
            collection = await live.collection(arguments.standard, **fields)
            report = await fault_run(live, collection, FaultPlan(count=arguments.count, seed=arguments.seed))
            section = Section("Everything at once", arguments.command)
            section.say(report.text())
            if arguments.document:
                document(section, report.figures())
            return report.clean


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="NFTs to mint")
    parser.add_argument("--trees", type=int, default=2, help="trees that the collection begins with")
    parser.add_argument("--standard", choices=["v1", "v2"], default="v2")
    parser.add_argument("--slot-ms", type=int, default=400, help="slots of the local cluster in milliseconds")
    parser.add_argument("--seed", type=int, default=7, help="of the cluster's faults")
    parser.add_argument("--document", action="store_true", help=f"write the outcome into {RELIABILITY.name}")
    arguments = parser.parse_args()
    arguments.command = " ".join(
        ["python -m tests.bench.fault_run", *(each for each in sys.argv[1:] if each != "--document")]
    )
    sys.exit(0 if asyncio.run(run(arguments)) else 1)


if __name__ == "__main__":
    main()
