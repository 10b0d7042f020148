"""`/api/dead-letters`: messages that a consumer gave up on, replayed or dropped by a person. For admins."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import Field

from chassis.dead_letters import Letter
from contracts.access import Scope
from contracts.dead import DeadLetterSettled
from services.gateway.api.auth import Access
from services.gateway.api.documentation import errors
from services.gateway.api.identifiers import letter_number
from services.gateway.api.responses import Answer, Success
from services.gateway.callers import Caller
from services.gateway.dead_letters import DeadLetters, LetterPage
from services.gateway.texts import DIGITS

MAX_LIMIT = 100
MAX_SEQUENCE = 2**63 - 1


class DeadLetterView(Answer):
    """A message that a consumer gave up on."""

    letter: int
    """Its number."""
    consumer: str
    stream: str
    subject: str
    sequence: int
    """The message's own, on its stream."""
    reason: str
    deliveries: int
    """How often it was tried."""
    buried_at: datetime
    state: Literal["open", "replayed", "dropped"]
    caller: str | None = None
    """Who decided; left out while it is open, and when that was the command line."""

    @classmethod
    def of(cls, letter: Letter) -> "DeadLetterView":
        """Return the view of `letter`."""
        return cls(
            letter=letter.number,
            consumer=letter.fact.consumer,
            stream=letter.fact.stream,
            subject=letter.fact.subject_name,
            sequence=letter.fact.stream_sequence,
            reason=letter.fact.reason,
            deliveries=letter.fact.deliveries,
            buried_at=letter.buried_at,
            state="open" if letter.settled is None else letter.settled.outcome,
            caller=(letter.settled.caller or None) if letter.settled else None,
        )


class DeadLetterListView(Answer):
    """Dead letters, the oldest first. Without `nextCursor` it is the last page."""

    letters: list[DeadLetterView]
    next_cursor: int | None = None

    @classmethod
    def of(cls, page: LetterPage) -> "DeadLetterListView":
        """Return the view of `page`."""
        return cls(letters=[DeadLetterView.of(each) for each in page.letters], next_cursor=page.after)


class DeadLetterDetailView(Answer):
    """A dead letter with its message as it was."""

    letter: DeadLetterView
    headers: dict[str, str]
    payload: str
    payload_encoding: str
    """`utf-8`, or `base64` for what is no text."""

    @classmethod
    def of(cls, letter: Letter) -> "DeadLetterDetailView":
        """Return the view of `letter`."""
        return cls(
            letter=DeadLetterView.of(letter),
            headers=dict(letter.fact.headers),
            payload=letter.fact.payload,
            payload_encoding=letter.fact.payload_encoding,
        )


class DecisionView(Answer):
    """What was decided about a dead letter."""

    letter: int
    state: Literal["replayed", "dropped"]
    sequence: int | None = None
    """Of the message that was said again, on the letter's stream."""

    @classmethod
    def of(cls, settled: DeadLetterSettled) -> "DecisionView":
        """Return the view of a decision."""
        return cls(letter=settled.letter, state=settled.outcome, sequence=settled.said_at or None)


def dead_letters_router(dead_letters: DeadLetters, access: Access) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api/dead-letters", tags=["system"])
    admin = Depends(access.permit(Scope.ADMIN))

    @router.get("", responses=errors(400, 401, 503), response_model_exclude_none=True, dependencies=[admin])
    async def list_dead_letters(  # pyright: ignore[reportUnusedFunction]
        state: Literal["open", "all"] = "open",
        cursor: Annotated[int, Field(ge=0, le=MAX_SEQUENCE), DIGITS] = 0,
        limit: Annotated[int, Field(ge=1, le=MAX_LIMIT), DIGITS] = 20,
    ) -> Success[DeadLetterListView]:
        """List the messages that a consumer gave up on: those of which nothing was decided, or all."""
        page = await dead_letters.page(settled=state == "all", after=cursor, limit=limit)
        return Success(data=DeadLetterListView.of(page))

    @router.get("/{letter}", responses=errors(401, 404, 503), response_model_exclude_none=True, dependencies=[admin])
    async def one_dead_letter(letter: str) -> Success[DeadLetterDetailView]:  # pyright: ignore[reportUnusedFunction]
        """Look at a letter with its message, whole."""
        return Success(data=DeadLetterDetailView.of(await dead_letters.one(letter_number(letter))))

    @router.post("/{letter}/replay", responses=errors(401, 404, 409, 503), response_model_exclude_none=True)
    async def replay_dead_letter(letter: str, caller: Annotated[Caller, admin]) -> Success[DecisionView]:  # pyright: ignore[reportUnusedFunction]
        """Say a letter's message again, so that its consumers are given it once more. Mend the cause first.

        It is refused when something else was said on its subject since: then the log has gone on without it.
        """
        return Success(data=DecisionView.of(await dead_letters.replay(letter_number(letter), caller)))

    @router.post("/{letter}/drop", responses=errors(401, 404, 409, 503), response_model_exclude_none=True)
    async def drop_dead_letter(letter: str, caller: Annotated[Caller, admin]) -> Success[DecisionView]:  # pyright: ignore[reportUnusedFunction]
        """Take a letter off the list: its message will never be handled. It stays on the log."""
        return Success(data=DecisionView.of(await dead_letters.drop(letter_number(letter), caller)))

    return router
