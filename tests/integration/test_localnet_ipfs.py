"""The embedded pinning endpoint as a process, over real HTTP: Kubo's shapes, durable blocks, a safe gateway."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from audit.content import Contents
from tests.support.pinning import PinningEndpoint, pinning_endpoint
from tests.support.trees import import_tree
from unixfs import V0, V1, Cid, Codec, ImportProfile, import_bytes

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 2_000
"""A file of two leaves that looks like an image."""

V1_QUERY = {"cid-version": "1", "raw-leaves": "true", "pin": "true"}


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncGenerator[PinningEndpoint]:
    async with pinning_endpoint(tmp_path / "ipfs", "--max-file-bytes", "2000000") as running:
        yield running


@pytest.fixture
async def http(endpoint: PinningEndpoint) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=endpoint.url, timeout=60) as client:
        yield client


async def add(http: httpx.AsyncClient, data: bytes, query: dict[str, str] = V1_QUERY) -> str:
    response = await http.post("/api/v0/add", params=query, files={"file": ("a name.png", data)})
    assert response.status_code == 200, response.text
    line = response.json()
    assert line["Name"] == "a name.png"
    return str(line["Hash"])


async def test_added_files_have_true_cids_and_read_back(http: httpx.AsyncClient) -> None:
    assert await add(http, PNG) == str(import_bytes(PNG, V1).cid)
    assert await add(http, PNG, {}) == str(import_bytes(PNG, V0).cid)
    small = ImportProfile(1, True, chunk_size=1000, width=3)
    query = {"cid-version": "1", "chunker": "size-1000", "max-file-links": "3"}
    assert await add(http, PNG, query) == str(import_bytes(PNG, small).cid)
    for profile in (V1, V0, small):
        response = await http.get(f"/ipfs/{import_bytes(PNG, profile).cid}")
        assert response.content == PNG


async def test_several_files_and_an_empty_one(http: httpx.AsyncClient) -> None:
    files = [("file", ("one", b"1")), ("file", ("two", b"")), ("file", ("one", b"1"))]
    response = await http.post("/api/v0/add", params=V1_QUERY, files=files)
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [line["Hash"] for line in lines] == [str(import_bytes(data).cid) for data in (b"1", b"", b"1")]
    assert [line["Size"] for line in lines] == ["1", "0", "1"]
    empty = await http.get(f"/ipfs/{import_bytes(b'').cid}")
    assert (empty.status_code, empty.content) == (200, b"")


async def test_gateway_headers(http: httpx.AsyncClient) -> None:
    cid = await add(http, PNG)
    for method in ("GET", "HEAD"):
        response = await http.request(method, f"/ipfs/{cid}")
        headers = response.headers
        assert response.status_code == 200
        assert headers["content-type"] == "image/png"
        assert headers["content-length"] == str(len(PNG))
        assert headers["etag"] == f'"{cid}"'
        assert headers["cache-control"] == "public, max-age=29030400, immutable"
        assert headers["access-control-allow-origin"] == "*"
        assert headers["x-content-type-options"] == "nosniff"
        assert response.content == (PNG if method == "GET" else b"")
    unchanged = await http.get(f"/ipfs/{cid}", headers={"If-None-Match": f'W/"{cid}"'})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    preflight = await http.options(f"/ipfs/{cid}", headers={"Origin": "https://x.test"})
    assert preflight.status_code == 204
    assert "GET" in preflight.headers["access-control-allow-methods"]


async def test_ranges_cross_blocks(http: httpx.AsyncClient) -> None:
    cid = await add(http, PNG)
    response = await http.get(f"/ipfs/{cid}", headers={"Range": "bytes=262100-262200"})
    assert response.status_code == 206
    assert response.headers["content-range"] == f"bytes 262100-262200/{len(PNG)}"
    assert response.content == PNG[262100:262201]
    beyond = await http.get(f"/ipfs/{cid}", headers={"Range": f"bytes={len(PNG)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(PNG)}")
    stale = await http.get(f"/ipfs/{cid}", headers={"Range": "bytes=0-1", "If-Range": '"else"'})
    assert (stale.status_code, len(stale.content)) == (200, len(PNG))


@pytest.mark.parametrize(
    ("content", "content_type", "disposition"),
    [
        (b'{"name": "x"}', "application/json", "inline"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "text/plain; charset=utf-8", "attachment"),
        (b"<html><script>alert(1)</script>", "text/plain; charset=utf-8", "attachment"),
    ],
)
async def test_markup_is_not_served_as_markup(
    http: httpx.AsyncClient, content: bytes, content_type: str, disposition: str
) -> None:
    response = await http.get(f"/ipfs/{await add(http, content)}")
    assert response.headers["content-type"] == content_type
    assert response.headers["content-disposition"].startswith(disposition)
    assert "sandbox" in response.headers["content-security-policy"]


async def raw_get(endpoint: PinningEndpoint, target: str) -> int:
    """Send a request line that no HTTP client would leave alone; return the status."""
    reader, writer = await asyncio.open_connection(*endpoint.host_and_port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/ipfs/", 400),
        ("/ipfs/nonsense", 400),
        ("/ipfs/../../etc/passwd", 400),
        ("/ipfs/..%2f..%2fetc%2fpasswd", 400),
        ("/ipfs/%00", 400),
        ("/ipfs/{known}/../../etc/passwd", 400),
        ("/ipfs/{known}/x", 404),
        ("/ipfs/{unknown}", 404),
        ("/ipfs/{foreign}", 415),
        ("/nothing", 404),
    ],
)
async def test_bad_paths(endpoint: PinningEndpoint, http: httpx.AsyncClient, target: str, status: int) -> None:
    filled = target.format(
        known=await add(http, b"known"),
        unknown=import_bytes(b"unknown").cid,
        foreign=Cid(1, 0x0129, 0x12, import_bytes(b"known").cid.digest),
    )
    assert await raw_get(endpoint, filled) == status


async def test_pins_and_blocks_in_kubos_shapes(http: httpx.AsyncClient) -> None:
    cid = await add(http, b"bytes", {**V1_QUERY, "pin": "false"})
    unpinned = await http.post("/api/v0/pin/ls", params={"arg": cid})
    assert unpinned.status_code == 500
    assert unpinned.json() == {"Message": f"path '{cid}' is not pinned", "Code": 0, "Type": "error"}
    assert (await http.post("/api/v0/pin/add", params={"arg": cid})).json() == {"Pins": [cid]}
    pinned = {"Keys": {cid: {"Type": "recursive"}}}
    assert (await http.post("/api/v0/pin/ls", params={"arg": f"/ipfs/{cid}"})).json() == pinned
    assert (await http.post("/api/v0/pin/ls")).json() == pinned
    assert (await http.post("/api/v0/block/stat", params={"arg": cid})).json() == {"Key": cid, "Size": 5}
    assert (await http.post("/api/v0/block/get", params={"arg": cid})).content == b"bytes"
    assert "Version" in (await http.post("/api/v0/version")).json()
    missing = str(import_bytes(b"missing").cid)
    for command in ("pin/add", "block/get", "block/stat"):
        assert (await http.post(f"/api/v0/{command}", params={"arg": missing})).status_code == 500
    assert (await http.post("/api/v0/pin/add")).json()["Code"] == 1
    assert (await http.post("/api/v0/pin/add", params={"arg": "nonsense"})).status_code == 400
    assert (await http.post("/api/v0/swarm/peers")).status_code == 404
    assert (await http.get("/api/v0/version")).status_code == 405


@pytest.mark.parametrize(
    "query",
    [
        {"cid-version": "2"},
        {"hash": "blake3"},
        {"chunker": "rabin"},
        {"chunker": "size-0"},
        {"max-file-links": "1"},
        {"raw-leaves": "maybe"},
        {"wrap-with-directory": "true"},
        {"trickle": "true"},
    ],
)
async def test_options_that_would_change_the_cid_are_refused(http: httpx.AsyncClient, query: dict[str, str]) -> None:
    response = await http.post("/api/v0/add", params=query, files={"file": b"x"})
    assert response.status_code == 400
    assert response.json()["Type"] == "error"


def folder_upload(*files: tuple[str, bytes]) -> list[tuple[str, tuple[str, bytes, str]]]:
    """Return the parts of a directory's upload, in the form that Kubo's documentation gives."""
    parts = [(f"metadata%2F{name}", data, "application/octet-stream") for name, data in files]
    return [("file", part) for part in (("metadata", b"", "application/x-directory"), *parts)]


async def test_a_directory_is_added_and_served_by_path(http: httpx.AsyncClient) -> None:
    files = (("1.json", b'{"name":"One"}'), ("0.json", b'{"name":"Zero"}'))
    answer = await http.post("/api/v0/add", params=V1_QUERY, files=folder_upload(*files))
    lines = [json.loads(line) for line in answer.text.splitlines()]
    root = str(import_tree(dict(files), V1).cid)
    assert [line["Name"] for line in lines] == ["metadata/1.json", "metadata/0.json", "metadata"]
    assert lines[-1]["Hash"] == root
    assert (await http.post("/api/v0/pin/ls")).json() == {"Keys": {root: {"Type": "recursive"}}}
    found = await http.get(f"/ipfs/{root}/0.json")
    assert (found.status_code, found.content) == (200, b'{"name":"Zero"}')
    assert found.headers["content-type"] == "application/json"
    assert found.headers["x-ipfs-path"] == f"/ipfs/{root}/0.json"
    assert found.headers["etag"] == f'"{import_bytes(files[1][1]).cid}"'
    listed = await http.get(f"/ipfs/{root}/")
    assert (listed.text, listed.headers["cache-control"]) == ("0.json\n1.json\n", "no-cache")
    block = await http.get(f"/ipfs/{root}?format=raw")
    assert block.headers["content-type"] == "application/vnd.ipld.raw"
    assert Cid.parse(root).verifies(block.content)
    assert (await http.get(f"/ipfs/{import_bytes(b'nobody').cid}?format=raw")).status_code == 404
    proven = await Contents([http]).check([f"ipfs://{root}/0.json"])
    assert proven.has_its_cid == {f"ipfs://{root}/0.json": True}
    assert (await http.get(f"/ipfs/{root}/2.json")).status_code == 404
    assert (await http.get(f"/ipfs/{root}/0.json/x")).status_code == 404
    assert (await http.post("/api/v0/pin/add", params={"arg": root})).json() == {"Pins": [root]}
    assert (await http.post("/api/v0/pin/rm", params={"arg": root})).json() == {"Pins": [root]}
    assert (await http.post("/api/v0/pin/rm", params={"arg": root})).status_code == 500


@pytest.mark.parametrize("target", ["/ipfs/{root}/..%2f..%2fetc", "/ipfs/{root}/%2e%2e/x", "/ipfs/{root}//0.json"])
async def test_a_path_under_a_directory_does_not_climb(
    endpoint: PinningEndpoint, http: httpx.AsyncClient, target: str
) -> None:
    await http.post("/api/v0/add", params=V1_QUERY, files=folder_upload(("0.json", b"{}")))
    root = import_tree({"0.json": b"{}"}, V1).cid
    assert await raw_get(endpoint, target.format(root=root)) == 400


@pytest.mark.parametrize("names", [("a", "a"), ("..%2Fa",), ("..",), ("a", "a%2Fb")])
async def test_directories_that_cannot_be_are_refused(http: httpx.AsyncClient, names: tuple[str, ...]) -> None:
    answer = await http.post("/api/v0/add", params=V1_QUERY, files=folder_upload(*((name, b"x") for name in names)))
    assert answer.status_code == 400
    assert (await http.post("/api/v0/pin/ls")).json() == {"Keys": {}}


async def test_uploads_that_are_none(http: httpx.AsyncClient, endpoint: PinningEndpoint) -> None:
    url = "/api/v0/add"
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    part = b'--b\r\nContent-Disposition: form-data; name="file"\r\n'
    assert (await http.post(url, json={})).status_code == 400
    assert (await http.post(url, content=b"", headers=form)).status_code == 400
    assert (await http.post(url, content=b"no boundary", headers=form)).status_code == 400
    assert (await http.post(url, content=part + b"\r\ncut short", headers=form)).status_code == 400
    folder = part + b"Content-Type: application/x-directory\r\n\r\n\r\n--b--\r\n"
    assert (await http.post(url, content=folder, headers=form)).status_code == 400
    assert (await http.post(url, files={"file": bytes(2_000_001)})).status_code == 413
    assert (await http.post(url, files={"file": b"x"}, headers={"Origin": "https://page.test"})).status_code == 403
    assert (await http.post("/api/v0/pin/ls")).json() == {"Keys": {}}
    assert await add(http, bytes(2_000_000)) == str(import_bytes(bytes(2_000_000)).cid)


async def test_only_hash_stores_nothing(http: httpx.AsyncClient) -> None:
    cid = await add(http, b"only", {**V1_QUERY, "only-hash": "true"})
    assert (await http.get(f"/ipfs/{cid}")).status_code == 404


async def test_a_damaged_block_is_an_error_until_added_again(
    http: httpx.AsyncClient, endpoint: PinningEndpoint
) -> None:
    cid = await add(http, b"fragile")
    (path,) = endpoint.data.glob("blocks/*/*")
    path.write_bytes(b"broken!")
    assert (await http.get(f"/ipfs/{cid}")).status_code == 500
    await add(http, b"fragile")
    assert (await http.get(f"/ipfs/{cid}")).content == b"fragile"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_what_was_acknowledged_survives_any_end(tmp_path: Path, number: signal.Signals) -> None:
    async with pinning_endpoint(tmp_path) as first, httpx.AsyncClient(base_url=first.url, timeout=60) as http:
        cid = await add(http, PNG)
        status = await first.stop(number)
        assert status == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    async with pinning_endpoint(tmp_path) as second, httpx.AsyncClient(base_url=second.url, timeout=60) as http:
        assert (await http.get(f"/ipfs/{cid}")).content == PNG
        assert (await http.post("/api/v0/pin/ls", params={"arg": cid})).status_code == 200


async def test_sigterm_lets_an_upload_finish(tmp_path: Path) -> None:
    async with pinning_endpoint(tmp_path) as endpoint, httpx.AsyncClient(base_url=endpoint.url, timeout=60) as http:
        halfway = asyncio.Event()
        stopping = asyncio.Event()
        head = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'

        async def body() -> AsyncGenerator[bytes]:
            yield head + b"first "
            halfway.set()
            await stopping.wait()
            yield b"second\r\n--b--\r\n"

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        upload = asyncio.create_task(http.post("/api/v0/add", params=V1_QUERY, content=body(), headers=headers))
        await halfway.wait()
        assert (await http.get("/health")).status_code == 200  # the upload's request has been accepted before this one
        endpoint.child.kill(signal.SIGTERM)
        while await is_accepting(endpoint):  # noqa: ASYNC110  (another process: nothing to wait on)
            await asyncio.sleep(0.05)
        stopping.set()
        assert (await upload).json()["Hash"] == str(import_bytes(b"first second").cid)
        assert await endpoint.stop() == 0


async def is_accepting(endpoint: PinningEndpoint) -> bool:
    try:
        _, writer = await asyncio.open_connection(*endpoint.host_and_port)
    except OSError:
        return False
    writer.close()
    return True


async def run(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "localnet.ipfs", *arguments, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    return process.returncode, errors.decode()


async def test_mistakes_of_the_operator_are_told(tmp_path: Path, endpoint: PinningEndpoint) -> None:
    status, errors = await run("--data", str(endpoint.data))
    assert (status, "in use by another process" in errors) == (1, True)
    taken = endpoint.url.removeprefix("http://")
    status, errors = await run("--data", str(tmp_path / "other"), "--listen", taken)
    assert (status, "choose another port" in errors) == (1, True)
    status, errors = await run("--data", str(tmp_path / "other"), "--listen", "nonsense")
    assert (status, "HOST:PORT" in errors) == (2, True)


async def test_blocks_of_the_codec_raw_are_files_too(http: httpx.AsyncClient) -> None:
    await add(http, PNG)
    leaf = Cid.of_block(PNG[:262_144], Codec.RAW)
    assert (await http.get(f"/ipfs/{leaf}")).content == PNG[:262_144]
