"""Work that lasts until something else comes to pass, whichever is first; both have ended when the caller goes on.

Used by services for what is to be given up when its reason is gone: a connection, a caller.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def work_until(work: Coroutine[Any, Any, None], end: Coroutine[Any, Any, None]) -> None:
    """Do the work until it is done or `end` returns, and cancel what still runs. Raises what the work raises."""
    tasks = working, _ = asyncio.create_task(work), asyncio.create_task(end)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if not working.cancelled():
        working.result()
