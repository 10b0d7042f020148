"""What the minter needs of the world outside the log: a chain, as narrow as the landing protocol allows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from bubblegum.transaction import ExecutedTransaction
from chassis.chain import ChainUnavailable as ChainUnavailable
from services.minter.landing import SignatureState
from services.minter.refusals import TransactionError


@dataclass(frozen=True, slots=True)
class RecentBlockhash:
    """A blockhash and the last block height at which a transaction that carries it can land."""

    blockhash: Hash
    last_valid_block_height: int


@dataclass(frozen=True, slots=True)
class FinalizedHead:
    """The newest finalized block of one node."""

    slot: int
    block_height: int


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at signatures showed; a signature that was asked for and is not in `found` was not found.

    `head` is a finalized head that one node told before it answered for the signatures, from a bank not newer than the
    one it answered from: with the history searched, it proves that what was not found is in no block up to there. None
    when no node gave such a pair of answers, so that nothing is proven.
    """

    head: FinalizedHead | None
    found: Mapping[str, SignatureState]
    history_from: int = 0
    """Block height from which on the node that told `head` keeps its history; nothing below is proven."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """The outcome of running a transaction without committing it."""

    error: TransactionError | None
    units_consumed: int


@dataclass(frozen=True, slots=True)
class ConfirmedTransaction:
    """A transaction as the chain executed it, and what it cost in lamports."""

    executed: ExecutedTransaction
    fee: int


@dataclass(frozen=True, slots=True)
class OwnedAccount:
    """An account: the program that it belongs to, and its data."""

    owner: Pubkey
    data: bytes


@dataclass(frozen=True, slots=True)
class Described:
    """How a collection is described off chain."""

    symbol: str = ""
    description: str = ""
    image_uri: str | None = None
    external_url: str | None = None


class Chain(Protocol):
    """A Solana cluster. Every method raises ChainUnavailable when it cannot tell."""

    async def recent_blockhash(self) -> RecentBlockhash:
        """Return a blockhash of a confirmed block, at most seconds old."""
        ...

    async def simulate(self, transaction: VersionedTransaction) -> Simulation:
        """Run `transaction` on the newest confirmed state, signatures unchecked."""
        ...

    async def send(self, wire: bytes) -> None:
        """Hand signed bytes to a node, without preflight. Returning says nothing about landing."""
        ...

    async def finalized_head(self) -> FinalizedHead:
        """Return slot and block height of a recent finalized block. Says where to look, and proves nothing."""
        ...

    async def look(self, signatures: Sequence[str], *, search_history: bool) -> Look:
        """Look up at most 256 signatures, among recent ones or in the whole history.

        Where nodes contradict one another, having landed wins over an error, and either wins over unknown.
        """
        ...

    async def transaction(self, signature: str) -> ConfirmedTransaction | None:
        """Return a confirmed transaction with its inner instructions; None while the node does not have it."""
        ...

    async def minimum_rent(self, size: int) -> int:
        """Return the lamports that make an account of `size` bytes exempt from rent."""
        ...

    async def accounts(self, addresses: Sequence[str]) -> Sequence[bytes | None]:
        """Return the data of at most 100 accounts at `confirmed`, in order; None for one that is not there."""
        ...


class FeeMarket(Protocol):
    """What others paid lately."""

    async def recent_fees(self, addresses: Sequence[str]) -> Sequence[int]:
        """Return what landing a transaction that writes to all these accounts cost, one number a recent block.

        In micro-lamports a compute unit; at most 128 addresses. Raises ChainUnavailable.
        """
        ...
