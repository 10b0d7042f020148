"""The commands that ask the API one thing: what they send, what they print, and how they end."""

import json
from pathlib import Path
from typing import Any

import pytest

from mintstream.api import GatewayClient
from mintstream.ending import Exit
from mintstream.errors import ApiError
from mintstream.reach import Target
from tests.support.proxies import Proxy
from tests.unit.mintstream.gateways import FakeGateway, operation, refusal, silence, success

HOOK = {"id": "w", "url": "https://shop.example/h", "events": ["*"], "active": True, "allCallers": False}
COLLECTION = {"id": "c", "name": "Harbour", "minted": 3, "capacity": 8, "allowMinting": True}


@pytest.mark.parametrize(
    ("arguments", "request_line", "body", "answer", "told"),
    [
        (["cancel", "op"], "DELETE /api/mint/cancel/op", None, success(message="Operation cancelled"), "cancelled"),
        (["retry", "op"], "POST /api/mint/retry/op", None, success({"transactionId": "n", "totalNfts": 2}), "n"),
        (["collections", "list"], "GET /api/collections", None, success({"collections": [COLLECTION]}), "Harbour"),
        (["collections", "list"], "GET /api/collections", None, success({"collections": []}), "collections create"),
        (["collections", "show", "c"], "GET /api/collections/c", None, success(COLLECTION), "Harbour"),
        (
            ["collections", "update", "c", "--no-minting"],
            "PATCH /api/collections/c",
            {"allowMinting": False},
            success(COLLECTION),
            "Harbour",
        ),
        (
            ["collections", "import", "a", "--tree", "t", "--private"],
            "POST /api/collections/import",
            {"collectionAddress": "a", "treeAddresses": ["t"], "isPublic": False},
            success({"id": "c"}, 202),
            "c",
        ),
        (
            ["collections", "create", "--name", "Harbour", "--symbol", "HRB", "--depth", "5"],
            "POST /api/collections",
            {
                "name": "Harbour",
                "symbol": "HRB",
                "standard": "v2",
                "tree": {"maxDepth": 5},
                "trees": 1,
                "description": "",
            },
            success({"id": "c"}, 202),
            "c",
        ),
        (["collections", "sync", "c"], "POST /api/collections/sync/c", None, success({"updated": {"minted": 7}}), "7"),
        (["webhooks", "list"], "GET /api/webhooks", None, success({"webhooks": [HOOK]}), "shop.example"),
        (
            ["webhooks", "create", "https://x.example", "--event", "mint.*"],
            "POST /api/webhooks",
            {"url": "https://x.example", "description": "", "allCallers": False, "events": ["mint.*"]},
            success({"webhook": HOOK, "secret": "whsec_1"}, 201),
            "whsec_1",
        ),
        (["webhooks", "delete", "w"], "DELETE /api/webhooks/w", None, success(message="Webhook deleted"), "deleted"),
        (
            ["webhooks", "rotate", "w", "--overlap-seconds", "60"],
            "POST /api/webhooks/w/rotate",
            {"overlapSeconds": 60},
            success({"webhook": HOOK, "secret": "whsec_2"}),
            "whsec_2",
        ),
        (["webhooks", "test", "w"], "POST /api/webhooks/w/test", None, success({"deliveryId": "d"}, 202), "d"),
        (
            ["webhooks", "replay", "w", "--since", "2026-01-02"],
            "POST /api/webhooks/w/replay",
            {"since": "2026-01-02T00:00:00+00:00"},
            success({"replayId": "p"}, 202),
            "p",
        ),
        (
            ["webhooks", "deliveries", "w", "--state", "parked"],
            "GET /api/webhooks/w/deliveries",
            None,
            success({"deliveries": [{"id": "d", "type": "mint.completed"}], "nextCursor": 9}),
            "mint.completed",
        ),
    ],
)
def test_a_request_and_its_answer(arguments: list[str], request_line: str, body: Any, answer: Any, told: str) -> None:
    fake = FakeGateway({request_line: [answer]})
    done = fake.run(*arguments)
    assert done.exit_code == 0, done.output
    assert told in done.output
    [request] = fake.requests
    assert (json.loads(request.content) if request.content else None) == body
    as_json = fake.run(*arguments, "--json")
    assert as_json.exit_code == 0
    given = json.loads(answer(None).content)
    assert json.loads(as_json.stdout) == given.get("data", {"message": given.get("message")})


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (refusal(401, "no such key"), Exit.KEY),
        (refusal(403, "not for you"), Exit.KEY),
        (refusal(404, "no such operation"), Exit.MISSING),
        (refusal(409, "it has ended"), Exit.FAILED),
        (refusal(413, "too large"), Exit.USAGE),
        (refusal(429, "too many"), Exit.UNREACHABLE),
        (refusal(503, "later"), Exit.UNREACHABLE),
        (refusal(500, "a bug"), Exit.FAILED),
        (silence, Exit.UNREACHABLE),
    ],
)
def test_exit_statuses_by_answer(answer: Any, status: Exit) -> None:
    done = FakeGateway({"GET /api/mint/status/op": [answer]}).run("status", "op")
    assert done.exit_code == status
    assert done.stdout == ""
    assert done.stderr
    assert "Traceback" not in done.output


