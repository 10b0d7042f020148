"""Operations as the services leave them on the log when they are over: stories with a plan for each pinned chunk.

Used by the tests of what may leave the log. Real facts with real fences' subjects; signatures and leaves are made up.
"""

from collections.abc import Iterator
from random import Random
from uuid import UUID

from contracts.fact import Fact
from contracts.mint import Cancelled, Planned, PlannedTransaction
from tests.support.indexing import (
    address,
    completed,
    confirmed,
    failed,
    finalized,
    pin_failed,
    pinned,
    requested,
    signed,
    uid,
)


def planned(operation: UUID, chunk: int, *transactions: tuple[int, ...]) -> Planned:
    """The chunk's plan: the items of each transaction."""
    return Planned(
        operation=operation,
        chunk=chunk,
        collection=uid("collection"),
        transactions=tuple(
            PlannedTransaction(tx=tx, tree=address("tree"), items=items) for tx, items in enumerate(transactions)
        ),
    )


def settled_story(random: Random, operation: UUID) -> list[Fact]:
    """All that is ever said of an operation that is over: items minted, failed, refused, cancelled; forks between."""
    total, size = random.randint(1, 6), random.randint(1, 4)
    facts: list[Fact] = [requested(operation, total, batch_size=size)]
    cancelled = random.random() < 0.2
    minted = 0
    for chunk, start in enumerate(range(0, total, size)):
        items = list(range(start, min(start + size, total)))
        refused = [item for item in items if random.random() < 0.2]
        good = [item for item in items if item not in refused]
        facts += [pin_failed(operation, chunk, refused)] * bool(refused)
        if not good:
            continue
        parts = [tuple(good[at : at + 2]) for at in range(0, len(good), 2)]
        facts.append(pinned(operation, chunk, good))
        if cancelled and random.random() < 0.5:
            facts += [planned(operation, chunk), failed(operation, chunk, 0, good)]
            continue
        facts.append(planned(operation, chunk, *parts))
        for tx, part in enumerate(parts):
            lands = random.random() < 0.8
            minted += len(part) * lands
            facts += _transaction(random, operation, chunk, tx, part, lands=lands)
    facts += [Cancelled(operation=operation)] * cancelled
    facts.append(completed(operation, total, minted, total - minted))
    return facts


def _transaction(
    random: Random, operation: UUID, chunk: int, tx: int, items: tuple[int, ...], *, lands: bool
) -> Iterator[Fact]:
    attempts = random.randint(0 if not lands else 1, 2)
    for number in range(1, attempts + 1):
        yield signed(operation, chunk, tx, items, number)
    if not lands:
        yield failed(operation, chunk, tx, items)
        return
    yield confirmed(operation, chunk, tx, items, attempts)
    if random.random() < 0.3:  # a fork drops it, and it lands again
        attempts += 1
        yield signed(operation, chunk, tx, items, attempts)
        yield confirmed(operation, chunk, tx, items, attempts)
    yield finalized(operation, chunk, tx, attempts)
