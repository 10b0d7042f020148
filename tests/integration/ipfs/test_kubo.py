"""The Kubo adapter against the embedded endpoint, and against nodes that misbehave."""

import socket
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from chassis.clock import ManualClock
from chassis.redaction import Secret
from services.ipfs.adapters.kubo import KuboPinning
from services.ipfs.adapters.provider import PROFILES
from services.ipfs.ports import Content, ContentMismatch, PinUnavailable
from tests.support.content import content_of, folder_of
from tests.support.pinning import pinning_endpoint
from unixfs import V0, V1, import_bytes

DATA = bytes(range(256)) * 5_000


def content(data: bytes = DATA) -> Content:
    return content_of(data)


@pytest.fixture
async def client() -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60) as opened:
        yield opened


async def test_content_is_pinned_under_its_computed_cid(tmp_path: Path, client: httpx.AsyncClient) -> None:
    async with pinning_endpoint(tmp_path) as endpoint:
        for profile in PROFILES.values():
            service = KuboPinning(client, endpoint.url + "/", profile, ManualClock())
            await service.check()
            for data in (b"", b"small", DATA):
                cid = import_bytes(data, profile).cid
                await service.pin(content_of(data, cid))
                await service.pin(content_of(data, cid))
                assert (await client.get(f"{endpoint.url}/ipfs/{cid}")).content == data
                pins = await client.post(f"{endpoint.url}/api/v0/pin/ls", params={"arg": str(cid)})
                assert pins.status_code == 200


async def test_a_directory_is_pinned_whole(tmp_path: Path, client: httpx.AsyncClient) -> None:
    async with pinning_endpoint(tmp_path) as endpoint:
        service = KuboPinning(client, endpoint.url, V1, ManualClock())
        folder = folder_of({f"{number}.json": b'{"name":"%d"}' % number for number in range(1000)})
        await service.pin(folder)
        await service.pin(folder)
        assert (await client.get(f"{endpoint.url}/ipfs/{folder.cid}/7.json")).content == b'{"name":"7"}'
        assert await service.has(folder.cid)
        await client.post(f"{endpoint.url}/api/v0/pin/rm", params={"arg": str(folder.cid)})
        assert not await service.has(folder.cid)


async def test_many_files_in_one_request_are_each_pinned_by_themselves(
    tmp_path: Path, client: httpx.AsyncClient
) -> None:
    async with pinning_endpoint(tmp_path) as endpoint:
        service = KuboPinning(client, endpoint.url, V1, ManualClock())
        files = [content(b'{"name":"%d"}' % number) for number in range(service.most_files)]
        await service.pin_all(files)
        await service.pin_all(files)
        assert all([await service.has(each.cid) for each in files])
        assert (await client.get(f"{endpoint.url}/ipfs/{files[7].cid}")).content == b'{"name":"7"}'


async def test_of_many_files_one_under_another_cid_is_a_mismatch(tmp_path: Path, client: httpx.AsyncClient) -> None:
    async with pinning_endpoint(tmp_path) as endpoint:
        service = KuboPinning(client, endpoint.url, V1, ManualClock())
        wrong = content_of(b"b", content(b"c").cid)
        with pytest.raises(ContentMismatch) as caught:
            await service.pin_all([content(b"a"), wrong])
        assert caught.value.expected == wrong.cid


async def test_an_answer_without_a_line_for_each_file_is_not_understood() -> None:
    line = f'{{"Hash":"{content(b"a").cid}"}}'
    with pytest.raises(PinUnavailable, match="1 lines instead of 2"):
        await node(PlainTextResponse(line), []).pin_all([content(b"a"), content(b"b")])


async def test_a_name_cannot_break_out_of_its_header(tmp_path: Path, client: httpx.AsyncClient) -> None:
    async with pinning_endpoint(tmp_path) as endpoint:
        service = KuboPinning(client, endpoint.url, V1, ManualClock())
        name = 'a"\r\nContent-Type: application/x-directory\r\n\r\n'
        await service.pin(content_of(b"data", name=name))


