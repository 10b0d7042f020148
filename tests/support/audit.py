"""What a run minted, told three times over: by the chain's own transactions, by the log, by the tables.

Used by the fault run and the soak. The chain is read as a stranger would: every transaction that the wallet ever paid
for, each leaf decoded from it, and the leaves held to the roots in the tree accounts, so that none is missing and none
is left over.
NFTs are told apart by their names, of which each is asked for once unless `copies` says otherwise.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from bubblegum.changes import Minted
from bubblegum.decode import decode
from bubblegum.merkle import MerkleTree
from contracts.mint import Completed, Confirmed, Pinned, Signed
from contracts.streams import MINT
from services.minter.adapters.solana_rpc import SolanaRpc
from tests.support.stack import LiveStack, eventually, facts

PAGE = 1000
PARALLEL = 16


@dataclass(frozen=True, slots=True)
class Leaf:
    """One NFT: what it is called, its asset id, whose it is."""

    name: str
    asset: str
    owner: str


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What there should be."""

    names: frozenset[str]
    recipient: str
    operations: tuple[UUID, ...]
    trees: tuple[str, ...]
    wallet: str
    after: int
    """MINT's last sequence before the first request."""
    copies: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many there should be of a name; one of those that are not in it."""
    cancelled: frozenset[UUID] = frozenset()
    """Operations that may end with less than they were asked for."""


@dataclass(kw_only=True)
class Verdict:
    """What one witness tells."""

    witness: str
    lost: int = 0
    doubled: int = 0
    strange: list[str] = field(default_factory=list[str])
    """Whatever else does not fit, in sentences."""

    @property
    def clean(self) -> bool:
        """Whether each NFT is there exactly once and everything fits."""
        return not (self.lost or self.doubled or self.strange)


def judge(witness: str, wanted: Wanted, leaves: Sequence[Leaf]) -> Verdict:
    """Compare what a witness tells with what there should be. Pure."""
    times = Counter(leaf.name for leaf in leaves)
    strange = [f"nobody asked for {name!r}" for name in sorted(times.keys() - wanted.names)]
    strange += [f"{leaf.name!r} belongs to {leaf.owner}" for leaf in leaves if leaf.owner != wanted.recipient]
    assets = Counter(leaf.asset for leaf in leaves)
    strange += [f"asset {asset} is told {count} times" for asset, count in assets.items() if count > 1]
    asked = Counter({name: wanted.copies.get(name, 1) for name in wanted.names})
    return Verdict(
        witness=witness,
        lost=(asked - times).total(),
        doubled=(Counter({name: times[name] for name in asked}) - asked).total(),
        strange=strange,
    )


async def audit(live: LiveStack, wanted: Wanted) -> list[Verdict]:
    """Ask chain, log and tables, once everything that is confirmed is final."""
    events = await live.events(after=wanted.after)
    confirmed = newest(facts(events, Confirmed))
    await settled_on_chain(live, max((fact.slot for fact in confirmed), default=0))
    chain, verdict = await from_chain(live, wanted)
    log = from_log(wanted, facts(events, Pinned), confirmed)
    verdicts = [verdict, judge("log", wanted, log), judge("tables", wanted, await from_tables(live, wanted))]
    if sorted(chain, key=_by_name) != sorted(log, key=_by_name):
        verdicts[1].strange.append("log and chain do not tell of the same leaves")
    ends = [fact for fact in facts(events, Completed) if fact.operation in wanted.operations]
    if Counter(fact.operation for fact in ends) != Counter(wanted.operations):
        verdicts[1].strange.append(f"{len(ends)} ends of {len(wanted.operations)} operations")
    if any(fact.minted != fact.total for fact in ends if fact.operation not in wanted.cancelled):
        verdicts[1].strange.append("an operation ended with less than it was asked for")
    verdicts[1].strange += [f"given up: {letter.subject}" for letter in await live.dead_letters()]
    return verdicts


def newest(confirmed: Iterable[Confirmed]) -> list[Confirmed]:
    """Return each transaction's newest confirmation."""
    return list({(fact.operation, fact.chunk, fact.tx): fact for fact in confirmed}.values())


def attempts(signed: Iterable[Signed]) -> Counter[int]:
    """Return how many transactions took how many signatures."""
    last = {(fact.operation, fact.chunk, fact.tx): fact.attempt.number for fact in signed}
    return Counter(last.values())


