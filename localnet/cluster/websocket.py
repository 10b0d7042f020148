"""The WebSocket side of the cluster: clients, their subscriptions and their bounded queues.

Used by the server. A client that reads too slowly is closed with a reason; it never slows the chain or other clients.
What a subscription means is in `subscriptions`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine

import msgspec
import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect

from localnet.cluster.model import Block, Commitment, Json
from localnet.cluster.node import Advance, Node
from localnet.cluster.params import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    PARSE_ERROR,
    Params,
    RpcError,
)
from localnet.cluster.rpc import error_answer
from localnet.cluster.subscriptions import Progress, Subscription, parse_subscribe

MAX_QUEUED = 1_024
MAX_SUBSCRIPTIONS = 1_024
MAX_CLIENTS = 256
CLOSE_SECONDS = 2.0
# RFC 6455 section 7.4.1.
POLICY_VIOLATION = 1008
TRY_AGAIN_LATER = 1013

_log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode


class Client:
    """One connection: its subscriptions and what is waiting to be sent to it."""

    def __init__(self) -> None:
        self.subscriptions: dict[int, Subscription] = {}
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(MAX_QUEUED)
        self.dropped = asyncio.Event()

    def send(self, message: Json) -> None:
        """Queue a message; a full queue marks the client for closing."""
        try:
            self.queue.put_nowait(_encode(message))
        except asyncio.QueueFull:  # stops: this client only; see `Hub.serve`
            self.dropped.set()

    def notify(self, number: int, subscription: Subscription, progress: Progress) -> None:
        """Queue what a change of the chain means to one subscription."""
        for result in subscription.notify(progress):
            params: Json = {"result": result, "subscription": number}
            self.send({"jsonrpc": "2.0", "method": subscription.notification, "params": params})
        if subscription.done:
            del self.subscriptions[number]


class Hub:
    """All WebSocket clients of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._clients: set[Client] = set()
        self._numbers = itertools.count(1)
        heads = node.heads
        # Slots are never used twice, so the highest slot told at each level says what is new, across forks too.
        self._told = {level: heads.at(level).slot for level in Commitment}
        node.listen(self.on_advance)

    async def on_advance(self, advance: Advance) -> None:
        """Tell every subscription about a change of the chain."""
        reached: dict[Commitment, tuple[Block, ...]] = {}
        chain = self._node.ledger.chain
        for level in Commitment:
            head = advance.after.at(level)
            told = self._told[level]
            reached[level] = tuple(block for block in chain.newer_than(told) if block.slot <= head.slot)
            self._told[level] = max(told, head.slot)
        progress = Progress(self._node.ledger, advance.after, reached)
        for client in tuple(self._clients):
            for number, subscription in tuple(client.subscriptions.items()):
                client.notify(number, subscription, progress)

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection until either side ends it."""
        await websocket.accept()
        if len(self._clients) >= MAX_CLIENTS:
            await websocket.close(TRY_AGAIN_LATER, "too many clients")
            return
        client = Client()
        self._clients.add(client)
        try:
            await _first_of(self._read(websocket, client), self._write(websocket, client), client.dropped.wait())
        finally:
            self._clients.discard(client)
        if client.dropped.is_set():
            _log.warning("websocket client dropped", reason="slow", queued=client.queue.qsize())
            await _close(websocket, f"too slow: more than {MAX_QUEUED} notifications unread")

    async def _read(self, websocket: WebSocket, client: Client) -> None:
        try:
            while True:
                client.send(self._answer(client, await websocket.receive_text()))
                self._catch_up(client)
        except (WebSocketDisconnect, KeyError):  # stops: the client left, or sent a binary frame
            return

    async def _write(self, websocket: WebSocket, client: Client) -> None:
        try:
            while True:
                await websocket.send_text((await client.queue.get()).decode("utf-8"))
        except (WebSocketDisconnect, RuntimeError):  # stops: the client left while we were sending
            return

    def _catch_up(self, client: Client) -> None:
        """Tell new signature subscriptions of what happened before they were made, after their confirmation."""
        progress = Progress(self._node.ledger, self._node.heads, dict.fromkeys(Commitment, ()))
        for number, subscription in tuple(client.subscriptions.items()):
            client.notify(number, subscription, progress)

    def _answer(self, client: Client, text: str) -> Json:
        try:
            request: Json = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return error_answer(None, RpcError(PARSE_ERROR, "Parse error"))
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return error_answer(None, RpcError(INVALID_REQUEST, "Invalid request"))
        request_id = request.get("id")
        try:
            result = self._call(client, str(request["method"]), _params(request.get("params")))
        except RpcError as error:
            return error_answer(request_id, error)
        return {"jsonrpc": "2.0", "id": request_id, "result": result}

    def _call(self, client: Client, method: str, params: Params) -> Json:
        if method.endswith("Unsubscribe"):
            return client.subscriptions.pop(params.natural(0, "subscription"), None) is not None
        if not method.endswith("Subscribe"):
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        if len(client.subscriptions) >= MAX_SUBSCRIPTIONS:
            raise RpcError(INVALID_REQUEST, f"Too many subscriptions; max {MAX_SUBSCRIPTIONS}")
        subscription = parse_subscribe(method, params, self._node.ledger, self._node.heads)
        number = next(self._numbers)
        client.subscriptions[number] = subscription
        return number


def _params(raw: Json) -> Params:
    if raw is None:
        return Params([])
    if not isinstance(raw, list):
        raise RpcError(INVALID_PARAMS, "Invalid params: expected an array")
    return Params(raw)


async def _first_of(*work: Coroutine[object, object, object]) -> None:
    """Run all until the first ends, then cancel and await the others; raises what the first raised."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _close(websocket: WebSocket, reason: str) -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await websocket.close(POLICY_VIOLATION, reason)
    except (TimeoutError, RuntimeError, WebSocketDisconnect):  # stops: it is gone, or will not listen
        return
