"""Whether the connection to the log was cut since somebody last looked: a number that counts the cuts.

`chassis.messaging` counts, before anything of the new connection is read; the guards of minter and indexer compare.
Being cut off proves nothing about the log; not having been cut off does.
"""

import asyncio


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
