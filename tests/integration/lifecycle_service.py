"""A small service that tests/integration/test_lifecycle.py runs as a process; `python -m ... MODE`."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from chassis import lifecycle
from chassis.lifecycle import Lifecycle
from chassis.settings import ServiceSettings, load_or_exit


def say(text: str) -> None:
    print(text, flush=True)


@asynccontextmanager
async def resource(name: str) -> AsyncGenerator[str, None]:
    say(f"open {name}")
    async with asyncio.TaskGroup():  # breaks if another task closes it
        yield name
    say(f"close {name}")


async def polite(life: Lifecycle) -> None:
    await life.draining.wait()
    say("finishing")
    await asyncio.sleep(0.05)
    say("finished")


async def stubborn() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        say("cut off")


async def immortal() -> None:
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


async def failing() -> None:
    await asyncio.sleep(0.01)
    raise RuntimeError("no luck with postgres://user:hunter2@host/db")


async def sick() -> None:
    raise ConnectionError("nats://user:hunter2@host is gone")


async def service(life: Lifecycle) -> None:
    mode = sys.argv[1]
    await life.enter(resource("a"))
    await life.enter(resource("b"))
    if mode == "sick":
        life.health.add("nats", sick)
    if mode == "failing":
        life.spawn("worker", failing())
    if mode == "stubborn":
        life.spawn("worker", stubborn())
    if mode == "immortal":
        life.spawn("worker", immortal())
    if mode == "broken":
        raise RuntimeError("cannot wire")
    if mode != "short":
        life.spawn("polite", polite(life))
    life.spawn("heartbeat", stubborn(), background=True)
    say("wired")


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(lifecycle.run(service, name="dummy", settings=load_or_exit(ServiceSettings)))
