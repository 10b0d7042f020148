"""Feeds the asset index from the chain at `confirmed`, and answers DAS methods from it.

Used by the server. The index itself is `localnet.das`; it is rebuilt from the stored ledger at every start and rewound
when a fork drops what it was fed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import cast

import structlog
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bubblegum import transaction as executed
from bubblegum.errors import DecodeError
from localnet.cluster.model import Block, Commitment, ExecutedTransaction, InnerInstruction, Json
from localnet.cluster.node import Advance, Node
from localnet.cluster.params import RpcError, invalid
from localnet.das import DasError, DasIndex

# Transactions applied before other clients get the event loop again; also the page size of the rebuild.
_BATCH = 32

_log = structlog.get_logger(__name__)


class DasFeed:
    """One index on one node. Create with `start`."""

    def __init__(self, node: Node, index: DasIndex) -> None:
        self._node = node
        self._index = index
        self._told = -1

    @classmethod
    async def start(cls, node: Node, index: DasIndex | None = None) -> DasFeed:
        """Take in everything that is confirmed already, then follow the chain. To be called before slots are made."""
        feed = cls(node, index or DasIndex())
        confirmed = node.heads.confirmed.slot
        place = (-1, 0)
        while True:
            page = await node.in_store(lambda store, after=place: store.transactions_after(after, _BATCH))
            feed._apply(tx for tx in page if tx.slot <= confirmed)
            if len(page) < _BATCH:
                break
            place = (page[-1].slot, page[-1].index)
        feed._told = confirmed
        node.listen(feed.on_advance)
        return feed

    async def on_advance(self, advance: Advance) -> None:
        """Take in what became confirmed; take back what a fork dropped."""
        if advance.fork is not None:
            self._index.rewind(advance.fork.head.slot)
            self._told = min(self._told, advance.fork.head.slot)
        confirmed = advance.after.at(Commitment.CONFIRMED)
        for block in self._node.ledger.chain.newer_than(self._told):
            if block.slot > confirmed.slot:
                break
            await self._apply_block(block)
        self._told = max(self._told, confirmed.slot)

    async def _apply_block(self, block: Block) -> None:
        landed = [self._node.ledger.recent_transaction(signature) for signature in block.signatures]
        found = [tx for tx in landed if tx is not None]
        for start in range(0, len(found), _BATCH):
            self._apply(found[start : start + _BATCH])
            await asyncio.sleep(0)

    def _apply(self, transactions: Iterable[ExecutedTransaction]) -> None:
        for tx in transactions:
            if tx.err is not None:
                continue
            try:
                self._index.apply(instruction_tree(tx))
            except DecodeError as error:  # stops: this transaction only; its bytes will not change
                _log.warning("transaction not indexed", signature=tx.signature, reason=str(error))

    @property
    def methods(self) -> frozenset[str]:
        """The DAS methods that are answered."""
        return self._index.methods

    async def handle(self, method: str, params: Json) -> Json:
        """Answer one DAS method. Raises RpcError."""
        if params is not None and not isinstance(params, dict | list):
            raise invalid("Invalid params: expected an object")
        try:
            return cast("Json", self._index.handle(method, params))
        except DasError as error:
            raise RpcError(error.code, error.message) from error


def instruction_tree(tx: ExecutedTransaction) -> executed.ExecutedTransaction:
    """A landed transaction as the tree of instructions that `bubblegum` decodes."""
    keys = [Pubkey(key) for key in tx.account_keys]
    calls = dict(tx.inner)
    compiled = VersionedTransaction.from_bytes(tx.wire).message.instructions
    return executed.ExecutedTransaction(
        signature=tx.signature,
        slot=tx.slot,
        err=tx.err,
        instructions=tuple(
            executed.nest(
                _instruction(outer.program_id_index, bytes(outer.accounts), bytes(outer.data), keys),
                [(call.stack_height, _inner(call, keys)) for call in calls.get(index, ())],
            )
            for index, outer in enumerate(compiled)
        ),
    )


def _inner(call: InnerInstruction, keys: list[Pubkey]) -> executed.ExecutedInstruction:
    return _instruction(call.program_id_index, call.accounts, call.data, keys)


def _instruction(program: int, accounts: bytes, data: bytes, keys: list[Pubkey]) -> executed.ExecutedInstruction:
    return executed.ExecutedInstruction(keys[program], tuple(keys[index] for index in accounts), data)
