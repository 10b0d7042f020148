"""Faults that clients of the cluster may be made to suffer, drawn from a seed.

Used by the RPC layer and the node; set by the admin method `localnet_setFaults` or in Python. Pure: decides, does
not sleep or answer. A single fork, now, is `Node.fork`.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Annotated

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
MAX_DELAY_MS = 60_000


class Faults(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What goes wrong, and how often. Shares are 0 to 1 of requests; the default is that nothing does."""

    seed: int = 0
    methods: tuple[str, ...] = ()
    """RPC methods that rate limits, errors and delays apply to; empty for all."""
    drop_send_share: Share = 0.0
    """`sendTransaction` answers with the signature, and the transaction never reaches a leader."""
    send_error_share: Share = 0.0
    """`sendTransaction` passes the transaction on, and answers with an error all the same."""
    rate_limit_share: Share = 0.0
    """HTTP 429 with `Retry-After`."""
    retry_after_seconds: Annotated[int, msgspec.Meta(ge=0, le=3600)] = 1
    error_share: Share = 0.0
    """JSON-RPC error -32603 instead of the answer."""
    delay_ms: Annotated[int, msgspec.Meta(ge=0, le=MAX_DELAY_MS)] = 0
    """The longest delay before an answer; each is drawn evenly from 0 to this."""
    lag_slots: Annotated[int, msgspec.Meta(ge=0, le=64)] = 0
    """Reads are answered as by a node this many blocks behind. Sends are not affected."""
    lag_share: Share = 1.0
    """Which part of the reads is, as behind a load balancer with one slow node."""
    skip_slot_share: Share = 0.0
    """Slots that pass without a block."""
    fork_share: Share = 0.0
    """Slots after which the cluster settles on another fork."""
    fork_blocks: Annotated[int, msgspec.Meta(ge=1, le=31)] = 3
    """How many blocks such a fork drops, the newest ones."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one request: wait, then maybe be refused, or be answered as of `lag_slots` blocks ago."""

    delay_seconds: float = 0.0
    lag_slots: int = 0
    rate_limited: bool = False
    error: bool = False


NO_FAULTS = Faults()


class FaultInjector:
    """Draws from the faults in force. The same seed and the same sequence of requests give the same faults."""

    def __init__(self, faults: Faults = NO_FAULTS) -> None:
        self.faults = faults
        self._random = Random(faults.seed)  # noqa: S311 - repeatable on purpose

    def set(self, faults: Faults) -> None:
        """Put new faults in force and start their sequence from their seed."""
        self.faults = faults
        self._random = Random(faults.seed)  # noqa: S311 - repeatable on purpose

    def judge(self, method: str) -> Verdict:
        """Decide the fate of one request."""
        faults = self.faults
        lag = faults.lag_slots if faults.lag_slots and self._draw(faults.lag_share) else 0
        if faults.methods and method not in faults.methods:
            return Verdict(lag_slots=lag)
        return Verdict(
            lag_slots=lag,
            delay_seconds=self._random.random() * faults.delay_ms / 1000 if faults.delay_ms else 0.0,
            rate_limited=self._draw(faults.rate_limit_share),
            error=self._draw(faults.error_share),
        )

    def drops_send(self) -> bool:
        """Whether a transaction sent now is lost on the way to the leader."""
        return self._draw(self.faults.drop_send_share)

    def breaks_send_answer(self) -> bool:
        """Whether the sender of a transaction gets an error though the transaction went out."""
        return self._draw(self.faults.send_error_share)

    def skips_slot(self) -> bool:
        """Whether the next slot passes without a block."""
        return self._draw(self.faults.skip_slot_share)

    def forks(self) -> bool:
        """Whether the slot just made is lost to a fork, with those before it that `fork_blocks` says."""
        return self._draw(self.faults.fork_share)

    def _draw(self, share: float) -> bool:
        return share > 0 and self._random.random() < share
