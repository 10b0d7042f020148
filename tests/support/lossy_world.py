"""Minters at work on one chunk in memory, and a log that loses its last messages while they are; driven by one seed.

The program's own minting, lander, planner, relearner and what the gate looks for on chain. Not the program's: when the
gate opens (it does as soon as nothing that was lost can land), and the indexer, which has no copy of what is lost.
"""

import asyncio
import base64
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import cast

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from bubblegum.reference import reference
from chassis.clock import SystemClock
from chassis.log import InvalidEvent, RetryLater
from contracts.collection import Standard
from contracts.fact import Event, Fact
from contracts.mint import Pinned, Signed, transaction_label
from contracts.streams import MINT
from services.minter.gate import Gate, Horizon, LostIntent, Passage, is_settled
from services.minter.lander import Lander
from services.minter.minting import Minting
from services.minter.packing import LAST_LEAVES, Rooms
from services.minter.ports import ChainUnavailable, ConfirmedTransaction, RecentBlockhash, Simulation
from services.minter.relearning import Leaf, Relearner
from services.minter.signer import Signer
from services.minter.trees import CollectionTrees
from services.minter.watcher import SignatureWatcher
from tests.support import samples
from tests.support.ending import end
from tests.support.memory_log import MemoryLog
from tests.support.packing import RECIPIENT, created, item, pinned, room
from tests.support.toy_chain import BLOCK_SECONDS, MAX_BLOCKS, VALIDITY, ToyChain

ITEMS = 8
WALLET = Keypair.from_seed(bytes(32))
A_PERSON = 60.0
"""Seconds from which on a retry waits for somebody to look."""
TURNS_A_BLOCK = 25
"""Turns of the event loop in which a block is made."""
LONGEST_WAY = 40
"""Most turns that a message or an answer takes."""


class LossyLog(MemoryLog):
    """A log whose tail can be cut; publishes take a while to arrive. Remembers whatever was ever signed."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self.signed: dict[str, Signed] = {}
        self._random = random

    async def publish(
        self,
        fact: Fact,
        *,
        cause: Event[Fact] | None,
        expected_sequence: int | None = None,
        fence: str | None = None,
    ) -> int:
        """See `MemoryLog.publish`."""
        await turns(self._random.randrange(LONGEST_WAY))
        if isinstance(fact, Signed):
            self.signed[fact.attempt.signature] = fact
        return await super().publish(fact, cause=cause, expected_sequence=expected_sequence, fence=fence)


class SlowChain(ToyChain):
    """Answers take a while, sends are lost now and then; no transaction is shown, so that chunks come again."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random

    async def recent_blockhash(self) -> RecentBlockhash:
        """See `Chain.recent_blockhash`."""
        await turns(self._random.randrange(LONGEST_WAY))
        return await super().recent_blockhash()

    async def simulate(self, transaction: object) -> Simulation:
        """See `Chain.simulate`."""
        await turns(self._random.randrange(LONGEST_WAY))
        return Simulation(None, 50_000)

    async def send(self, wire: bytes) -> None:
        """See `Chain.send`."""
        await turns(self._random.randrange(LONGEST_WAY))
        if self._random.random() < 0.7:
            await super().send(wire)

    async def transaction(self, signature: str) -> ConfirmedTransaction | None:
        """See `Chain.transaction`."""
        raise ChainUnavailable("not shown")


class BlockClock(SystemClock):
    """A clock whose sleepers sleep until the next block."""

    def __init__(self, chain: ToyChain) -> None:
        self._chain = chain

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._chain.height * BLOCK_SECONDS

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        height = self._chain.height
        while self._chain.height == height:  # noqa: ASYNC110  (turns of the loop are the time here)
            await asyncio.sleep(0)


class ScriptedGate(Gate):
    """Closes at a loss, and opens when nothing that was lost can land; what is found on chain is the program's part."""

    def __init__(self, log: LossyLog, chain: ToyChain) -> None:
        self._trail = self
        self._signed = log.signed
        self._toy = chain
        self._passed: Passage | None = Passage(0, None)
        self._height = 0
        self._losses = 0

    @property
    def passage(self) -> Passage | None:
        """See `Gate.passage`."""
        finalized = max(0, len(self._toy.blocks) - 5)
        if self._passed is None and is_settled(finalized, self._height):
            self._passed = Passage(self._losses, Horizon(self._height, finalized))
        return self._passed

    async def admit(self) -> Passage:
        """See `Gate.admit`."""
        if (passage := self.passage) is None:
            raise RetryLater("closed", after=1.0)
        return passage

    async def landed(self, label: "str | Pubkey", horizon: "Horizon | int") -> Sequence[LostIntent]:
        """See `Gate.landed` and `Trail.landed`."""
        mark = label if isinstance(label, Pubkey) else reference(label)
        found = [self._signed[signature] for signature in self._toy.landed]
        return [
            LostIntent(each.attempt.signature, base64.b64decode(each.transaction))
            for each in found
            if reference(transaction_label(each.operation, each.chunk, each.tx)) == mark
        ]

    def close(self) -> None:
        """The connection was lost, and the log's tail with it."""
        self._passed, self._losses = None, self._losses + 1
        self._height = self._toy.height + VALIDITY + 1