async def test_another_profile_is_a_mismatch(tmp_path: Path, client: httpx.AsyncClient) -> None:
    async with pinning_endpoint(tmp_path) as endpoint:
        with pytest.raises(ContentMismatch):
            await KuboPinning(client, endpoint.url, V0, ManualClock()).pin(content())


def node(answer: Response, seen: list[Request]) -> KuboPinning:
    """Return the adapter on a node that answers every request alike."""

    async def respond(request: Request) -> Response:
        await request.body()
        seen.append(request)
        return answer

    app = Starlette(routes=[Route("/{path:path}", respond, methods=["POST"])])
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app))
    return KuboPinning(client, "http://node.test", V1, ManualClock(), Secret("Bearer of-bad-news"))


@pytest.mark.parametrize(
    "body",
    [
        "",
        '{"Name":"x","Ha',
        '{"Name":"x","Bytes":262144}',
        '{"Hash":"nonsense"}',
        f'{{"Hash":"{import_bytes(DATA).cid}"}}\n{{"Hash":"{import_bytes(DATA).cid}"}}',
        "x" * 70_000,
    ],
)
async def test_a_cut_or_strange_answer_is_not_a_pin(body: str) -> None:
    with pytest.raises(PinUnavailable, match="not understood"):
        await node(PlainTextResponse(body), []).pin(content())


async def test_what_was_added_and_not_pinned_is_not_a_pin() -> None:
    files = [content_of(b"a"), content_of(b"b")]
    answers = {
        "/api/v0/add": PlainTextResponse("\n".join(f'{{"Hash":"{each.cid}"}}' for each in files)),
        "/api/v0/pin/ls": PlainTextResponse(f'{{"Message":"path {files[1].cid} is not pinned","Code":0}}', 500),
    }

    async def respond(request: Request) -> Response:
        await request.body()
        return answers[request.url.path]

    app = Starlette(routes=[Route("/{path:path}", respond, methods=["POST"])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as opened:
        service = KuboPinning(opened, "http://node.test", V1, ManualClock())
        with pytest.raises(PinUnavailable, match="not pinned it"):
            await service.pin_all(files)
        answers["/api/v0/add"] = PlainTextResponse(f'{{"Hash":"{files[0].cid}"}}')
        with pytest.raises(PinUnavailable, match="not pinned it"):
            await service.pin(files[0])
        answers["/api/v0/pin/ls"] = PlainTextResponse(f'{{"Keys":{{"{files[1].cid}":{{"Type":"recursive"}}}}}}')
        with pytest.raises(PinUnavailable, match="not pinned it"):
            await service.pin(files[0])


async def test_errors_of_the_node_are_retried_and_hide_the_authorization() -> None:
    seen: list[Request] = []
    answer = PlainTextResponse('{"Message":"no space left","Code":0,"Type":"error"}', 500)
    with pytest.raises(PinUnavailable, match="no space left") as caught:
        await node(answer, seen).pin(content())
    assert (caught.value.operator, "of-bad-news" in repr(caught.value)) == (False, False)
    assert seen[0].headers["authorization"] == "Bearer of-bad-news"
    assert seen[0].url.path == "/api/v0/add"
    assert seen[0].query_params["pin"] == "true"


async def test_a_node_that_is_away_is_retried(client: httpx.AsyncClient) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # not listening: connections are refused
        service = KuboPinning(client, f"http://127.0.0.1:{taken.getsockname()[1]}", V1, ManualClock())
        with pytest.raises(PinUnavailable, match="cannot be reached"):
            await service.pin(content())


async def test_a_node_that_never_answers_is_retried() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        async with httpx.AsyncClient(timeout=0.2) as client:
            service = KuboPinning(client, f"http://127.0.0.1:{silent.getsockname()[1]}", V1, ManualClock())
            with pytest.raises(PinUnavailable, match="in time"):
                await service.pin(content(b"small"))
