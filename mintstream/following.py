"""Operations followed to their end together, with one progress bar for all of them.

Used by `mintstream mint`, `status --follow` and `retry --wait`. Not done here: what a failure means for the caller.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from mintstream.api import GatewayClient

PAUSE_SECONDS: Final = 0.5
"""Between two looks at one operation."""
TOGETHER: Final = 8
"""Operations that are looked at at once."""


def passing_bar(console: Console, *columns: ProgressColumn) -> Progress:
    """Return a progress bar that leaves nothing behind, and is not drawn at all where nobody watches."""
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


async def follow_all(
    api: GatewayClient, operations: Sequence[str], *, console: Console, within: float
) -> list[dict[str, Any]]:
    """Return the final status of each operation, in order; raises ApiError, and TimeoutError after `within` seconds."""
    slots = asyncio.Semaphore(TOGETHER)
    totals: dict[str, tuple[int, int]] = {}
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with passing_bar(console, *columns, TimeElapsedColumn()) as progress:
        bar = progress.add_task("Minting", total=None)

        async def follow(operation: str) -> dict[str, Any]:
            status: dict[str, Any] = {}
            async with slots:
                async for status in api.follow(operation, within=within, pause=PAUSE_SECONDS):
                    counts = status["progress"]
                    ended = counts["completed"] + counts["failed"] + counts.get("cancelled", 0)
                    totals[operation] = (ended, counts["total"])
                    done, known = (sum(column) for column in zip(*totals.values(), strict=True))
                    # Until each was looked at once, the total is not known.
                    progress.update(bar, completed=done, total=known if len(totals) == len(operations) else None)
            return status

        async with asyncio.timeout(within):
            return list(await asyncio.gather(*(follow(operation) for operation in operations)))
