"""The rules of the node pool: whom to ask, whom to believe. Pure; carried out by `adapters.pool`.

- *Whom to ask:* usable nodes in the operator's order, those that lag too far behind the newest one last.
- *Not backwards:* an answer from a bank older than one that was read before is not taken (`Floor`), whichever node
  gave it. Only when no node reaches the floor for a while does it come down: then the node that set it was wrong, or
  is gone and was alone.
- *Whom to believe:* for one signature, a success beats an error and an error beats nothing, because taking a landed
  transaction for a dead one would mint twice, and the reverse costs a look. Within either, the higher commitment wins.
- *Proof:* a finalized head counts only with an answer of the same node from a bank at least as new.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.minter.landing import SignatureState
from services.minter.ports import FinalizedHead, Look

FLOOR_PATIENCE: Final = 5.0
"""Seconds for which answers below the floor are refused before the floor is taken for wrong."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What is known of a node. `usable`: of the right cluster, its circuit closed, its request budget not used up."""

    position: int
    usable: bool
    slot: int | None = None
    """The newest slot that it told; None before it answered."""


def newest_slot(nodes: Iterable[NodeFacts]) -> int | None:
    """Return the newest slot that any of the nodes told."""
    return max((node.slot for node in nodes if node.slot is not None), default=None)


def lag(node: NodeFacts, newest: int | None) -> int | None:
    """Return by how many slots the node is behind the newest one; None while that is unknown."""
    return None if node.slot is None or newest is None else newest - node.slot


def order(nodes: Sequence[NodeFacts], max_lag: int) -> list[int]:
    """Return the positions of the nodes to ask, in that order.

    A node that lags more than `max_lag` slots comes after all others: it may have caught up since, and it is better
    than none. One that has told nothing yet is taken to keep up.
    """
    newest = newest_slot(nodes)
    usable = [node for node in nodes if node.usable]
    return [
        node.position for node in sorted(usable, key=lambda node: ((lag(node, newest) or 0) > max_lag, node.position))
    ]


class Floor:
    """The newest bank that was read from; what is older is refused, for FLOOR_PATIENCE seconds."""

    def __init__(self, patience: float = FLOOR_PATIENCE) -> None:
        self._patience = patience
        self._reached_at = float("-inf")
        self.slot = 0

    def admits(self, slot: int, now: float) -> bool:
        """Return whether an answer as of `slot` may be used, and take note of it. `now` in monotonic seconds."""
        if slot < self.slot and now - self._reached_at <= self._patience:
            return False
        self.slot, self._reached_at = slot, now
        return True


def proof(head: FinalizedHead | None, answered_from: int) -> FinalizedHead | None:
    """Return `head` if the bank that answered for the signatures is at least as new, None otherwise.

    A bank behind the head would prove an attempt expired that it merely has not seen land. Both must be of one node,
    the head read first; behind a load balancer that is not sure, and this check is what remains.
    """
    return head if head is not None and answered_from >= head.slot else None


def strongest(states: Sequence[SignatureState]) -> SignatureState:
    """Return the one to believe of what several nodes say of one signature."""
    return max(states, key=lambda state: (state.error is None, state.commitment, state.slot))


def merge(looks: Sequence[Look]) -> Look:
    """Return what several nodes say together of the same signatures.

    A proven head holds for all that none of them found: its own node looked and found nothing either. Of several, the
    one whose node's history reaches back the furthest is taken, then the newest.
    """
    said: dict[str, list[SignatureState]] = {}
    for look in looks:
        for signature, state in look.found.items():
            said.setdefault(signature, []).append(state)
    found: Mapping[str, SignatureState] = {signature: strongest(states) for signature, states in said.items()}
    proofs = [(look.history_from, -look.head.block_height, look.head) for look in looks if look.head is not None]
    history_from, _, head = min(proofs, key=lambda each: each[:2], default=(0, 0, None))
    return Look(head, found, history_from)


def together(looks: Sequence[Look]) -> Look:
    """Return what looks at different signatures, at least one, prove of all of them: no more than each proves."""
    found = {signature: state for look in looks for signature, state in look.found.items()}
    heads = [look.head for look in looks if look.head is not None]
    head = min(heads, key=lambda each: each.block_height) if len(heads) == len(looks) else None
    return Look(head, found, max(look.history_from for look in looks))
