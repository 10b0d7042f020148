"""Errors as answers: every one in the same shape, none with anything of the inside.

Installed by `api/app.py`. Not done here: deciding what is an error (`errors.py` and whoever raises from it).
"""

from collections.abc import Mapping

from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from services.gateway.api.answers import JsonAnswer
from services.gateway.api.responses import Failure, ProblemView
from services.gateway.errors import ApiError, Problem, ValidationFailed
from services.gateway.identity import new_id
from services.gateway.requests import MAX_PROBLEMS, path_of, sentence_of

PLAIN = {
    404: ("Endpoint not found", "not_found", "no endpoint has this path: /docs lists them all"),
    405: ("Method not allowed", "method_not_allowed", "the endpoint takes the methods that the header Allow names"),
}
"""What the HTTP layer itself refuses: message, code and what to do, by status."""
REFUSED = "refused"
"""The code of whatever else it refuses."""


def install(app: FastAPI) -> None:
    """Let `app` answer its errors in the one shape."""

    @app.exception_handler(ApiError)
    async def on_api_error(request: Request, error: ApiError) -> Response:  # pyright: ignore[reportUnusedFunction]
        return answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def on_parameters(request: Request, error: RequestValidationError) -> Response:  # pyright: ignore[reportUnusedFunction]
        # Path and query parameters only: bodies are read by `requests.py`. The first step says which of the two.
        return answer(request, _wrong_parameters(error))

    @app.exception_handler(WebSocketRequestValidationError)
    async def on_socket_parameters(socket: WebSocket, error: WebSocketRequestValidationError) -> None:  # pyright: ignore[reportUnusedFunction]
        await deny(socket, _wrong_parameters(error))

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:  # pyright: ignore[reportUnusedFunction]
        message, code, sentence = PLAIN.get(error.status_code, ("Request refused", REFUSED, ""))
        headers = _allowed(request, error) if error.status_code == 405 else error.headers
        details = [ProblemView(field="", message=sentence)] if sentence else []
        return _failure(request_id_of(request), error.status_code, message, code, details=details, headers=headers)


def _wrong_parameters(error: RequestValidationError | WebSocketRequestValidationError) -> ValidationFailed:
    return ValidationFailed(
        [Problem(path_of(one["loc"][1:]), sentence_of(one)) for one in error.errors()[:MAX_PROBLEMS]]
    )


def _allowed(request: Request, error: HTTPException) -> Mapping[str, str] | None:
    """Return the headers of a 405: the methods of every route at the path, where the framework names one route's.

    A path that is written out in the document is that one alone, though it fits a template too (`/import` and `/{id}`).
    """
    steps = request.url.path.split("/")
    paths: dict[str, dict[str, object]] = request.app.openapi()["paths"]
    literal = paths.get(request.url.path)
    fitting = [literal] if literal else [each for path, each in paths.items() if _fits(path.split("/"), steps)]
    methods = {method.upper() for each in fitting for method in each}
    return {"Allow": ", ".join(sorted(methods))} if methods else error.headers


def _fits(template: list[str], steps: list[str]) -> bool:
    return len(template) == len(steps) and all(
        wanted.startswith("{") or wanted == given for wanted, given in zip(template, steps, strict=True)
    )


def answer(request: Request, error: ApiError) -> Response:
    """Return the answer to a request that `error` refuses."""
    return refusal(request_id_of(request), error)


def refusal(request_id: str, error: ApiError) -> Response:
    """Return the answer that `error` is, to the request with this id."""
    return _failure(
        request_id,
        error.status,
        error.message,
        error.code,
        details=[ProblemView(field=problem.field, message=problem.message) for problem in error.problems],
        data=error.data,
        headers=error.headers,
    )


async def deny(socket: WebSocket, error: ApiError) -> None:
    """Answer a WebSocket that is not accepted yet as any other request that `error` refuses."""
    denial = refusal(str(new_id()), error)
    denial.headers.update(socket.scope.get("state", {}).get("answer_headers", {}))
    await socket.send_denial_response(denial)


def internal_error(request_id: str) -> Response:
    """Return the answer to a request that met a mistake of ours: the id to ask about it, and nothing else."""
    return _failure(request_id, 500, "Internal server error", "internal_error")


def request_id_of(request: Request) -> str:
    """Return the id under which `api/scope.py` logs this request."""
    return str(getattr(request.state, "request_id", ""))


def _failure(
    request_id: str,
    status: int,
    message: str,
    code: str,
    *,
    details: list[ProblemView] | None = None,
    data: dict[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    body = Failure(error=message, details=details or [], code=code, request_id=request_id, data=data)
    return JsonAnswer(body, headers or {}, status)
