"""`/api/auth`: sign in with a Solana wallet, and see who one is."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request

from contracts.access import Scope
from services.gateway.api.auth import Access
from services.gateway.api.body import received
from services.gateway.api.documentation import errors, json_body_of
from services.gateway.api.responses import Answer, Success
from services.gateway.callers import Caller
from services.gateway.errors import SignInNotOffered
from services.gateway.requests import ChallengeBody, LoginBody, read_body
from services.gateway.signing_in import Challenge, SignIn, iso
from services.gateway.tokens import Token

MAX_BODY_BYTES = 8 * 1024
"""Of strangers."""


class ChallengeView(Answer):
    """A message to sign, and its parts in the names of the Wallet Standard's `solana:signIn`."""

    message: str
    domain: str
    address: str
    statement: str
    uri: str
    version: Literal["1"] = "1"
    nonce: str
    issued_at: str
    expiration_time: str

    @classmethod
    def of(cls, challenge: Challenge, statement: str) -> "ChallengeView":
        """Return the view of a challenge."""
        return cls(
            message=challenge.message,
            domain=challenge.domain,
            address=challenge.address,
            statement=statement,
            uri=challenge.uri,
            nonce=challenge.nonce,
            issued_at=iso(challenge.issued_at),
            expiration_time=iso(challenge.expires_at),
        )


class CallerView(Answer):
    """Who a caller is."""

    caller: str
    scopes: list[Scope]

    @classmethod
    def of(cls, caller: Caller) -> "CallerView":
        """Return the view of a caller."""
        return cls(caller=caller.name, scopes=sorted(caller.scopes))


class TokenView(CallerView):
    """A token, to be sent as `Authorization: Bearer <token>` until it expires."""

    token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 (the scheme's name)
    expires_at: str

    @classmethod
    def issued(cls, token: Token) -> "TokenView":
        """Return the view of a token."""
        known = CallerView.of(token.caller)
        return cls(caller=known.caller, scopes=known.scopes, token=token.text, expires_at=iso(token.expires_at))


def login_router(sign_in: SignIn | None, access: Access) -> APIRouter:
    """Return the routes; without `sign_in` they say that it is not offered."""
    router = APIRouter(prefix="/api/auth", tags=["auth"])
    stranger = Depends(access.count_stranger)

    @router.post(
        "/challenge",
        responses=errors(400, 404, 413, 415, 429),
        openapi_extra=json_body_of(ChallengeBody),
        dependencies=[stranger],
        response_model_exclude_none=True,
    )
    async def challenge(request: Request) -> Success[ChallengeView]:  # pyright: ignore[reportUnusedFunction]
        """Ask for a message that the wallet signs to sign in. It is good for five minutes and for one sign-in."""
        offered = _offered(sign_in)
        async with received(request, file_field="", json_fields=(), json_limit=MAX_BODY_BYTES) as body:
            asked = read_body(ChallengeBody, body.fields)
        made = offered.challenge(asked.address, asked.domain)
        return Success(data=ChallengeView.of(made, offered.statement))

    @router.post(
        "/login",
        responses=errors(400, 401, 404, 413, 415, 429, 503),
        openapi_extra=json_body_of(LoginBody),
        dependencies=[stranger],
        response_model_exclude_none=True,
    )
    async def login(request: Request) -> Success[TokenView]:  # pyright: ignore[reportUnusedFunction]
        """Take the signed message for a bearer token."""
        offered = _offered(sign_in)
        async with received(request, file_field="", json_fields=(), json_limit=MAX_BODY_BYTES) as body:
            given = read_body(LoginBody, body.fields)
        token = await offered.token(given.message, given.signature)
        return Success(data=TokenView.issued(token), message="Signed in successfully")

    @router.get("/me", responses=errors(401), response_model_exclude_none=True)
    async def me(  # pyright: ignore[reportUnusedFunction]
        caller: Annotated[Caller, Depends(access.permit(None))],
    ) -> Success[CallerView]:
        """See who one is, and what one may do."""
        return Success(data=CallerView.of(caller))

    return router


def _offered(sign_in: SignIn | None) -> SignIn:
    if sign_in is None:
        raise SignInNotOffered
    return sign_in
