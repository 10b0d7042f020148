"""`/api/mint`: ask for NFTs, and see how they are doing (source document, sections 2 and 9)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from starlette.responses import Response

from chassis.clock import Clock
from contracts.access import Scope
from contracts.mint import Requested
from services.gateway.api.admission import let_go
from services.gateway.api.answers import JsonAnswer
from services.gateway.api.auth import Access
from services.gateway.api.body import received
from services.gateway.api.direct import PREFER_HEADER, DirectRoute, Endpoint
from services.gateway.api.documentation import body_of, errors
from services.gateway.api.fields import field
from services.gateway.api.identifiers import operation_id
from services.gateway.api.responses import MintBatchView, MintSingleView, StatusView, Success
from services.gateway.api.scope import line_fields
from services.gateway.callers import Caller
from services.gateway.handlers import Minting, Statuses
from services.gateway.identity import IDEMPOTENCY_HEADER
from services.gateway.ports import Operation
from services.gateway.requests import MintBatchBody, MintSingleBody
from services.gateway.results import Results, preferred_wait
from services.gateway.wallets import Wallets

IdempotencyKey = Annotated[str | None, Header(alias=IDEMPOTENCY_HEADER, include_in_schema=False)]

Prefer = Annotated[
    str | None,
    Header(
        alias=PREFER_HEADER,
        description="`wait=N`: the answer waits up to N seconds, at most 60, for the result (RFC 7240).",
    ),
]

_RAW_PREFER = PREFER_HEADER.lower().encode()
_RAW_IDEMPOTENCY = IDEMPOTENCY_HEADER.lower().encode()

_SINGLE_JSON = ("metadata",)
_BATCH_JSON = ("nfts",)


def mint_router(
    minting: Minting, statuses: Statuses, results: Results, wallets: Wallets, access: Access, clock: Clock
) -> tuple[APIRouter, Sequence[DirectRoute]]:
    """Return the routes of the noun, and those of them that are answered directly."""
    router = APIRouter(prefix="/api/mint", tags=["mint"])
    minter = Depends(access.permit(Scope.MINT, "mint"))
    reader = Depends(access.permit(Scope.READ, "status"))

    @router.post(
        "/single",
        responses=errors(400, 401, 404, 409, 413, 415, 503),
        openapi_extra=body_of(MintSingleBody, file_field="image", many=False, json_fields=_SINGLE_JSON),
        response_model=Success[MintSingleView],
    )
    async def mint_single(
        request: Request, caller: Annotated[Caller, minter], key: IdempotencyKey = None, prefer: Prefer = None
    ) -> Response:
        """Mint one NFT, in one or more copies."""
        async with received(request, file_field="image", json_fields=_SINGLE_JSON) as body:
            requested = await minting.single(body.fields, body.files, caller.name, key)
        note(request, requested)
        ended, headers = await waited(results, requested, prefer, request)
        view = Success(data=MintSingleView.of(requested, ended), message=_message("Mint", ended))
        return JsonAnswer(view, headers)

    @router.post(
        "/batch",
        responses=errors(400, 401, 404, 409, 413, 415, 503),
        openapi_extra=body_of(MintBatchBody, file_field="images", many=True, json_fields=_BATCH_JSON),
        response_model=Success[MintBatchView],
    )
    async def mint_batch(
        request: Request, caller: Annotated[Caller, minter], key: IdempotencyKey = None, prefer: Prefer = None
    ) -> Response:
        """Mint up to 1000 NFTs. Files go, in order, to the NFTs that bring no image URI."""
        async with received(request, file_field="images", json_fields=_BATCH_JSON) as body:
            requested = await minting.batch(body.fields, body.files, caller.name, key)
        note(request, requested)
        ended, headers = await waited(results, requested, prefer, request)
        view = Success(data=MintBatchView.of(requested, ended), message=_message("Batch mint", ended))
        return JsonAnswer(view, headers)

    @router.get(
        "/status/{transactionId}",
        responses=errors(401, 404, 503),
        response_model=Success[StatusView],
    )
    async def mint_status(
        transactionId: str,  # noqa: N803
        caller: Annotated[Caller, reader],
    ) -> Response:
        """See how an operation stands; `message` says so when it may be waiting for a wallet to be topped up."""
        found = await statuses.operation(operation_id(transactionId), caller)
        message = await wallets.hint() if found.status in ("pending", "processing") else None
        return JsonAnswer(Success(data=StatusView.of(found, clock.now()), message=message), {})

    def admit_minter(request: Request) -> Awaitable[Caller]:
        return access.admit(request, Scope.MINT, "mint")

    def admit_reader(request: Request) -> Awaitable[Caller]:
        return access.admit(request, Scope.READ, "status")

    return router, (
        DirectRoute("POST", "/api/mint/single", admit_minter, _with_headers(mint_single)),
        DirectRoute("POST", "/api/mint/batch", admit_minter, _with_headers(mint_batch)),
        DirectRoute(
            "GET", "/api/mint/status/{transactionId}", admit_reader, lambda _, caller, last: mint_status(last, caller)
        ),
    )


def _with_headers(mint: Callable[[Request, Caller, str | None, str | None], Awaitable[Response]]) -> Endpoint:
    """Return the endpoint that gives `mint` the headers that it heeds."""

    def endpoint(request: Request, caller: Caller, _: str) -> Awaitable[Response]:
        return mint(request, caller, field(request.scope, _RAW_IDEMPOTENCY), field(request.scope, _RAW_PREFER))

    return endpoint


def note(request: Request, requested: Requested) -> None:
    """Have the request's log line say what is on the log for it."""
    line_fields(request.scope).update(
        operation=str(requested.operation), collection=str(requested.collection), items=requested.total
    )


async def waited(
    results: Results, requested: Requested, prefer: str | None, request: Request
) -> tuple[Operation | None, dict[str, str]]:
    """Return the operation once it has ended, when the caller prefers to wait and it does so in that time.

    Beside it are the headers that say that the preference was heeded.
    """
    seconds = preferred_wait(prefer)
    if not seconds:
        return None, {}
    let_go(request)
    return await results.within(requested.operation, seconds), {"Preference-Applied": f"wait={seconds}"}


def _message(what: str, ended: Operation | None) -> str:
    return f"{what} operation {ended.status if ended else 'queued'} {'' if ended else 'successfully'}".strip()
