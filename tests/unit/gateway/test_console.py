"""The console's files, its policy, and its sessions."""

import re
from pathlib import Path

import httpx
import pytest

from contracts.access import Scope
from services.gateway.api import sessions
from services.gateway.api.console import FOLDER, ConsoleView, console_router
from services.gateway.callers import Caller
from tests.support.gateway import API_KEY, ORIGIN, Gateway

HEADER = {sessions.CONSOLE_HEADER: "1"}


def cookie_of(answer: httpx.Response) -> dict[str, str]:
    """The session as a browser sends it back; Secure cookies are not sent by the client of these tests."""
    match = re.match(rf"{sessions.COOKIE}=([^;]*)", answer.headers["set-cookie"])
    assert match is not None
    return {"Cookie": f"{sessions.COOKIE}={match[1].strip(chr(34))}"}


async def signed_in(gateway: Gateway, key: str = API_KEY) -> dict[str, str]:
    async with gateway.client(key) as client:
        answer = await client.post("/console/session", headers=HEADER)
    assert answer.status_code == 200, answer.text
    return cookie_of(answer)


@pytest.mark.parametrize("path", ["/console", "/console/"])
async def test_the_page_comes_with_a_policy_that_runs_nothing_from_elsewhere(path: str) -> None:
    async with Gateway().client(None) as client:
        answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]


async def test_every_file_is_served_and_a_copy_that_is_fresh_is_not_sent_again() -> None:
    async with Gateway().client(None) as client:
        for path in (path for path in FOLDER.rglob("*") if path.is_file()):
            first = await client.get(f"/console/{path.relative_to(FOLDER)}")
            assert (first.status_code, first.content) == (200, path.read_bytes())
            again = await client.get(str(first.url), headers={"If-None-Match": first.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["nothing.js", "..%2fpyproject.toml", "%2e%2e/pyproject.toml", "/etc/passwd"])
async def test_nothing_else_is_served(path: str) -> None:
    async with Gateway().client(None) as client:
        assert (await client.get(f"/console/{path}")).status_code == 404


def test_the_page_has_no_script_or_style_inline_and_names_no_other_host() -> None:
    page = (FOLDER / "index.html").read_text()
    assert not re.search(r"<style|\bstyle=|\bon\w+=|<script(?![^>]*\bsrc=)", page)
    for path in FOLDER.glob("*.*"):
        hosts = set(re.findall(r"https?://([\w.-]+)", path.read_text())) - {"www.w3.org", "arweave.net"}
        assert hosts == set(), path.name


async def test_a_session_is_kept_where_no_script_reads_it() -> None:
    async with Gateway().client() as client:
        answer = await client.post("/console/session", headers=HEADER)
    assert answer.json()["data"] == {"caller": "api-key", "scopes": ["admin", "mint", "read"]}
    attributes = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "secure", "samesite=strict", "path=/"} <= attributes


async def test_a_session_counts_as_its_key_and_only_beside_the_header() -> None:
    gateway = Gateway()
    cookie = await signed_in(gateway, gateway.key("shop", Scope.READ))
    async with gateway.client(None) as client:
        assert (await client.get("/api/auth/me", headers=cookie)).status_code == 401
        answer = await client.get("/api/auth/me", headers=cookie | HEADER)
        assert answer.json()["data"] == {"caller": "shop", "scopes": ["read"]}
        refused = await client.post("/api/collections/sync/x", headers=cookie | HEADER)
        assert refused.status_code == 403


async def test_a_key_that_is_sent_wins_over_the_session() -> None:
    gateway = Gateway()
    cookie = await signed_in(gateway)
    async with gateway.client(gateway.key("shop", Scope.READ)) as client:
        answer = await client.get("/api/auth/me", headers=cookie | HEADER)
    assert answer.json()["data"]["caller"] == "shop"


async def test_a_token_makes_a_session_too() -> None:
    gateway = Gateway()
    token = gateway.tokens().issue(Caller(name="wallet:somebody", scopes=frozenset({Scope.READ})))
    async with gateway.client(None, token=token.text) as client:
        cookie = cookie_of(await client.post("/console/session", headers=HEADER))
    async with gateway.client(None) as client:
        answer = await client.get("/api/auth/me", headers=cookie | HEADER)
    assert answer.json()["data"]["caller"] == "wallet:somebody"


async def test_a_session_may_be_renewed() -> None:
    gateway = Gateway()
    cookie = await signed_in(gateway)
    async with gateway.client(None) as client:
        assert cookie_of(await client.post("/console/session", headers=cookie | HEADER)) == cookie


async def test_a_wrong_key_makes_no_session() -> None:
    async with Gateway().client("not-the-key-of-the-tests") as client:
        answer = await client.post("/console/session", headers=HEADER)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("value", ["", "k.", "k.!!!", "k", "x.YWJj", "k./w==", "t.YWJj", "k.YWJj"])
async def test_a_cookie_that_somebody_made_up_is_nobodys(value: str) -> None:
    async with Gateway().client(None) as client:
        headers = HEADER | {"Cookie": f"{sessions.COOKIE}={value}"}
        assert (await client.get("/api/auth/me", headers=headers)).status_code == 401


async def test_signing_out_takes_the_cookie_away() -> None:
    async with Gateway().client(None) as client:
        answer = await client.delete("/console/session")
    assert re.search(r"max-age=0", answer.headers["set-cookie"], re.IGNORECASE)


async def test_other_origins_may_not_send_the_header() -> None:
    async with Gateway().client(None) as client:
        asked = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": sessions.CONSOLE_HEADER,
        }
        assert (await client.options("/api/auth/me", headers=asked)).status_code == 400


async def test_a_page_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    view = ConsoleView(version="1", explorer="https://e/{kind}/{id}", gateway="https://g", sign_in=False)
    with pytest.raises(FileNotFoundError, match="page is not in"):
        console_router(view, None, tmp_path)  # pyright: ignore[reportArgumentType] (refused before it is used)
