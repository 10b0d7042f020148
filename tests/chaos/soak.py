"""A running stack under a mixed load and random faults, then one question: is each NFT that was accepted there once?

    python -m tests.chaos.soak --minutes 10 --seed 7

Asks for single mints, copies and batches, repeats requests with their keys, cancels some and retries what was
cancelled, while every process is killed and frozen, every connection between a service and NATS, Postgres or the
cluster's RPC is cut, held up or slowed down, and the cluster forks, drops, lags and answers 429: alone and together, in
the order that the seed has it; when it strikes is up to the machine. Then chain, log and tables are audited.
"""

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx
from solders.keypair import Keypair

from contracts.mint import Cancelled, Confirmed, Pinned, Requested
from contracts.streams import MINT
from localnet.secret_files import read_secret
from tests.bench.fault_run import PATIENT
from tests.bench.report import Section
from tests.chaos.schedules import RELIABILITY
from tests.support.audit import Verdict, Wanted, audit, newest
from tests.support.ending import end
from tests.support.exactly_once import trees_of
from tests.support.fault_proxy import FaultProxy, fault_proxy
from tests.support.stack import URI, Asked, Json, LiveStack, facts, live_stack, stack_settings

LINKS = {
    "gateway": ("NATS_URL", "DATABASE_URL", "RPC_URL"),
    "ipfs": ("NATS_URL",),
    "minter": ("NATS_URL", "RPC_URL"),
    "indexer": ("NATS_URL", "DATABASE_URL", "RPC_URL"),
    "notifier": ("NATS_URL",),
}
"""What each service needs, by the variable that says where it is."""
SHORTEST, LONGEST = 0.5, 5.0
"""Seconds that a fault lasts."""
TOGETHER = 3
"""Most faults at the same time."""

Act = Callable[[], Awaitable[None]]


