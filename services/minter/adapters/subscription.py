"""Hears over a node's WebSocket that a signature was confirmed, so that the watcher need not wait for its next look.

Only a hint: what is heard is looked up before anything is concluded from it, and when nothing is heard the watcher
looks all the same. So nothing here is retried, acknowledged or kept for long: a connection that breaks is opened again,
a signature that is not heard of in LIFETIME is forgotten. Protocol: `signatureSubscribe` of Solana's PubSub API, whose
subscriptions end with their one notification.
"""

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from chassis.clock import Clock
from chassis.pubsub import Connection, Message, PubSub
from chassis.settings import Secret

LIFETIME: Final = 90.0
"""Seconds after which a signature is no longer listened for: its blockhash has expired by then."""
MAX_LISTENED: Final = 1000
"""Most signatures listened for at once; those beyond are found by looking."""
MAX_HEARD: Final = 4096
"""Most signatures that are remembered as heard, so that they are not listened for again."""


class SignatureFeed:
    """Calls `on_news` when a signature that is listened for was confirmed; `run` must be running."""

    def __init__(self, url: Secret, clock: Clock, on_news: Callable[[], None]) -> None:
        self._pubsub = PubSub(url, clock, "signatures")
        self._clock = clock
        self._on_news = on_news
        self._listened: OrderedDict[str, float] = OrderedDict()
        self._heard: OrderedDict[str, None] = OrderedDict()
        self._changed = asyncio.Event()

    def listen(self, signature: str) -> None:
        """Listen for a signature from now on; at once, whether or not the connection stands."""
        if signature in self._listened or signature in self._heard or len(self._listened) >= MAX_LISTENED:
            return
        self._listened[signature] = self._clock.monotonic()
        self._changed.set()

    async def run(self) -> None:
        """Keep a connection while anything is listened for, until cancelled."""
        await self._pubsub.keep(lambda connection: _Session(self, connection).run(), self._wanted)

    async def _wanted(self) -> None:
        self._forget_old()
        await self._changed.wait()

    def heard(self, signature: str) -> None:
        """Take a notification."""
        self._listened.pop(signature, None)
        self._heard[signature] = None
        while len(self._heard) > MAX_HEARD:
            self._heard.popitem(last=False)
        self._on_news()

    async def changed(self) -> tuple[str, ...]:
        """Wait for a signature to listen for; return all that are."""
        await self._changed.wait()
        self._changed.clear()
        self._forget_old()
        return tuple(self._listened)

    def again(self) -> None:
        """Have `changed` tell of all signatures once more: a new connection knows of none."""
        if self._listened:
            self._changed.set()

    def _forget_old(self) -> None:
        now = self._clock.monotonic()
        while self._listened and now - next(iter(self._listened.values())) > LIFETIME:
            self._listened.popitem(last=False)


class _Session:
    """One connection: which request and which subscription is whose."""

    def __init__(self, feed: SignatureFeed, connection: Connection) -> None:
        self._feed = feed
        self._connection = connection
        self._ids = itertools.count(1)
        self._asked: dict[int, str] = {}
        self._subscribed: dict[int, str] = {}
        self._sent: set[str] = set()

    async def run(self) -> None:
        """Subscribe and hear until the connection ends; raises what it ended of."""
        self._feed.again()
        asking = asyncio.create_task(self._ask())
        try:
            async for message in self._connection:
                self._hear(message)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)  # what ended it has ended the reading too
            self._feed.again()

    async def _ask(self) -> None:
        while True:
            wanted = await self._feed.changed()
            for signature in [each for each in wanted if each not in self._sent]:
                number = next(self._ids)
                self._asked[number] = signature
                self._sent.add(signature)
                await self._connection.call(number, "signatureSubscribe", [signature, {"commitment": "confirmed"}])
            stale = [number for number, signature in self._subscribed.items() if signature not in wanted]
            for subscription in stale:
                self._sent.discard(self._subscribed.pop(subscription))
                await self._connection.call(next(self._ids), "signatureUnsubscribe", [subscription])

    def _hear(self, message: Message) -> None:
        news = message.news_of("signatureNotification")
        if news is not None:
            signature = self._subscribed.pop(news, None)
            if signature is not None:
                self._sent.discard(signature)
                self._feed.heard(signature)
        elif message.id is not None:
            signature = self._asked.pop(message.id, None)
            if signature is not None and isinstance(message.result, int):
                self._subscribed[message.result] = signature
