"""Hears over a node's WebSocket that a tree has changed, so that the follower need not wait for its next look.

Only a hint: what is heard is looked up before anything is concluded from it, and when nothing is heard the follower
looks all the same. So nothing here is retried, kept or answered for. Protocol: `accountSubscribe` of Solana's PubSub
API, at `finalized`, with a slice of no bytes: that the account has changed is all that is asked.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import Final

from chassis.clock import Clock
from chassis.pubsub import Connection, PubSub
from chassis.settings import Secret

MAX_TREES: Final = 1000
"""Most trees that are listened for; changes of others are found by looking."""
LOOK_SECONDS: Final = 5.0
"""How often new trees are subscribed to."""


class TreeFeed:
    """Calls `on_news` with a tree when its account has changed; `trees` says which ones there are now."""

    def __init__(
        self, url: Secret, clock: Clock, trees: Callable[[], Iterable[str]], on_news: Callable[[Iterable[str]], None]
    ) -> None:
        self._pubsub = PubSub(url, clock, "trees")
        self._clock = clock
        self._trees = trees
        self._on_news = on_news

    async def run(self) -> None:
        """Keep a connection until cancelled."""
        await self._pubsub.keep(self._listen)

    async def _listen(self, connection: Connection) -> None:
        asked: dict[int, str] = {}
        subscribed: dict[int, str] = {}
        asking = asyncio.create_task(self._subscribe(connection, asked))
        try:
            async for message in connection:
                news = message.news_of("accountNotification")
                if news is not None:
                    tree = subscribed.get(news)
                    self._on_news([tree] if tree else [])
                elif message.id in asked and isinstance(message.result, int):
                    subscribed[message.result] = asked.pop(message.id)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)  # what ended it has ended the reading too

    async def _subscribe(self, connection: Connection, asked: dict[int, str]) -> None:
        options = {"encoding": "base64", "commitment": "finalized", "dataSlice": {"offset": 0, "length": 0}}
        sent: set[str] = set()
        ids = itertools.count(1)
        while True:
            for tree in [each for each in self._trees() if each not in sent][: MAX_TREES - len(sent)]:
                number = next(ids)
                asked[number] = tree
                sent.add(tree)
                await connection.call(number, "accountSubscribe", [tree, options])
            await self._clock.sleep(LOOK_SECONDS)
