"""Several nodes as witnesses of one chain: whoever answers is asked, and two that answer must say the same.

Used by `gathering`. A node that is away is passed over, and left alone for a while. Not done here: which question
(`chain`).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from audit.chain import UNKNOWN, ChainVerifier, Landing, VerificationFailed
from bubblegum.errors import DecodeError
from bubblegum.reference import reference
from bubblegum.transaction import ExecutedTransaction
from chassis.chain import ChainUnavailable
from chassis.circuit import Circuit, CircuitOpen
from chassis.clock import Clock, SystemClock

T = TypeVar("T")

WITNESSES: Final = 2
"""Answers that are compared, where there are so many nodes."""
FAILURES: Final = 3
"""Failures in a row after which a node is left alone."""
PAUSE: Final = 30.0
"""Seconds for which it is."""


class NodesDiffer(Exception):
    """Two nodes tell different things of the same: one lags, has forgotten, or lies, and nobody knows which."""


class Nodes:
    """The nodes, in the order in which they are asked; they belong to the caller."""

    def __init__(self, nodes: Sequence[ChainVerifier], clock: Clock | None = None) -> None:
        clock = clock or SystemClock()
        self._nodes = [(node, Circuit(clock, failures=FAILURES, pause=PAUSE)) for node in nodes]

    async def transaction(self, signature: str, landing: Landing = UNKNOWN) -> ExecutedTransaction | None:
        """Return a confirmed transaction; None when the nodes have none of this signature. Raises as `_agreed`."""

        async def ask(node: ChainVerifier) -> ExecutedTransaction | None:
            found = await node.transaction(signature, landing)
            # Of a block's time nodes have opinions of their own, and nothing here asks for it.
            return None if found is None else replace(found, block_time=None)

        return await self._agreed(ask)

    async def marked(self, label: str) -> tuple[str, ...]:
        """Return the signatures of the transactions that landed with the mark of `label`. Raises as `_agreed`."""
        return await self._agreed(lambda node: node.naming(reference(label)))

    async def leads_to_root(self, asset_id: str) -> bool:
        """Whether the asset's proof leads to a root of its tree on chain. Raises as `_agreed`."""
        return await self._agreed(lambda node: node.leads_to_root(asset_id))

    async def _agreed(self, ask: Callable[[ChainVerifier], Awaitable[T]]) -> T:
        """Return what the first nodes that answer agree on.

        Raises NodesDiffer; VerificationFailed when those that answer cannot say; ChainUnavailable when none answers.
        """
        answers: list[T] = []
        refusals: list[str] = []
        for node, circuit in self._nodes:
            try:
                with circuit:
                    answers.append(await ask(node))
            except (ChainUnavailable, CircuitOpen):
                continue  # go on: with the next node
            except (VerificationFailed, DecodeError, ValueError) as error:
                refusals.append(str(error))  # go on: another may know more
            if len(answers) == WITNESSES:
                break
        if not answers and refusals:
            raise VerificationFailed(refusals[0])
        if not answers:
            raise ChainUnavailable("no node answers")
        if any(answer != answers[0] for answer in answers):
            raise NodesDiffer("the nodes do not say the same")
        return answers[0]
