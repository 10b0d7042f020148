"""The double of a pinning service, held to the checks of the public compliance suite (ipfs-shipyard).

The suite needs a service on the internet and its own client. These are its checks, ported one by one under their names:
auth/checkEmptyBearerToken, auth/checkInvalidBearerToken, add/addPin, delete/deleteNewPin, edit/replacePin,
get/matchPin, get/getAllPins, get/testPagination, delete/deleteAllPins. Where its code expects 200 for a creation and
the specification says 202, the specification is followed.
"""

import uuid
from collections.abc import AsyncGenerator

import httpx
import pytest

from tests.support.pinning_service import STATUSES, TOKEN, PinningServiceDouble
from unixfs import import_bytes

ALL = ",".join(STATUSES)


@pytest.fixture
async def client() -> AsyncGenerator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(PinningServiceDouble().app())
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="https://pins.test/psa", headers=headers) as opened:
        yield opened


def a_cid() -> str:
    return str(import_bytes(uuid.uuid4().bytes).cid)


async def add(client: httpx.AsyncClient, **pin: str) -> httpx.Response:
    return await client.post("/pins", json={"cid": a_cid(), **pin})


async def test_check_empty_bearer_token(client: httpx.AsyncClient) -> None:
    answer = await client.get("/pins", headers={"Authorization": "Bearer "})
    assert answer.status_code == 401
    assert set(answer.json()["error"]) == {"reason", "details"}


async def test_check_invalid_bearer_token(client: httpx.AsyncClient) -> None:
    answer = await client.get("/pins", headers={"Authorization": "Bearer purposefullyInvalid"})
    assert answer.status_code == 403
    assert set(answer.json()["error"]) == {"reason", "details"}


async def test_add_pin(client: httpx.AsyncClient) -> None:
    answer = await add(client)
    assert answer.status_code == 202
    assert {"requestid", "status", "created", "pin", "delegates"} <= set(answer.json())
    assert answer.json()["status"] in ("queued", "pinning", "pinned")


async def test_delete_new_pin(client: httpx.AsyncClient) -> None:
    made = (await add(client)).json()
    assert (await client.delete(f"/pins/{made['requestid']}")).status_code == 202
    assert (await client.get(f"/pins/{made['requestid']}")).status_code == 404


async def test_replace_pin(client: httpx.AsyncClient) -> None:
    old = (await add(client)).json()
    wanted = a_cid()
    answer = await client.post(f"/pins/{old['requestid']}", json={"cid": wanted})
    assert answer.is_success
    new = answer.json()
    assert new["pin"]["cid"] == wanted
    assert new["requestid"] != old["requestid"]
    assert (await client.get(f"/pins/{old['requestid']}")).status_code == 404
    assert (await client.get(f"/pins/{new['requestid']}")).status_code == 200


async def test_match_pin(client: httpx.AsyncClient) -> None:
    name = str(uuid.uuid4()).lower()
    part = name[len(name) // 4 : -len(name) // 4]
    made = (await add(client, name=name)).json()
    assert made["pin"]["name"] == name
    for match, text in (("exact", name), ("iexact", name.upper()), ("partial", part), ("ipartial", part.upper())):
        found = (await client.get("/pins", params={"match": match, "name": text, "status": ALL})).json()
        assert [each["requestid"] for each in found["results"]] == [made["requestid"]], match
    assert (await client.get("/pins", params={"name": part, "status": ALL})).json()["count"] == 0


async def test_get_all_pins(client: httpx.AsyncClient) -> None:
    """Without a status only pinned ones are told."""
    made = (await add(client)).json()
    assert (await client.get("/pins")).json() == {"count": 0, "results": []}
    states = [(await client.get(f"/pins/{made['requestid']}")).json()["status"] for _ in range(3)]
    assert states == ["pinning", "pinned", "pinned"]
    assert (await client.get("/pins")).json()["count"] == 1


async def test_pagination(client: httpx.AsyncClient) -> None:
    for _ in range(15):
        await add(client)
    first = (await client.get("/pins", params={"status": ALL})).json()
    assert first["count"] >= 15
    assert len(first["results"]) == 10
    before = min(each["created"] for each in first["results"])
    second = (await client.get("/pins", params={"status": ALL, "before": before})).json()
    cids = {each["pin"]["cid"] for page in (first, second) for each in page["results"]}
    assert len(cids) == len(first["results"]) + len(second["results"])


async def test_delete_all_pins(client: httpx.AsyncClient) -> None:
    for _ in range(3):
        await add(client)
    for each in (await client.get("/pins", params={"status": ALL})).json()["results"]:
        assert (await client.delete(f"/pins/{each['requestid']}")).status_code == 202
    assert (await client.get("/pins", params={"status": ALL})).json()["count"] == 0
