"""What must hold after a schedule, whatever happened in it; asked of chain, log and tables as a stranger would."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from bubblegum.changes import Minted
from bubblegum.decode import decode
from contracts.mint import Completed, Confirmed, Failed, FailureCode, PinFailed, Pinned, Requested
from contracts.registry import decode as event_of
from contracts.streams import COLLECTION, DEAD, MINT
from services.indexer.committing import commit
from services.indexer.entries import Entry, plan
from services.indexer.guard import PROJECTED
from services.indexer.ports import Committed
from tests.support.memory_tables import MemoryTables
from tests.support.scheduled_world import World

Asset = tuple[str, str, str]
"""Asset id, owner, name."""
Place = tuple[UUID, int]
"""Operation and item."""


async def violations(world: World) -> list[str]:
    """Every invariant that does not hold, in a sentence."""
    found = [*world.found, *_doubled_or_lost(world), *_untold(world), *_ends(world)]
    found += [f"the loss of {stream} was noticed by nobody" for stream in _unnoticed(world)]
    if world.log.streams[DEAD.name]:
        found.append(f"given up: {world.log.streams[DEAD.name][0].payload.decode()[:300]}")
    found += [f"parked: {reason}" for reason in _parked(world)]
    if await replayed(world) != rows(world.tables):
        found.append("a replay of the log gives other rows")
    return found


def _unnoticed(world: World) -> set[str]:
    """The streams that have lost what somebody knew of, without an alarm."""
    return {stream.name for stream in PROJECTED if world.server.lost[stream.name] and not world.log.alarms[stream.name]}


def _parked(world: World) -> Iterator[str]:
    """What the tables could not hold, but for what stands before its request because that was lost (docs/limits.md)."""
    requests = {message.data.operation: message.sequence for message in world.log.messages(Requested)}
    for (stream, sequence), reason in world.tables.parked.items():
        raw = world.log.streams[stream][sequence - 1]
        asked = requests.get(event_of(raw.subject, raw.payload).data.operation) if stream == MINT.name else None
        if not world.server.lost or asked is None or asked < sequence:
            yield reason


def on_chain(world: World) -> list[Asset]:
    """What the blocks hold."""
    executed = [change for each in world.chain.landed() for change in decode(each)]
    minted = [each for each in executed if isinstance(each, Minted)]
    assert len(minted) == len(executed), "the chain holds what is no mint"
    return [(str(each.asset_id), str(each.owner), each.metadata.name) for each in minted]


def on_log(world: World) -> dict[Place, Asset]:
    """What the log says is on chain."""
    names = {(fact.operation, item.index): item.name for fact in world.log.facts(Pinned) for item in fact.items}
    return {
        (fact.operation, leaf.item): (leaf.asset_id, leaf.owner, names.get((fact.operation, leaf.item), "never pinned"))
        for fact in world.last_words().values()
        if isinstance(fact, Confirmed)
        for leaf in fact.leaves
    }


def failures(world: World) -> Iterator[tuple[Place, FailureCode]]:
    """What the log says has failed."""
    for fact in world.last_words().values():
        if isinstance(fact, Failed):
            yield from (((fact.operation, index), fact.failure.code) for index in fact.failure.items)
    for fact in {(fact.operation, fact.chunk): fact for fact in world.log.facts(PinFailed)}.values():
        for failure in fact.failures:
            yield from (((fact.operation, index), failure.code) for index in failure.items)


def _doubled_or_lost(world: World) -> Iterator[str]:
    """Chain = log, and no item more often than it was asked for."""
    chain, log = on_chain(world), on_log(world)
    if len({asset for asset, _, _ in chain}) != len(chain):
        yield "two leaves have one asset id"
    waiting = _left_to_a_person(world)
    if extra := Counter(each for each in chain if each[2] not in waiting) - Counter(log.values()):
        yield f"on chain and not on the log: {sorted(extra)[:3]}"
    if missing := Counter(log.values()) - Counter(chain):
        yield f"on the log and not on chain: {sorted(missing)[:3]}"
    asked: Counter[tuple[str, str]] = Counter()
    for request in world.log.facts(Requested):
        for nft in request.nfts:
            asked[request.recipient, nft.name] += nft.copies
    if doubled := Counter((owner, name) for _, owner, name in chain) - asked:
        yield f"minted more often than asked for: {sorted(doubled)[:3]}"


def _left_to_a_person(world: World) -> set[str]:
    """The names of what may be on chain without being on the log: only after a loss (docs/limits.md).

    That is what waits for a person, and what was cancelled: its lost intent may have minted it.
    """
    if not world.server.lost:
        return set()
    unknown = world.waiting() | world.cancelled
    return {nft.name for request in world.log.facts(Requested) if request.operation in unknown for nft in request.nfts}


def _untold(world: World) -> Iterator[str]:
    """Every accepted item has exactly one end, on the log and in the tables the same."""
    landed, failed = on_log(world), dict(failures(world))
    accepted = {(request.operation, item.index) for request in world.log.facts(Requested) for item in request.items()}
    waiting = world.waiting()
    if lost := {place for place in accepted if place[0] not in waiting} - landed.keys() - failed.keys():
        yield f"accepted and without an end: {sorted(lost)[:3]}"
    if both := landed.keys() & failed.keys():
        yield f"landed and failed: {sorted(both)[:3]}"
    items = world.tables.items
    shown = {key: row.asset_id for key, row in items.items() if row.status == "success"}
    if shown != {key: asset for key, (asset, _, _) in landed.items()}:
        yield "the rows do not show what the log says landed"
    if {key for key, row in items.items() if row.status not in ("success", "pending")} != failed.keys():
        yield "the rows do not show what the log says failed"


def _ends(world: World) -> Iterator[str]:
    """Each operation is completed once, by totals that add up."""
    ends = Counter(fact.operation for fact in world.log.facts(Completed))
    waiting = world.waiting()
    due = {fact.operation for fact in world.log.facts(Requested)} - waiting
    if ends - Counter(due | waiting) or due - ends.keys():
        yield "an operation was completed never or twice"
    totals = {fact.operation: fact.total for fact in world.log.facts(Requested)}
    for fact in world.log.facts(Completed):
        if fact.minted + fact.failed + fact.cancelled != totals.get(fact.operation):
            yield f"the totals of {fact.operation} do not add up"


async def replayed(world: World) -> dict[str, Any]:
    """The rows of empty tables after the whole log, in other batches."""
    tables = MemoryTables()
    for stream in (MINT, COLLECTION):
        entries = [plan(raw) for raw in world.log.streams[stream.name]]
        for start in range(0, len(entries), 7):
            await commit(tables, stream.name, start, entries[start : start + 7], _told)
    return rows(tables)


def _told(committed: Committed, entries: Sequence[Entry]) -> None:
    """Nobody waits for a replay."""


def rows(tables: MemoryTables) -> dict[str, Any]:
    """Everything that the tables hold."""
    return {
        "operations": tables.operations,
        "items": tables.items,
        "collections": tables.collections,
        # When a message was stored is another time once it was put back; what it says is not.
        "log": {place: (raw.subject, raw.payload) for place, raw in tables.log.items()},
        "watermarks": tables.watermarks,
    }
