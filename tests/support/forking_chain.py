"""A chain with forks, blockhashes that expire and a mempool that loses things, and nodes that tell of it as they like.

`ForkingChain` is the truth, made of the very bytes that were sent: what they mint is read from them and told as the
programs would, inner instructions and all. A slot is never used twice, whatever a fork drops, and is no block height.
`FaultyNode` is one JSON-RPC node in front of it, below the program's own pool: it lags, errs, is over its budget, has
no history, or swallows what it is sent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bubblegum import hashing, pda
from bubblegum.borsh import Reader
from bubblegum.instructions.discriminators import DISCRIMINATOR_BYTES
from bubblegum.leaf import ChangeLogEvent, LeafSchemaEvent, LeafSchemaV2, PathNode, application_data
from bubblegum.programs import BUBBLEGUM, MPL_ACCOUNT_COMPRESSION, MPL_NOOP
from bubblegum.transaction import ExecutedInstruction, ExecutedTransaction
from bubblegum.types import MetadataArgsV2
from services.minter.adapters.solana_rpc import Answer, NodeRefused, RateLimited, SolanaRpc
from services.minter.gate import LostIntent
from services.minter.landing import Commitment, SignatureState
from services.minter.ports import (
    ChainUnavailable,
    ConfirmedTransaction,
    FinalizedHead,
    OwnedAccount,
    RecentBlockhash,
    Simulation,
)
from services.minter.refusals import TransactionError
from tests.support.weather import Weather

BLOCK_SECONDS = 0.4
VALIDITY = 30
"""Blocks for which a blockhash is good."""
FINALITY = 8
CONFIRMATION = 2
MEMORY = 40
"""Blocks for which a node knows a signature without searching its history."""
FEE = 5_000
PASSING: TransactionError = {"InstructionError": [0, {"Custom": 1}]}
FATAL: TransactionError = {"InstructionError": [1, {"Custom": 6017}]}

_OWNER, _TREE = 4, 6
"""Accounts of mint_v2."""


@dataclass(frozen=True)
class Sent:
    """A transaction as the network has it."""

    signature: str
    instructions: tuple[ExecutedInstruction, ...]
    made_on: bytes
    """The blockhash that it carries."""
    wire: bytes
    names: frozenset[Pubkey]
    """Every account that it names."""

    @property
    def mints(self) -> int:
        return sum(each.program_id == BUBBLEGUM for each in self.instructions)


@dataclass(frozen=True)
class Ran:
    """A transaction in a block, with the number of the first leaf that it wrote."""

    sent: Sent
    error: TransactionError | None
    first_leaf: int


@dataclass
class Block:
    """What ran in it, by signature."""

    hash: bytes
    slot: int
    leaves: int
    """In the tree after it."""
    ran: dict[str, Ran] = field(default_factory=dict[str, Ran])


@dataclass
class ForkingChain:
    """The blocks of the fork that counts; one tree."""

    weather: Weather
    on_send: Callable[[str], None] = lambda _: None
    """Called with each signature that any node takes."""
    blocks: list[Block] = field(default_factory=lambda: [Block(bytes(32), 0, 0)])
    sent: set[str] = field(default_factory=set[str])
    _where: dict[str, int] = field(default_factory=dict[str, int])
    _mempool: list[tuple[int, Sent]] = field(default_factory=list[tuple[int, Sent]])
    _made: int = 0
    _final: int = 0

    @property
    def height(self) -> int:
        return len(self.blocks) - 1

    @property
    def final(self) -> int:
        """The newest final height."""
        return max(0, self.height - FINALITY, self._final)

    def submit(self, wire: bytes) -> None:
        """Take a transaction, or lose it on the way."""
        sent = read(wire)
        self.sent.add(sent.signature)
        self.on_send(sent.signature)
        if not self.weather.happens("drop_send"):
            self._mempool.append((self.height + self.weather.blocks_until_landing(), sent))

    def grow(self) -> None:
        """Make a block of what is due, or have the newest blocks dropped by a fork before."""
        self._final = self.final
        if self.weather.happens("fork"):
            self._fork(self.weather.random.randint(1, FINALITY - 1))
        self._made += 1
        block = Block(hashing.keccak(self._made.to_bytes(8, "big")), 7 + 2 * self._made, self.blocks[-1].leaves)
        self.blocks.append(block)
        waiting: list[tuple[int, Sent]] = []
        for due, sent in self._mempool:
            if due > self.height:
                waiting.append((due, sent))
            elif self._takes(sent):
                self._run(block, sent)
        self._mempool = waiting

    def _takes(self, sent: Sent) -> bool:
        # Validators accept 151 blockhashes: one block more than the last valid height says.
        recent = self.blocks[max(0, self.height - VALIDITY - 1) : self.height]
        return any(each.hash == sent.made_on for each in recent) and sent.signature not in self._where

    def _run(self, block: Block, sent: Sent) -> None:
        error = PASSING if self.weather.happens("passing_error") else None
        if self.weather.happens("fatal_error"):
            error = FATAL
        block.ran[sent.signature] = Ran(sent, error, block.leaves)
        self._where[sent.signature] = self.height
        if error is None:
            block.leaves += sent.mints

    def _fork(self, depth: int) -> None:
        keep = max(self._final + 1, len(self.blocks) - depth)
        dropped = self.blocks[keep:]
        del self.blocks[keep:]
        for block in dropped:
            for ran in block.ran.values():
                del self._where[ran.sent.signature]
                if self.weather.random.random() < 0.5:
                    self._mempool.append((self.height + self.weather.blocks_until_landing(), ran.sent))

    def find(self, signature: str, up_to: int, from_height: int = 0) -> int | None:
        """Return the height at which a transaction is, as of block `up_to`."""
        height = self._where.get(signature)
        return height if height is not None and from_height <= height <= up_to else None

    def told(self, signature: str, height: int) -> ExecutedTransaction:
        """A transaction as nodes show it."""
        ran = self.blocks[height].ran[signature]
        leaf = ran.first_leaf
        shown: list[ExecutedInstruction] = []
        for each in ran.sent.instructions:
            if each.program_id == BUBBLEGUM and ran.error is None:
                shown.append(_minted(each, leaf))
                leaf += 1
            else:
                shown.append(each)
        return ExecutedTransaction(signature, self.blocks[height].slot, ran.error, tuple(shown))

    def naming(self, mark: Pubkey, up_to: int) -> list[Sent]:
        """What names `mark` and ran without an error, oldest first, as of block `up_to`."""
        ran = (ran for block in self.blocks[: up_to + 1] for ran in block.ran.values())
        return [each.sent for each in ran if each.error is None and mark in each.sent.names]

    def landed(self) -> list[ExecutedTransaction]:
        """Everything in the blocks, in order."""
        return [self.told(one, height) for height, block in enumerate(self.blocks) for one in block.ran]


def read(wire: bytes) -> Sent:
    """Read a transaction without lookup tables."""
    transaction = VersionedTransaction.from_bytes(wire)
    keys = transaction.message.account_keys
    instructions = tuple(
        ExecutedInstruction(keys[each.program_id_index], tuple(keys[i] for i in each.accounts), bytes(each.data))
        for each in transaction.message.instructions
    )
    made_on = bytes(transaction.message.recent_blockhash)
    return Sent(str(transaction.signatures[0]), instructions, made_on, wire, frozenset(keys))


def _minted(instruction: ExecutedInstruction, number: int) -> ExecutedInstruction:
    """A mint_v2 with what it called. The path's nodes above the leaf are made up: whoever decodes cannot tell."""
    tree, owner = instruction.accounts[_TREE], instruction.accounts[_OWNER]
    metadata = MetadataArgsV2.read(Reader(instruction.data, DISCRIMINATOR_BYTES))
    schema = LeafSchemaV2(
        pda.asset_id(tree, number),
        owner,
        owner,
        number,
        hashing.data_hash(metadata),
        hashing.creator_hash(metadata.creators),
        hashing.collection_hash(metadata.collection),
        hashing.asset_data_hash(None),
        0,
    )
    leaf = schema.hash()
    path = (PathNode(leaf, 2 + number), PathNode(hashing.keccak(leaf), 1))
    log = ExecutedInstruction(MPL_NOOP, (), ChangeLogEvent(tree, path, number + 1, number).to_noop_data())
    event = ExecutedInstruction(MPL_NOOP, (), application_data(LeafSchemaEvent(schema, leaf).to_bytes()))
    compressed = ExecutedInstruction(MPL_ACCOUNT_COMPRESSION, (tree,), b"", (log,))
    return ExecutedInstruction(instruction.program_id, instruction.accounts, instruction.data, (event, compressed))