def test_each_tree_of_a_collection_has_a_line_of_its_own() -> None:
    trees = [{"number": number, "address": f"tree{number}", "state": "open", "left": 5} for number in (0, 1)]
    fake = FakeGateway({"GET /api/collections/c": [success(COLLECTION | {"trees": trees})] * 2})
    *_, heads, first, second = fake.run("collections", "show", "c").stdout.rstrip().splitlines()
    assert heads.split()[:2] == ["number", "address"]
    assert [first.split(), second.split()] == [["0", "tree0", "open"], ["1", "tree1", "open"]]
    assert json.loads(fake.run("collections", "show", "c", "--json").stdout)["trees"] == trees


def test_status_tells_causes_and_fails_with_the_operation() -> None:
    results = [{"status": "failed", "error": "tree_full"}, {"status": "failed", "error": "tree_full"}]
    found = operation("completed", total=5, completed=3, failed=2) | {"results": results}
    done = FakeGateway({"GET /api/mint/status/op": [success(found)]}).run("status", "op")
    assert done.exit_code == Exit.FAILED
    assert "3 of 5" in done.output
    assert "2 x tree_full" in done.output


def test_following_ends_with_the_operation() -> None:
    answers = [success(operation("processing")), success(operation("completed", completed=1))]
    fake = FakeGateway({"GET /api/mint/status/op": answers})
    done = fake.run("status", "op", "--follow", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["status"] == "completed"
    assert len(fake.requests) == 2


def test_a_narrow_terminal_cuts_no_id_of_a_table() -> None:
    collection = {"id": "01996b7e-2c4a-7d10-a1c3-0d5a7f1f9a10", "name": "A long name, which is as wide as it is"}
    fake = FakeGateway({"GET /api/collections": [success({"collections": [collection]})]})
    for environ in ({}, {"FORCE_COLOR": "1"}):
        told = fake.run("collections", "list", COLUMNS="60", **environ).stdout
        assert collection["id"] in told
        assert collection["name"] in told


def test_a_change_that_changes_nothing_is_wrong_usage() -> None:
    fake = FakeGateway({})
    assert fake.run("collections", "update", "c").exit_code == Exit.USAGE
    assert fake.run("webhooks", "replay", "w").exit_code == Exit.USAGE


def test_the_gateway_is_the_environments_or_the_embedded_stacks(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "api_key").write_text("own\n")
    assert Target.find(tmp_path, {}) == Target("http://127.0.0.1:8080", "own")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "stack.json").write_text('{"api": "http://127.0.0.1:9", "pid": "1"}')
    assert Target.find(tmp_path, {}) == Target("http://127.0.0.1:9", "own")
    assert Target.find(tmp_path, {"MINTSTREAM_API_KEY": "k"}) == Target("http://127.0.0.1:9", "k")
    named = {"MINTSTREAM_URL": "https://mint.example/"}
    assert Target.find(tmp_path, named) == Target("https://mint.example", "")


@pytest.mark.parametrize(
    "url", ["gateway", "ftp://gateway", "http://", "http://gateway:99999", "http://[", "http://g:0"]
)
def test_an_address_that_is_none_is_wrong_usage(url: str) -> None:
    fake = FakeGateway({})
    done = fake.run("collections", "list", MINTSTREAM_URL=url)
    assert done.exit_code == Exit.USAGE
    assert f"MINTSTREAM_URL is {url!r}" in done.stderr
    assert fake.requests == []


async def test_the_key_of_a_gateway_on_this_machine_goes_through_no_proxy(proxy: Proxy) -> None:
    for url in ("http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"):
        async with GatewayClient(url, "a-key-of-mine") as api:
            with pytest.raises(ApiError, match="no answer"):
                await api.call("GET", "/api/auth/me")
    assert proxy.seen == []