class ToyRelearner(Relearner):
    """Reads the leaves of a landed transaction from what was signed."""

    async def _leaves(self, signature: str) -> list[Leaf]:
        log = cast("LossyLog", self._log)
        signed, chunk = log.signed[signature], log.facts(Pinned)[0]
        items = {each.index: each for each in chunk.items}
        return [Leaf(signed.tree, str(RECIPIENT), items[i].name, items[i].uri) for i in signed.items]


class ShrinkingRooms:
    """Trees with so few leaves that the next plan is another one."""

    def __init__(self, random: Random) -> None:
        free = random.choice([ITEMS, ITEMS // 2, 3 * ITEMS])
        trees = range(random.choice([1, 2]))
        self._rooms = Rooms([room(Standard.V2, n, tabled=False, capacity=LAST_LEAVES + free) for n in trees])

    async def rooms(self, collection: object) -> Rooms:
        """See `CollectionTrees.rooms`."""
        return self._rooms


async def turns(count: int) -> None:
    """Let the others have so many turns."""
    for _ in range(count):
        await asyncio.sleep(0)


class LossyWorld:
    """Two minters on one chunk."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.log, self.chain = LossyLog(self.random), SlowChain(self.random)
        self.gate = ScriptedGate(self.log, self.chain)
        self.losses = 0
        self.stopped: str | None = None
        """Why a person has to look, if one has to."""
        self._watchers: list[SignatureWatcher] = []
        self._mintings = [self._minter() for _ in range(2)]

    def _minter(self) -> Minting:
        clock = BlockClock(self.chain)
        watcher = SignatureWatcher(self.chain, clock, BLOCK_SECONDS)
        self._watchers.append(watcher)
        lander = Lander(self.chain, Signer(WALLET), watcher, clock, max_in_flight=2 * ITEMS, gate=self.gate)
        trees = cast("CollectionTrees", ShrinkingRooms(self.random))
        relearner = ToyRelearner(self.log, self.gate, self.chain)
        return Minting(self.log, self.chain, lander, watcher, WALLET.pubkey(), clock, trees, relearner=relearner)

    async def live(self) -> Counter[int]:
        """Mint the chunk through all its losses, or until a person has to look; return how often each item is on chain.

        Raises AssertionError when it leads nowhere.
        """
        chunk = pinned([item(index, f"Item #{index}") for index in range(ITEMS)])
        for fact in (samples.REQUESTED, created(Standard.V2), chunk):
            await self.log.publish(fact, cause=None)
        work = [self._deliver(minting) for minting in [*self._mintings, *self._mintings]]
        tasks = [asyncio.ensure_future(each) for each in (*(w.run() for w in self._watchers), *work)]
        losing = asyncio.ensure_future(self._lose())
        try:
            while (len(self.minted()) < ITEMS or not losing.done()) and not self._has_stopped():
                for task in (*tasks, losing):
                    if task.done():
                        task.result()  # raises what ended it
                await turns(TURNS_A_BLOCK)
                self.chain.pass_blocks(1)
        finally:
            await end([*tasks, losing])
        self.chain.pass_blocks(2 * VALIDITY)
        return self.minted()

    async def _deliver(self, minting: Minting) -> None:
        (message,) = self.log.messages(Pinned)
        while True:
            try:
                await minting.on_pinned(message)
            except RetryLater as error:
                if error.after >= A_PERSON:
                    self.stopped = error.reason
                await turns(self.random.randrange(LONGEST_WAY))
            except InvalidEvent as error:
                self.stopped = error.reason
                return

    def _has_stopped(self) -> bool:
        return self.stopped is not None and self.chain.height > MAX_BLOCKS // 2

    async def _lose(self) -> None:
        kept = len(self.log.streams[MINT.name])
        for _ in range(self.random.randrange(1, 4)):
            await turns(self.random.randrange(600))
            messages = self.log.streams[MINT.name]
            self.losses += len(messages) - (last := self.random.randrange(kept, len(messages) + 1))
            del messages[last:]
            self.gate.close()
            while self.gate.passage is None:  # noqa: ASYNC110  (turns of the loop are the time here)
                await asyncio.sleep(0)

    def minted(self) -> Counter[int]:
        """How often each item is on chain."""
        return Counter(index for signature in self.chain.landed for index in self.log.signed[signature].items)