class FaultyNode(SolanaRpc):
    """A node of the chain. Its lag and its moods come and go with the weather."""

    def __init__(self, chain: ForkingChain, *, forgetful: bool) -> None:
        """A `forgetful` node keeps no history, and says so."""
        self._chain = chain
        self._weather = chain.weather
        self._forgetful = forgetful

    async def _tip(self) -> int:
        """The height up to which it answers this time."""
        await self._weather.pass_time()
        if self._weather.happens("storm"):
            raise RateLimited("429", self._weather.random.choice([None, 0.5, 3.0]))
        if self._weather.happens("node_error"):
            raise ChainUnavailable("no answer")
        return max(0, self._chain.height - self._weather.lag())

    def _slot(self, height: int) -> int:
        return self._chain.blocks[min(height, self._chain.height)].slot

    async def genesis_hash(self) -> str:
        await self._tip()
        return "genesis"

    async def slot(self) -> int:
        return self._slot(await self._tip())

    async def recent_blockhash(self) -> Answer[RecentBlockhash]:
        height = max(0, await self._tip() - CONFIRMATION)
        return Answer(self._slot(height), RecentBlockhash(Hash(self._chain.blocks[height].hash), height + VALIDITY))

    async def simulate(self, transaction: VersionedTransaction) -> Answer[Simulation]:
        return Answer(self._slot(await self._tip()), Simulation(None, 50_000))

    async def send(self, wire: bytes) -> None:
        await self._tip()
        self._chain.submit(wire)
        if self._weather.happens("node_error"):
            raise NodeRefused("cut off after it was sent")

    async def finalized_head(self) -> FinalizedHead:
        final = max(0, min(await self._tip() - FINALITY, self._chain.final))
        return FinalizedHead(self._slot(final), final)

    async def history_from(self) -> int:
        tip = await self._tip()
        return max(0, tip - MEMORY) if self._forgetful else 0

    async def statuses(
        self, signatures: Sequence[str], *, search_history: bool
    ) -> Answer[Mapping[str, SignatureState]]:
        tip = await self._tip()
        since = 0 if search_history and not self._forgetful else tip - MEMORY
        found: dict[str, SignatureState] = {}
        for signature in signatures:
            height = self._chain.find(signature, tip, since)
            if height is not None:
                error = self._chain.blocks[height].ran[signature].error
                found[signature] = SignatureState(self._slot(height), self._commitment(height, tip), error)
        return Answer(self._slot(tip), found)

    def _commitment(self, height: int, tip: int) -> Commitment:
        if height <= tip - FINALITY:
            return Commitment.FINALIZED
        return Commitment.CONFIRMED if height <= tip - CONFIRMATION else Commitment.PROCESSED

    async def transaction(self, signature: str) -> ConfirmedTransaction | None:
        tip = await self._tip()
        height = self._chain.find(signature, tip - CONFIRMATION)
        return None if height is None else ConfirmedTransaction(self._chain.told(signature, height), FEE)

    async def landed(self, mark: Pubkey, at_least: int) -> Sequence[LostIntent]:
        """See `services.minter.gate.Trail`: getSignaturesForAddress at `confirmed`, with minContextSlot."""
        tip = await self._tip()
        if self._slot(tip) < at_least:
            raise ChainUnavailable("minimum context slot has not been reached")
        return [LostIntent(each.signature, each.wire) for each in self._chain.naming(mark, tip - CONFIRMATION)]

    async def minimum_rent(self, size: int) -> int:
        await self._tip()
        return size

    async def accounts(self, addresses: Sequence[str]) -> Answer[tuple[OwnedAccount | None, ...]]:
        """No account is shown: the log says how large the tree is, and the simulation what it takes."""
        return Answer(self._slot(await self._tip()), (None,) * len(addresses))
