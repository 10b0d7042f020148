"""Whether bytes have their CID: files, files in directories, gateways that lie, lack, fail, or give no blocks."""

import asyncio
from collections.abc import Callable, Mapping
from urllib.parse import unquote

import httpx
import pytest

from audit.content import PROFILES, Contents
from unixfs import Cid, Entry, FileReader, ImportProfile, import_bytes, import_directory, resolve

DOCUMENTS = {"0.json": b'{"name":"a"}', "1.json": b'{"name":"b"}', "a b.json": b"{}"}
PICTURE = bytes(range(256)) * 3000
"""Of more than one block."""

Blocks = dict[Cid, bytes]
Answer = Callable[[httpx.Request], httpx.Response]


def blocks_of(profile: ImportProfile, *, preview: bool = False) -> tuple[Blocks, Cid, Cid]:
    """A picture and a directory, with their roots; `preview`: the directory has a file that nobody asks about."""
    blocks: Blocks = {}
    picture = import_bytes(PICTURE, profile, blocks.__setitem__).cid
    files = DOCUMENTS | ({"preview.webp": b"small"} if preview else {})
    roots = {name: import_bytes(data, profile, blocks.__setitem__) for name, data in files.items()}
    entries = [Entry(name, root.cid, root.dag_size) for name, root in roots.items()]
    return blocks, picture, import_directory(entries, profile, blocks.__setitem__).cid


def gateway(blocks: Mapping[Cid, bytes], *, raw: bool = True, lies: Mapping[str, bytes] | None = None) -> Answer:
    """A path gateway; `raw`: it gives blocks; `lies`: what it gives at these paths instead."""

    def answer(request: httpx.Request) -> httpx.Response:
        path = unquote(request.url.path.removeprefix("/ipfs/"))
        root, _, name = path.partition("/")
        if lies and path in lies:
            return httpx.Response(200, content=lies[path])
        try:
            if request.url.params.get("format") == "raw":
                return httpx.Response(200, content=blocks[Cid.parse(root)]) if raw else httpx.Response(400)
            found = resolve(Cid.parse(root), name, blocks.__getitem__)
        except LookupError:
            return httpx.Response(404)
        assert isinstance(found, Cid)
        return httpx.Response(200, content=b"".join(FileReader(found, blocks.__getitem__).read()))

    return answer


def away(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("away", request=request)


def failing(request: httpx.Request) -> httpx.Response:
    return httpx.Response(502)


def asking(*gateways: Answer) -> Contents:
    return Contents([httpx.AsyncClient(base_url="http://g", transport=httpx.MockTransport(each)) for each in gateways])


def uris_of(picture: Cid, directory: Cid) -> list[str]:
    return [picture.uri, *(f"{directory.uri}/{name}" for name in DOCUMENTS)]


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("raw", [True, False])
async def test_files_and_files_in_directories_are_proven_with_blocks_and_without(
    profile: ImportProfile, raw: bool
) -> None:
    blocks, picture, directory = blocks_of(profile)
    uris = uris_of(picture, directory)
    found = await asking(gateway(blocks, raw=raw)).check(uris)
    assert (found.has_its_cid, found.silences) == (dict.fromkeys(uris, True), {})


async def test_other_bytes_are_found_file_by_file() -> None:
    blocks, picture, directory = blocks_of(PROFILES[0])
    lies = {f"{directory}/1.json": b"{}", str(picture): PICTURE[:-1]}
    found = await asking(gateway(blocks, lies=lies)).check(uris_of(picture, directory))
    wrong = {f"{directory.uri}/1.json", picture.uri}
    assert {uri for uri, same in found.has_its_cid.items() if same is False} == wrong
    assert {uri for uri, same in found.has_its_cid.items() if same} == {*uris_of(picture, directory)} - wrong


async def test_a_name_that_the_directory_does_not_have_is_wrong_whatever_a_gateway_gives() -> None:
    blocks, _, directory = blocks_of(PROFILES[0])
    found = await asking(gateway(blocks, lies={f"{directory}/9.json": b"{}"})).check([f"{directory.uri}/9.json"])
    assert found.has_its_cid == {f"{directory.uri}/9.json": False}


@pytest.mark.parametrize("preview", [True, False])
async def test_without_blocks_only_what_makes_the_whole_directory_is_proven(preview: bool) -> None:
    blocks, _, directory = blocks_of(PROFILES[0], preview=preview)
    lies = {} if preview else {f"{directory}/1.json": b"{}"}
    uris = [f"{directory.uri}/{name}" for name in DOCUMENTS]
    found = await asking(gateway(blocks, raw=False, lies=lies)).check(uris)
    assert found.has_its_cid == {}
    assert set(found.silences) == set(uris)


async def test_a_forged_block_is_not_believed() -> None:
    blocks, _, directory = blocks_of(PROFILES[0])
    forged = import_bytes(b"forged", PROFILES[0], blocks.__setitem__)
    other: Blocks = {}
    import_directory([Entry("0.json", forged.cid, forged.dag_size)], PROFILES[0], other.__setitem__)
    (block,) = other.values()
    lies = {str(directory): block, f"{directory}/0.json": b"forged"}
    found = await asking(gateway(blocks, lies=lies)).check([f"{directory.uri}/0.json"])
    assert True not in found.has_its_cid.values()


async def test_the_next_gateway_is_asked_when_one_is_away_lies_or_lacks() -> None:
    blocks, picture, directory = blocks_of(PROFILES[0])
    uris, honest = uris_of(picture, directory), gateway(blocks)
    lying = gateway(blocks, lies={str(picture): b"no", f"{directory}/0.json": b"no", str(directory): b"no"})
    for first in (away, gateway({}), lying, failing):
        found = await asking(first, honest).check(uris)
        assert found.has_its_cid == dict.fromkeys(uris, True)


async def test_what_nobody_has_and_what_nobody_answers_are_told_apart() -> None:
    _, picture, _ = blocks_of(PROFILES[0])
    assert (await asking(gateway({})).check([picture.uri])).has_its_cid == {picture.uri: None}
    for silent in (asking(away), asking(away, gateway({})), asking()):
        found = await silent.check([picture.uri])
        assert (found.has_its_cid, found.silences) == ({}, {picture.uri: "no IPFS gateway answers"})


@pytest.mark.parametrize(
    "uri", ["https://a.test/x.png", "ipfs://nothing", "ipfs://", "ipfs://{root}/a/b", "ipfs://{root}/.."]
)
async def test_what_is_no_content_address_is_not_known(uri: str) -> None:
    uri = uri.format(root=blocks_of(PROFILES[0])[2])
    found = await asking(away).check([uri])
    assert (found.has_its_cid, set(found.silences)) == ({}, {uri})


async def test_what_takes_too_long_is_not_known() -> None:
    _, picture, directory = blocks_of(PROFILES[0])

    class Never(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError

    contents = Contents([httpx.AsyncClient(base_url="http://g", transport=Never())])
    found = await contents.check(uris_of(picture, directory), 0)
    assert set(found.silences.values()) == {"there was no time to look"}
