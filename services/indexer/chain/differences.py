"""From the counts of a collection to their differences, each with its explanation: pure.

Used by `reconciling`. The comparison is made at one point of the finalized chain: the tables' side counts only what was
confirmed at or before the slot up to which the trees were observed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from contracts.observation import MAX_EXAMPLES, CollectionDrift, Difference, DriftKind, LeafFate


@dataclass(frozen=True, slots=True)
class Found:
    """How many there are, and the first of them."""

    count: int = 0
    examples: tuple[str, ...] = ()


NOTHING = Found()


@dataclass(frozen=True, slots=True)
class Told:
    """What the tables say, all at one moment."""

    log: int
    """Minted, by the sums that the log's messages moved one by one."""
    projection: int
    """Minted, by the rows of the items."""
    observed: int
    living: int
    not_on_chain: Found = NOTHING
    """Signatures of confirmed items that the observed chain does not have."""
    minted_elsewhere: Found = NOTHING
    gone: Mapping[LeafFate, Found] = field(default_factory=dict[LeafFate, Found])


@dataclass(frozen=True, slots=True)
class Shown:
    """What DAS shows of the collection's trees: `total` assets, and how that differs from the living ones."""

    total: int
    absent: Found = NOTHING
    surplus: Found = NOTHING
    differing: Found = NOTHING
    """Assets that only one of two providers shows."""
    refused_proofs: Found = NOTHING
    slots_behind: int | None = None


@dataclass(frozen=True, slots=True)
class OnChain:
    """What the trees' own accounts say at one finalized slot."""

    slot: int
    minted: int
    unseen: int = 0
    """Changes that the accounts count and no node has shown."""
    wrong_roots: tuple[str, ...] = ()
    """Trees whose root is not the one recomputed from what was observed."""
    holes: tuple[str, ...] = ()
    """Sequence numbers that no transaction brought, as text, with their tree."""


def drift(collection: UUID, chain: OnChain, told: Told, shown: Shown | None) -> CollectionDrift:
    """Return the comparison's result."""
    return CollectionDrift(
        collection=collection,
        slot=chain.slot,
        log=told.log,
        projection=told.projection,
        chain=chain.minted,
        observed=told.observed,
        living=told.living,
        das=None if shown is None else shown.total,
        differences=(*_of_chain(chain, told), *_of_tables(told), *_of_das(shown)),
    )


def same(one: CollectionDrift, other: CollectionDrift) -> bool:
    """Whether two results differ in nothing that has to be told: how far minting and DAS are is no difference."""
    return _told(one) == _told(other)


def _told(result: CollectionDrift) -> list[tuple[object, ...]]:
    """Everything but the explanations, which tell how far DAS is: each comparison would be news."""
    return [(each.kind, each.count, each.alarm, each.examples) for each in result.differences]


def _difference(kind: DriftKind, found: Found, explanation: str, *, alarm: bool = False) -> list[Difference]:
    if not found.count:
        return []
    examples = found.examples[:MAX_EXAMPLES]
    return [Difference(kind=kind, count=found.count, alarm=alarm, explanation=explanation, examples=examples)]


def _of_chain(chain: OnChain, told: Told) -> list[Difference]:
    behind = Found(max(chain.minted - told.observed, chain.unseen, len(chain.holes)), chain.holes)
    wrong = Found(len(chain.wrong_roots), chain.wrong_roots)
    return [
        *_difference(
            DriftKind.OBSERVATION_BEHIND,
            behind,
            "Changes of the trees that no node has shown yet; the examples are their numbers.",
        ),
        *_difference(
            DriftKind.ROOT_DIFFERS,
            wrong,
            "The observed leaves do not give the root on chain; the examples are the trees.",
            alarm=True,
        ),
    ]


def _of_tables(told: Told) -> list[Difference]:
    gone, lacking = told.gone, Found(abs(told.log - told.projection))
    return [
        *_difference(
            DriftKind.NOT_ON_CHAIN,
            told.not_on_chain,
            "The log says confirmed, but the finalized chain has no such mint; the examples are signatures.",
            alarm=True,
        ),
        *_difference(
            DriftKind.NOT_IN_TABLES, lacking, "The operations' sums and their items differ; replay the log.", alarm=True
        ),
        *_difference(
            DriftKind.MINTED_ELSEWHERE,
            told.minted_elsewhere,
            "Minted into the collection's trees by no operation here.",
        ),
        *_difference(DriftKind.BURNED, gone.get(LeafFate.BURNED, NOTHING), "Burned by whoever owned them."),
        *_difference(
            DriftKind.REDEEMED, gone.get(LeafFate.REDEEMED, NOTHING), "Taken out of the tree by whoever owned them."
        ),
    ]


def _of_das(shown: Shown | None) -> list[Difference]:
    if shown is None:
        return []
    slots = "" if shown.slots_behind is None else f" DAS is {shown.slots_behind} slots behind."
    return [
        *_difference(DriftKind.DAS_BEHIND, shown.absent, f"In their trees, and DAS does not show them.{slots}"),
        *_difference(DriftKind.DAS_AHEAD, shown.surplus, "Shown by DAS, and in none of the collection's trees."),
        *_difference(DriftKind.PROVIDERS_DIFFER, shown.differing, "Shown by one of two DAS providers only."),
        *_difference(
            DriftKind.PROOF_REFUSED, shown.refused_proofs, "DAS gave proofs that do not lead to the root on chain."
        ),
    ]
