"""What a WebSocket client may subscribe to, and what each change of the chain means to a subscription.

Used by the WebSocket hub. Pure: turns an advance of the chain into notifications; sends nothing. Shapes are those of
Solana's PubSub documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from solders.account import Account
from solders.pubkey import Pubkey

from localnet.cluster.encoding import account_json
from localnet.cluster.ledger import Ledger
from localnet.cluster.model import Block, Commitment, ExecutedTransaction, Json
from localnet.cluster.node import Heads
from localnet.cluster.params import METHOD_NOT_FOUND, Config, Params, RpcError, invalid


@dataclass(frozen=True, slots=True)
class Progress:
    """What became visible since the last change: blocks newly at each level, oldest first, and the heads."""

    ledger: Ledger
    heads: Heads
    reached: dict[Commitment, tuple[Block, ...]]


@dataclass(slots=True)
class SlotSubscription:
    """`slotSubscribe`: every new block at processed."""

    notification = "slotNotification"
    done: bool = False

    def notify(self, progress: Progress) -> Iterator[Json]:
        """One notification a block."""
        for block in progress.reached[Commitment.PROCESSED]:
            yield {"slot": block.slot, "parent": block.parent_slot, "root": progress.heads.finalized.slot}


@dataclass(slots=True)
class RootSubscription:
    """`rootSubscribe`: every newly finalized slot."""

    notification = "rootNotification"
    done: bool = False

    def notify(self, progress: Progress) -> Iterator[Json]:
        """One notification a root."""
        for block in progress.reached[Commitment.FINALIZED]:
            yield block.slot


@dataclass(slots=True)
class SignatureSubscription:
    """`signatureSubscribe`: once, when the transaction reaches the level; then it is over."""

    signature: str
    commitment: Commitment
    notification = "signatureNotification"
    done: bool = False

    def notify(self, progress: Progress) -> Iterator[Json]:
        """At most one notification, ever. One that reached the level before it was asked for counts too."""
        landed = progress.ledger.recent_transaction(self.signature)
        head = progress.heads.at(self.commitment)
        if not self.done and landed is not None and landed.slot <= head.slot:
            self.done = True
            yield _with_context(landed.slot, {"err": landed.err})


@dataclass(slots=True)
class LogsSubscription:
    """`logsSubscribe`: logs of every transaction, or of those that name one address."""

    commitment: Commitment
    mentions: bytes | None
    notification = "logsNotification"
    done: bool = False

    def notify(self, progress: Progress) -> Iterator[Json]:
        """One notification a transaction."""
        for tx in transactions_of(progress, self.commitment):
            if self.mentions is None or self.mentions in tx.account_keys:
                value: Json = {"signature": tx.signature, "err": tx.err, "logs": list(tx.logs)}
                yield _with_context(tx.slot, value)


@dataclass(slots=True)
class AccountSubscription:
    """`accountSubscribe`: the account whenever it differs at the level."""

    key: Pubkey
    commitment: Commitment
    config: Config
    last: Account | None = None
    notification = "accountNotification"
    done: bool = field(default=False)

    def notify(self, progress: Progress) -> Iterator[Json]:
        """At most one notification a change of the head; an account that is gone is told as an empty one."""
        block = progress.heads.at(self.commitment)
        account = progress.ledger.account(self.key, block)
        if account == self.last:
            return
        self.last = account
        shown = Account(0, b"", Pubkey.default()) if account is None else account
        yield _with_context(block.slot, account_json(shown, self.config))


Subscription: TypeAlias = (
    SlotSubscription | RootSubscription | SignatureSubscription | LogsSubscription | AccountSubscription
)


def _with_context(slot: int, value: Json) -> Json:
    return {"context": {"slot": slot}, "value": value}


def transactions_of(progress: Progress, commitment: Commitment) -> Iterator[ExecutedTransaction]:
    """The transactions of the blocks that newly reached a level."""
    for block in progress.reached[commitment]:
        for signature in block.signatures:
            landed = progress.ledger.recent_transaction(signature)
            if landed is not None:
                yield landed


def parse_subscribe(method: str, params: Params, ledger: Ledger, heads: Heads) -> Subscription:
    """The subscription that a request asks for. Raises RpcError."""
    match method:
        case "slotSubscribe":
            return SlotSubscription()
        case "rootSubscribe":
            return RootSubscription()
        case "signatureSubscribe":
            return SignatureSubscription(params.signature(0), params.config(1).commitment())
        case "logsSubscribe":
            return LogsSubscription(params.config(1).commitment(), _mentions(params.raw(0)))
        case "accountSubscribe":
            key, config = params.pubkey(0), params.config(1)
            level = config.commitment()
            return AccountSubscription(key, level, config, ledger.account(key, heads.at(level)))
        case _:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")


def _mentions(raw: Json) -> bytes | None:
    if raw in ("all", "allWithVotes"):
        return None
    if isinstance(raw, dict):
        addresses = Params([raw.get("mentions")]).texts(0, "mentions", 1)
        if len(addresses) == 1:
            return bytes(Params(list(addresses)).pubkey(0))
    raise invalid('Invalid Request: Only "all", "allWithVotes" or one address in `mentions` is supported')
