"""Hears over a node's WebSocket that a tree has changed, so that the follower need not wait for its next look.

Only a hint: what is heard is looked up before anything is concluded from it, and when nothing is heard the follower
looks all the same. So nothing here is retried, kept or answered for. Protocol: `accountSubscribe` of Solana's PubSub
API, at `finalized`, with a slice of no bytes: that the account has changed is all that is asked.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidURI, WebSocketException

from chassis.clock import Clock
from chassis.settings import Secret
from chassis.telemetry import get_logger

MAX_TREES: Final = 1000
"""Most trees that are listened for; changes of others are found by looking."""
FIRST_DELAY, LAST_DELAY = 0.5, 30.0
"""Seconds before a broken connection is opened again: doubled each time, up to the second number."""
LOOK_SECONDS: Final = 5.0
"""How often new trees are subscribed to."""
MAX_MESSAGE_BYTES: Final = 64 * 1024
OPEN_SECONDS: Final = 10.0

_log = get_logger(__name__)


class _Params(msgspec.Struct, frozen=True):
    subscription: int


class _Message(msgspec.Struct, frozen=True):
    """A notification (method and params) or an answer (id and result)."""

    method: str | None = None
    params: _Params | None = None
    id: int | None = None
    result: object = None


class TreeFeed:
    """Calls `on_news` with a tree when its account has changed; `trees` says which ones there are now."""

    def __init__(
        self, url: Secret, clock: Clock, trees: Callable[[], Iterable[str]], on_news: Callable[[Iterable[str]], None]
    ) -> None:
        self._url = url
        self._clock = clock
        self._trees = trees
        self._on_news = on_news

    async def run(self) -> None:
        """Keep a connection until cancelled."""
        delay = FIRST_DELAY
        while True:
            try:
                async with connect(
                    self._url.reveal(), open_timeout=OPEN_SECONDS, max_size=MAX_MESSAGE_BYTES, compression=None
                ) as socket:
                    delay = FIRST_DELAY
                    await self._listen(socket)
                reason = "closed by the node"
            except InvalidURI:
                # Stop: no other try would understand it. Looking goes on.
                _log.error("WS_URL is not a WebSocket URL; trees are only looked up")
                return
            except (OSError, WebSocketException, TimeoutError) as error:
                # Again after a while; the error's own text may hold the URL.
                reason = type(error).__name__
            _log.warning("subscription to trees lost", reason=reason, again_in=delay)
            await self._clock.sleep(delay)
            delay = min(LAST_DELAY, delay * 2)

    async def _listen(self, socket: ClientConnection) -> None:
        asked: dict[int, str] = {}
        subscribed: dict[int, str] = {}
        asking = asyncio.create_task(self._subscribe(socket, asked))
        try:
            async for text in socket:
                try:
                    message = msgspec.json.decode(text, type=_Message)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    # Stop with this message: it is none that we understand, and the follower looks anyway.
                    _log.warning("message of a subscription not understood")
                    continue
                if message.method == "accountNotification" and message.params is not None:
                    tree = subscribed.get(message.params.subscription)
                    self._on_news([tree] if tree else [])
                elif message.id in asked and isinstance(message.result, int):
                    subscribed[message.result] = asked.pop(message.id)
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)  # what ended it has ended the reading too

    async def _subscribe(self, socket: ClientConnection, asked: dict[int, str]) -> None:
        options = {"encoding": "base64", "commitment": "finalized", "dataSlice": {"offset": 0, "length": 0}}
        sent: set[str] = set()
        ids = itertools.count(1)
        while True:
            for tree in [each for each in self._trees() if each not in sent][: MAX_TREES - len(sent)]:
                number = next(ids)
                asked[number] = tree
                sent.add(tree)
                request = {"jsonrpc": "2.0", "id": number, "method": "accountSubscribe", "params": [tree, options]}
                await socket.send(msgspec.json.encode(request).decode())
            await self._clock.sleep(LOOK_SECONDS)
