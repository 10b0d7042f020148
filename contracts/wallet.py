"""The facts of a paying wallet: its work waits for SOL, and goes on.

`paused` (minter) -> `resumed` (minter), again and again in a wallet's life. They stand in the stream MINT beside the
operations that wait. `paused` is the alert: whoever watches `mint.paused.v1.>` hears of every shortage. Operations do
not fail by it and have no fact of their own for it.
"""

from enum import StrEnum
from typing import ClassVar, Final

from contracts.fact import Address, Fact, Lamports

LAMPORTS_PER_SOL: Final = 1_000_000_000
PAUSE_RENEWAL: Final = 300.0
"""Seconds after which a pause that lasts is said again, with the balance of that time. One that was not said for twice
as long is nobody's any more: the minters that waited are gone, or have another wallet now."""


class PauseReason(StrEnum):
    """Why a wallet's work waits. Stable: alerts branch on it."""

    INSUFFICIENT_SOL = "insufficient_sol"


class Paused(Fact, frozen=True, kw_only=True):
    """The wallet cannot pay for what comes next: nothing that it cannot pay for is signed until it can."""

    SUBJECT: ClassVar[str] = "mint.paused.v1.{wallet}"

    wallet: Address
    balance: Lamports
    needed: Lamports
    """What the wallet has to hold before all waiting work goes on."""
    reason: PauseReason = PauseReason.INSUFFICIENT_SOL

    def sentence(self) -> str:
        """Return what a person is told of it."""
        return (
            f"Wallet {self.wallet} holds {sol(self.balance)} SOL and needs {sol(self.needed)} SOL. What it pays for "
            "waits, nothing has failed, and it goes on by itself once the wallet is topped up"
        )


class Resumed(Fact, frozen=True, kw_only=True):
    """The wallet can pay again, and its work goes on."""

    SUBJECT: ClassVar[str] = "mint.resumed.v1.{wallet}"

    wallet: Address
    balance: Lamports


def wallet_fence(wallet: str) -> str:
    """Return the pattern of every fact about a wallet, which is how it stands: paused, resumed."""
    return f"mint.*.v1.{wallet}"


def sol(lamports: int) -> str:
    """Return an amount in SOL, exactly and without needless zeros."""
    whole, rest = divmod(lamports, LAMPORTS_PER_SOL)
    return f"{whole}.{rest:09}".rstrip("0").rstrip(".")
