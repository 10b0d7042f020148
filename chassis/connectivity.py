"""Whether the connection to the log was cut since somebody last looked: a number that counts the cuts.

`chassis.messaging` counts, before anything of the new connection is read; the guards of minter and indexer compare.
Being cut off proves nothing about the log; not having been cut off does. `Reports` tells the service's log of it.
"""

import asyncio

from chassis.logs import get_logger

_logger = get_logger(__name__)


class Connectivity:
    """Counts how often the connection was lost."""

    def __init__(self) -> None:
        self._epoch = 0
        self.ending = False
        """Set before the connection is closed on purpose."""
        self._changed = asyncio.Event()

    @property
    def epoch(self) -> int:
        """How often the connection was lost so far."""
        return self._epoch

    def lost(self) -> None:
        """The connection is gone: what was known of the log holds no longer."""
        self._epoch += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def left(self, epoch: int) -> None:
        """Return as soon as the connection has been lost since `epoch`."""
        while self._epoch == epoch:
            await self._changed.wait()


class Reports:
    """The NATS client's callbacks: count the cuts, and log a trouble once, however often it is tried again."""

    def __init__(self, connectivity: Connectivity) -> None:
        self._connectivity = connectivity
        self._trouble = ""

    async def disconnected(self) -> None:
        """The connection is gone."""
        self._connectivity.lost()
        if not self._connectivity.ending:
            _logger.warning("nats disconnected")

    async def reconnected(self) -> None:
        """There is a new one."""
        self._trouble = ""
        _logger.info("nats reconnected")

    async def failed(self, error: Exception) -> None:
        """The client met an error, which it gets over by itself; four times a second while no server is there."""
        trouble = str(error)
        if trouble != self._trouble:
            _logger.warning("nats error", error=trouble)
        self._trouble = trouble