@dataclass
class Soak:
    """A stack, the proxies of its services, and what is known of the load so far."""

    live: LiveStack
    chance: random.Random
    """Draws the load."""
    weather: random.Random
    """Draws the faults."""
    collection: Json
    recipient: str
    links: dict[tuple[str, str], FaultProxy]
    accepted: set[UUID] = field(default_factory=set[UUID])
    """Operations that the gateway has answered for; there may be one more, whose answer nobody waited for."""
    struck: Counter[str] = field(default_factory=Counter[str])

    # The load ----------------------------------------------------------------------------------------------------

    async def load(self) -> None:
        """Ask for one thing after another."""
        number = 0
        while True:
            number += 1
            await self._ask(number)
            await asyncio.sleep(self.chance.uniform(0.1, 0.8))

    async def _ask(self, number: int) -> None:
        base = {"collectionId": self.collection["id"], "recipient": self.recipient}
        if self.chance.random() < 0.4:
            nft = {"name": f"Single {number}", "image": URI}
            path, body = "/api/mint/single", base | {"metadata": nft, "copies": self.chance.randint(1, 4)}
        else:
            nfts = [{"name": f"Batch {number}.{each}", "image": URI} for each in range(self.chance.randint(1, 12))]
            path, body = "/api/mint/batch", base | {"nfts": nfts, "batchSize": self.chance.randint(1, 6)}
        headers = {"Idempotency-Key": f"soak-{self.recipient}-{number}"}
        operation = UUID((await self._insist("POST", path, json=body, headers=headers))["data"]["transactionId"])
        if self.chance.random() < 0.3:  # the answer may have been lost
            again = await self._insist("POST", path, json=body, headers=headers)
            assert UUID(again["data"]["transactionId"]) == operation
        self.accepted.add(operation)
        if self.chance.random() < 0.2:
            await self._insist("DELETE", f"/api/mint/cancel/{operation}", enough=(409,))

    async def _insist(self, method: str, path: str, *, enough: tuple[int, ...] = (), **request: object) -> Json:
        """Ask until it is answered, as a caller does; an answer of `enough` counts as one too."""
        while True:
            try:
                answer = await self.live.http.request(method, path, **request)  # pyright: ignore[reportArgumentType]
            except httpx.HTTPError:  # retry: the gateway is away, or the way to it
                answer = None
            if answer is not None and (answer.status_code == 200 or answer.status_code in enough):
                return answer.json()
            assert answer is None or answer.status_code in (429, 500, 502, 503, 504), answer.text
            await asyncio.sleep(0.3)

    async def retry_cancelled(self, after: int) -> None:
        """Wait for every end; ask anew for what cancelled operations left out, of half of them, and wait again."""
        await self._all_settled(after)
        cancelled = {fact.operation for fact in facts(await self.live.events(after=after), Cancelled)}
        for operation in sorted(cancelled & self.accepted):
            if self.chance.random() < 0.5:
                answer = await self._insist("POST", f"/api/mint/retry/{operation}", enough=(404, 409))
                if answer.get("success"):
                    self.accepted.add(UUID(answer["data"]["transactionId"]))
        await self._all_settled(after)

    async def _all_settled(self, after: int) -> None:
        for request in facts(await self.live.events(after=after), Requested):
            await self.live.settled(request.operation)

    # The faults --------------------------------------------------------------------------------------------------

    async def faults(self) -> None:
        """Let faults strike, up to TOGETHER at a time, until cancelled; what was done is undone."""
        while True:
            acts = [self._drawn() for _ in range(self.weather.randint(1, TOGETHER))]
            await asyncio.gather(*(act() for act in acts))
            await asyncio.sleep(self.weather.uniform(0.0, 2.0))

    def _drawn(self) -> Act:
        kind = self.weather.choice(["kill", "freeze", "network", "network", "cluster"])
        name = self.weather.choice(self.live.stack.names)
        link = self.weather.choice(sorted(self.links))
        mode = self.weather.choice(["cut", "hang", "slow"])
        seconds = self.weather.uniform(SHORTEST, LONGEST)
        seed = self.weather.randrange(2**31)
        told = {"kill": name, "freeze": name, "network": f"{link[0]} {link[1]} {mode}", "cluster": "faults"}[kind]
        self.struck[f"{kind} {told}"] += 1
        match kind:
            case "kill":
                return lambda: self._kill(name)
            case "freeze":
                return lambda: self._freeze(name, seconds)
            case "network":
                return lambda: self._disturb(self.links[link], mode, seconds)
            case _:
                return lambda: self._cluster(seed, seconds)

    async def _kill(self, name: str) -> None:
        self.live.stack.kill(name)
        await self.live.stack.wait(name)

    async def _freeze(self, name: str, seconds: float) -> None:
        self.live.stack.kill(name, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.live.stack.kill(name, signal.SIGCONT)

    async def _disturb(self, proxy: FaultProxy, mode: str, seconds: float) -> None:
        match mode:
            case "cut":
                proxy.cut()
            case "hang":
                proxy.hang()
            case _:
                proxy.slow(0.2)
        try:
            await asyncio.sleep(seconds)
        finally:
            proxy.heal()

    async def _cluster(self, seed: int, seconds: float) -> None:
        chance = random.Random(seed)
        every = {
            "dropSendShare": 0.5,
            "sendErrorShare": 0.3,
            "rateLimitShare": 0.5,
            "errorShare": 0.3,
            "delayMs": 500,
            "lagSlots": 20,
            "skipSlotShare": 0.3,
            "forkShare": 0.05,
        }
        drawn = {name: worst for name, worst in every.items() if chance.random() < 0.4}
        await self.cluster_faults(**drawn, seed=seed)
        try:
            await asyncio.sleep(seconds)
        finally:
            await self.cluster_faults()

    async def cluster_faults(self, **drawn: float) -> None:
        """Put faults in force, however often the cluster is away meanwhile."""
        while True:
            try:
                await self.live.faults(**drawn)
            except (httpx.HTTPError, AssertionError):  # retry: it is dead or frozen
                await asyncio.sleep(0.2)
            else:
                return

    # The end -----------------------------------------------------------------------------------------------------

    async def verdicts(self, after: int) -> list[Verdict]:
        """Audit everything that was accepted."""
        events = await self.live.events(after=after)
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
            operation=next(iter(requests)), collection=self.collection, recipient=self.recipient, names=(), after=after
        )
        secrets = self.live.stack.plan.secrets
        wanted = Wanted(
            names=frozenset(copies),
            recipient=self.recipient,
            operations=tuple(requests),
            trees=tuple(await trees_of(self.live, asked)),
            wallet=str(Keypair.from_base58_string(read_secret(secrets.wallet_key)).pubkey()),
            after=after,
            copies=copies,
            cancelled=cancelled,
        )
        verdicts = await audit(self.live, wanted)
        verdicts += [Verdict(witness="the gateway's answers", lost=len(self.accepted - requests.keys()))]
        return verdicts


