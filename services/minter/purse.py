"""One account that pays: what it holds, looked at now and then. Used by `funds`."""

import asyncio
from typing import Final, Protocol

from solders.pubkey import Pubkey

from chassis import metrics
from chassis.clock import Clock

BALANCE_MAX_AGE: Final = 2.0
"""Seconds for which a balance is used again."""


class Balances(Protocol):
    """What is needed of the chain."""

    async def balance(self, address: Pubkey) -> int:
        """Return the lamports of an account at `confirmed`. Raises ChainUnavailable."""
        ...


class Purse:
    """The lamports of one account. Methods raise ChainUnavailable when nobody can tell them."""

    def __init__(self, address: Pubkey, balances: Balances, clock: Clock, payer: str = "wallet") -> None:
        """`payer` is what its metric calls it."""
        self.address = address
        self._payer = payer
        self.balance = 0
        """In lamports, at the last look."""
        self._balances = balances
        self._clock = clock
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._refused_at = -1

    async def read(self, max_age: float = BALANCE_MAX_AGE) -> int:
        """Return the lamports that it held at most `max_age` seconds ago."""
        asked_at = self._clock.monotonic()
        async with self._reading:
            if self._read_at <= asked_at - max_age:
                now = self._clock.monotonic()
                self.balance = await self._balances.balance(self.address)
                self._read_at = now
                metrics.WALLET_BALANCE.set(self.balance, payer=self._payer)
            return self.balance

    async def affords(self, lamports: int) -> bool:
        """Return whether it holds so much, and more than what the chain said was too little."""
        balance = await self.read()
        return balance >= lamports and balance > self._refused_at

    async def refuse(self) -> None:
        """Leave it out until it holds more than now: the chain says that it cannot pay."""
        self._refused_at = await self.read(0.0)