async def settled_on_chain(live: LiveStack, slot: int) -> None:
    """Return when the block of `slot` is final."""

    async def final() -> bool:
        return await live.rpc("getSlot", {"commitment": "finalized"}) >= slot

    await eventually(final, f"slot {slot} is final")


# The chain -----------------------------------------------------------------------------------------------------------


async def from_chain(live: LiveStack, wanted: Wanted) -> tuple[list[Leaf], Verdict]:
    """Return every leaf that the wallet's transactions minted into the trees, and whether the trees hold just these."""
    minted = [change for change in await mints(live, wanted.wallet) if str(change.tree) in wanted.trees]
    leaves = [Leaf(change.metadata.name, str(change.asset_id), str(change.owner)) for change in minted]
    verdict = judge("chain", wanted, leaves)
    if not all(change.metadata_matches for change in minted):
        verdict.strange.append("a leaf does not hold the metadata of its transaction")
    by_tree: dict[str, dict[int, bytes]] = {tree: {} for tree in wanted.trees}
    for change in minted:
        by_tree[str(change.tree)][change.leaf_index] = change.leaf.leaf_hash
    for tree, hashes in by_tree.items():
        account = await live.chain.tree(tree)
        if account.root != root_of(account.max_depth, hashes):
            verdict.strange.append(f"tree {tree} does not hold just the {len(hashes)} leaves of these transactions")
        if (counted := await live.chain.minted(tree)) != len(hashes):
            verdict.strange.append(f"tree {tree} counts {counted} leaves, there are {len(hashes)} transactions' leaves")
    return leaves, verdict


def root_of(depth: int, hashes: Mapping[int, bytes]) -> bytes | None:
    """Return the root of a tree with these leaves from index 0 on; None when there is a gap. Pure."""
    if sorted(hashes) != list(range(len(hashes))):
        return None
    tree = MerkleTree(depth)
    for index in range(len(hashes)):
        tree.append(hashes[index])
    return tree.root


async def mints(live: LiveStack, wallet: str) -> list[Minted]:
    """Return every mint of every finalized transaction of `wallet`, decoded from the transactions themselves."""
    signatures = await signatures_of(live, wallet)
    slots = asyncio.Semaphore(PARALLEL)
    async with SolanaRpc.connect(live.stack.rpc_url, 60.0) as rpc:

        async def read(signature: str) -> list[Minted]:
            async with slots:
                found = await rpc.transaction(signature)
            assert found is not None, f"{signature} is listed and not shown"
            return [change for change in decode(found.executed) if isinstance(change, Minted)]

        return [change for each in await asyncio.gather(*map(read, signatures)) for change in each]


async def signatures_of(live: LiveStack, wallet: str) -> list[str]:
    """Return the signatures of every finalized transaction that names `wallet` and did not fail."""
    found: list[str] = []
    before: dict[str, str] = {}
    while True:
        options = {"limit": PAGE, "commitment": "finalized"} | before
        page = await live.rpc("getSignaturesForAddress", wallet, options)
        found += [str(one["signature"]) for one in page if one["err"] is None]
        if len(page) < PAGE:
            return found
        before = {"before": page[-1]["signature"]}


# The log and the tables ----------------------------------------------------------------------------------------------


def from_log(wanted: Wanted, pinned: Iterable[Pinned], confirmed: Iterable[Confirmed]) -> list[Leaf]:
    """Return the leaves that the log tells of. Pure."""
    names = {(fact.operation, item.index): item.name for fact in pinned for item in fact.items}
    return [
        Leaf(names[fact.operation, leaf.item], leaf.asset_id, leaf.owner)
        for fact in confirmed
        if fact.operation in wanted.operations
        for leaf in fact.leaves
    ]


async def from_tables(live: LiveStack, wanted: Wanted) -> list[Leaf]:
    """Return the leaves that the tables tell of, once they hold all of the log."""
    last = await live.log.last_sequence(MINT)
    query = """
        SELECT r.nft_name, r.asset_id, o.recipient FROM mint_results r JOIN mint_operations o ON o.id = r.operation_id
        WHERE r.status = 'success' AND o.id = ANY($1)
    """
    async with live.database() as database:

        async def projected() -> bool:
            return await database.fetchval("SELECT sequence FROM watermarks WHERE stream = 'MINT'") >= last

        await eventually(projected, "the tables hold all of the log")
        rows = await database.fetch(query, list(wanted.operations))
    return [Leaf(row["nft_name"], row["asset_id"], row["recipient"]) for row in rows]


def _by_name(leaf: Leaf) -> tuple[str, str]:
    return leaf.name, leaf.asset
