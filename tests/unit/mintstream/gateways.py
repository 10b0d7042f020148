"""A gateway in memory, behind the transport of the real client: it records requests and answers as it was told."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from typer.testing import CliRunner, Result

from mintstream.cli import app

Answer = Callable[[httpx.Request], httpx.Response]


def success(data: Any = None, status: int = 200, **more: object) -> Answer:
    body: dict[str, Any] = {"success": True, **more} | ({} if data is None else {"data": data})
    return lambda _: httpx.Response(status, json=body)


def refusal(status: int, error: str, *details: tuple[str, str]) -> Answer:
    problems = [{"field": field, "message": message} for field, message in details]
    body = {"success": False, "error": error, "details": problems, "code": "some_code", "requestId": "r"}
    return lambda _: httpx.Response(status, json=body)


def silence(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody listens", request=request)


@dataclass
class FakeGateway(httpx.AsyncBaseTransport):
    """Answers by method and path; several answers to one are given in turn, the last one for ever."""

    answers: Mapping[str, list[Answer]]
    requests: list[httpx.Request] = field(default_factory=list[httpx.Request])

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        answers = self.answers[f"{request.method} {request.url.path}"]
        return (answers.pop(0) if len(answers) > 1 else answers[0])(request)

    def body(self, position: int = -1) -> Any:
        return json.loads(self.requests[position].content)

    def run(self, *arguments: str, **environ: str) -> Result:
        settings = {"MINTSTREAM_URL": "http://gateway", "MINTSTREAM_API_KEY": "key", "COLUMNS": "300"} | environ
        return CliRunner().invoke(app, list(arguments), obj=self, env=settings)


def operation(status: str, *, total: int = 1, completed: int = 0, failed: int = 0, **more: Any) -> dict[str, Any]:
    progress = {"total": total, "completed": completed, "failed": failed, "percentage": 0}
    return {"transactionId": "op", "status": status, "progress": progress, "results": [], **more}
