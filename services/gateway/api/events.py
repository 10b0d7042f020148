"""`/api/mint/status/{transactionId}/events`: an operation's events as they happen, as server-sent events or WebSocket.

An event's id is its sequence in MINT, so a stream that broke goes on behind the last one that was seen. The last thing
of a stream is the event `end`: nothing more can happen to the operation.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import Annotated, cast

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

from chassis.racing import work_until
from contracts.access import Scope
from services.gateway.api import sockets
from services.gateway.api.auth import Access
from services.gateway.api.documentation import errors
from services.gateway.api.failures import deny
from services.gateway.api.identifiers import operation_id
from services.gateway.api.timeline import streamed
from services.gateway.callers import Caller
from services.gateway.errors import ApiError
from services.gateway.following import Following, StreamOver
from services.gateway.handlers import Statuses
from services.gateway.ports import LoggedEvent

MAX_SEQUENCE = 2**63 - 1
NORMAL_CLOSURE, POLICY_VIOLATION, TRY_AGAIN = 1000, 1008, 1013
"""Close codes of RFC 6455 and its registry."""

UNBUFFERED = {"X-Accel-Buffering": "no"}
"""Tells nginx and its kin to pass events on as they come."""

After = Annotated[int, Query(ge=0, le=MAX_SEQUENCE, description="Begin behind this sequence.")]
LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", description="Begin behind this sequence; sent by browsers that reconnect."),
]

Admitted = Callable[[], bool]
"""Tells whether the caller may go on reading; asked before anything is told, and now and then in between."""


def events_router(following: Following, statuses: Statuses, access: Access) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api/mint/status", tags=["mint"])

    @router.get(
        "/{transactionId}/events",
        responses=errors(400, 401, 404, 503)
        | {
            200: {
                "description": "Server-sent events.",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            }
        },
        response_class=StreamingResponse,
    )
    async def mint_events(  # pyright: ignore[reportUnusedFunction]
        request: Request,
        transactionId: str,  # noqa: N803
        caller: Annotated[Caller, Depends(access.permit(Scope.READ, "status"))],
        after: After = 0,
        last_event_id: LastEventId = None,
    ) -> StreamingResponse:
        """Follow an operation: its events until now and those to come; the last is `end`.

        With `mint.completed.v1` every item is settled; with `end` all that was minted is final too.
        An event's id is its sequence: with the last one that was seen in `Last-Event-ID` or `after`, a stream goes on
        where it broke. The same address takes WebSockets, on which each message is one event as JSON; a page offers
        them the subprotocols `mintstream` and `mintstream.bearer.<token>`.
        """
        operation = operation_id(transactionId)
        await statuses.operation(operation, caller)
        seen = int(last_event_id) if last_event_id and last_event_id.isdecimal() and len(last_event_id) < 20 else after
        events = following.events(operation, min(seen, MAX_SEQUENCE))
        first = await anext(events, None)  # so that what is unavailable is answered as an error
        admitted = partial(access.still_admits, request, Scope.READ)
        sent = _server_sent(first, events, admitted)
        return StreamingResponse(sent, media_type="text/event-stream", headers=UNBUFFERED)

    @router.websocket("/{transactionId}/events")
    async def mint_events_socket(  # pyright: ignore[reportUnusedFunction]
        socket: WebSocket,
        transactionId: str,  # noqa: N803
        after: After = 0,
    ) -> None:
        """Follow an operation over a WebSocket; each message is one event as JSON."""
        try:
            caller = await access.admit(socket, Scope.READ, "status")
            operation = operation_id(transactionId)
            await statuses.operation(operation, caller)
        except ApiError as error:  # stop: the caller has to change something, or to come again later
            await deny(socket, error)
            return
        await socket.accept(sockets.chosen(socket.scope))
        events = following.events(operation, after)
        admitted = partial(access.still_admits, socket, Scope.READ)
        # Until the caller has gone also while there is nothing to tell: it would keep a place for nobody.
        await work_until(_tell(socket, events, admitted), _gone(socket))

    return router


async def _server_sent(
    first: LoggedEvent | None, events: AsyncIterator[LoggedEvent | None], admitted: Admitted
) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n" if first is None else _frame(first)
    try:
        async for event in events:
            if not admitted():
                return
            yield b": still here\n\n" if event is None else _frame(event)
    except (StreamOver, ApiError):  # stop: the browser comes back with the last id that it has seen
        return
    yield b"event: end\ndata: {}\n\n"


def _frame(event: LoggedEvent) -> bytes:
    view = streamed(event)
    return f"id: {event.sequence}\nevent: {view['type']}\ndata: ".encode() + msgspec.json.encode(view) + b"\n\n"


async def _gone(socket: WebSocket) -> None:
    """Return when the caller has gone; nothing is expected of what it sends."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _tell(socket: WebSocket, events: AsyncIterator[LoggedEvent | None], admitted: Admitted) -> None:
    try:
        async with aclosing(cast("AsyncGenerator[LoggedEvent | None]", events)) as told:
            async for event in told:
                if not admitted():
                    await socket.close(POLICY_VIOLATION, "unauthorized")
                    return
                if event is not None:
                    await socket.send_text(msgspec.json.encode(streamed(event)).decode())
        await socket.close(NORMAL_CLOSURE, "end")
    except (StreamOver, ApiError):  # stop: the caller comes back with the last sequence that it has seen
        await socket.close(TRY_AGAIN, "come back with the last sequence")
    except WebSocketDisconnect:  # stop: nobody is there any more
        return
