"""What an RPC method gets to work with: the node, the bank that a request asks for, and the shape of an answer.

Used by the method modules; one instance per server, and one per request that is answered from behind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from localnet.cluster.model import Block, Commitment, Json
from localnet.cluster.node import Node
from localnet.cluster.params import MIN_CONTEXT_SLOT_NOT_REACHED, Config, Params, RpcError

API_VERSION = "3.0.0"
"""The Agave release whose RPC behaviour is followed."""


class DasReader(Protocol):
    """What answers the methods of the Digital Asset Standard."""

    @property
    def methods(self) -> frozenset[str]:
        """The names it answers to."""
        ...

    async def handle(self, method: str, params: Json) -> Json:
        """Answer one method. Raises RpcError."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """The node that a request is answered from, as the faults in force let the client see it."""

    node: Node
    das: DasReader | None = None
    lag: int = 0
    """Blocks that this node pretends to be behind, for reads."""

    def head(self, commitment: Commitment) -> Block:
        """The newest block of a commitment level that a read may see."""
        return self.node.ledger.chain.at(commitment, self.lag)

    def bank(self, config: Config, default: Commitment = Commitment.FINALIZED) -> Block:
        """The block that a request with `commitment` and `minContextSlot` reads. Raises RpcError."""
        block = self.head(config.commitment(default))
        wanted = config.natural("minContextSlot")
        if wanted is not None and block.slot < wanted:
            raise RpcError(
                MIN_CONTEXT_SLOT_NOT_REACHED, "Minimum context slot has not been reached", {"contextSlot": block.slot}
            )
        return block

    def commitment_of(self, slot: int) -> Commitment | None:
        """How settled a slot's block is, as a read may see it."""
        return self.node.ledger.chain.commitment_of(slot, self.lag)


def answer(block: Block, value: Json) -> Json:
    """A value with the context that it was read in."""
    return {"context": {"apiVersion": API_VERSION, "slot": block.slot}, "value": value}


Method: TypeAlias = Callable[[Context, Params], Awaitable[Json]]
Methods: TypeAlias = Mapping[str, Method]