@dataclass(frozen=True)
class Report:
    """What a soak came to."""

    seed: int
    seconds: float
    operations: int
    struck: Counter[str]
    verdicts: list[Verdict]

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled or strange."""
        return bool(self.operations) and all(verdict.clean for verdict in self.verdicts)

    def text(self) -> str:
        """The report as Markdown."""
        lines = [
            f"Seed {self.seed}, {self.seconds:.0f} s with the end: {self.operations} operations under "
            f"{self.struck.total()} faults ({', '.join(f'{name} {n}' for name, n in sorted(self.struck.items()))}).",
            "",
            "| told by | lost | doubled | else |",
            "| --- | --- | --- | --- |",
        ]
        lines += [
            f"| {each.witness} | {each.lost} | {each.doubled} | {'; '.join(each.strange[:3]) or 'nothing'} |"
            for each in self.verdicts
        ]
        return "\n".join(lines)


@asynccontextmanager
async def proxied(live: LiveStack) -> AsyncGenerator[dict[tuple[str, str], FaultProxy]]:
    """Put a proxy into every way that a service has, and start the services anew behind them."""
    urls = {"NATS_URL": live.stack.nats_url, "RPC_URL": live.stack.rpc_url, "DATABASE_URL": live.stack.database_url}
    async with AsyncExitStack() as resources:
        links: dict[tuple[str, str], FaultProxy] = {}
        for service, variables in LINKS.items():
            own = urls | ({"DATABASE_URL": live.stack.reader_database_url} if service == "gateway" else {})
            moved: dict[str, str] = {}
            for variable in variables:
                port = urlsplit(own[variable]).port
                assert port is not None
                links[service, variable] = proxy = await resources.enter_async_context(fault_proxy(port))
                moved[variable] = own[variable].replace(f":{port}", f":{proxy.port}")
            live.stack.reconfigure(service, **moved)
            live.stack.kill(service)
            await live.stack.wait(service)
        yield links


async def soak(live: LiveStack, *, seconds: float, seed: int) -> Report:
    """Load and faults for `seconds`, then peace, and the audit."""
    began = time.perf_counter()
    collection = await live.collection("v2")
    after = await live.log.last_sequence(MINT)
    async with proxied(live) as links:
        run = Soak(live, random.Random(seed), random.Random(seed + 1), collection, str(Keypair().pubkey()), links)
        tasks = [asyncio.create_task(run.load()), asyncio.create_task(run.faults())]
        try:
            done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await end(tasks)
        for proxy in links.values():
            proxy.heal()
        await run.cluster_faults()
        for name in live.stack.names:
            await live.stack.wait(name)
        await run.retry_cancelled(after)
        verdicts = await run.verdicts(after)
    return Report(seed, time.perf_counter() - began, len(run.accepted), run.struck, verdicts)


async def run(minutes: float, seed: int, *, document: bool) -> bool:
    """Start a stack, soak it, print the report, put it into the document if asked; return whether it is clean."""
    with tempfile.TemporaryDirectory() as directory:
        settings = replace(stack_settings(Path(directory), slot_ms=100), restarts=PATIENT)
        async with live_stack(settings) as live:
            report = await soak(live, seconds=60 * minutes, seed=seed)
    section = Section("Soak", f"python -m tests.chaos.soak --minutes {minutes:g} --seed {seed}")
    section.say(report.text())
    if document:
        section.write(RELIABILITY)
    return report.clean


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long load and faults last")
    parser.add_argument("--seed", type=int, default=None, help="by default another one each time, which is printed")
    parser.add_argument("--document", action="store_true", help=f"write the outcome into {RELIABILITY.name}")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    sys.exit(0 if asyncio.run(run(arguments.minutes, seed, document=arguments.document)) else 1)


if __name__ == "__main__":
    main()
