"""`mintstream doctor`: each look on its own, each with what to do; no secret in what is told."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from mintstream import doctor
from mintstream.reach import Exit
from tests.unit.mintstream.gateways import Answer, FakeGateway, refusal, success

RPC: dict[str, Any] = {
    "getHealth": "ok",
    "getVersion": {"solana-core": "3.0"},
    "getSlot": 7,
    "getAssetsByOwner": {"items": []},
}
SECRET = "hunter2"


def plain(status: int, body: object = None) -> Answer:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json=body)

    return answer


def health(status: str, **checks: bool) -> Answer:
    return plain(200, {"status": status, "checks": {name: {"ok": ok} for name, ok in checks.items()}})


def live(ahead: float = 0.0) -> Answer:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
    return lambda _: httpx.Response(200, json={}, headers={"Date": date})


def node(**answers: Any) -> Answer:
    def answer(request: httpx.Request) -> httpx.Response:
        method = json.loads(request.content)["method"]
        found = (RPC | answers)[method]
        body = {"error": {"message": str(found)}} if isinstance(found, Exception) else {"result": found}
        return httpx.Response(200, json=body)

    return answer


def fake(**changed: Answer) -> FakeGateway:
    answers: dict[str, Answer] = {
        "health": health("ok", log=True),
        "live": live(),
        "me": success({"caller": "app:shop"}),
        "stats": success({"walletBalance": 5.0}),
        "rpc": node(),
        "ipfs": plain(404),
    } | changed
    paths = {
        "health": "GET /health",
        "live": "GET /health/live",
        "me": "GET /api/auth/me",
        "stats": "GET /api/stats/overview",
        "rpc": "POST /rpc",
        "ipfs": "GET /",
    }
    return FakeGateway({paths[name]: [answer] for name, answer in answers.items()})


def examined(gateway: FakeGateway, tmp_path: Path, **environ: str) -> tuple[int, dict[str, dict[str, Any]]]:
    settings = {
        "NATS_URL": "nats://127.0.0.1:1",
        "DATABASE_URL": f"postgresql://u:{SECRET}@127.0.0.1:1/d",
        "RPC_URL": f"http://node/rpc?api-key={SECRET}",
        "IPFS_GATEWAY_URL": "http://ipfs/",
        "MINTSTREAM_DATA": str(tmp_path),
    }
    done = gateway.run("doctor", "--json", **(settings | environ))
    assert SECRET not in done.output
    return done.exit_code, {each["name"]: each for each in json.loads(done.stdout)}


@pytest.fixture(autouse=True)
def no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def well(_: object) -> str:
        return "fine"

    monkeypatch.setattr(doctor.Surroundings, "nats", well)
    monkeypatch.setattr(doctor.Surroundings, "postgres", well)


def test_all_is_well(tmp_path: Path) -> None:
    status, findings = examined(fake(), tmp_path)
    assert status == 0
    assert list(findings) == ["settings", "api", "key", "clock", "wallet", "nats", "postgres", "rpc", "das", "pinning"]
    assert all(each["ok"] and not each["advice"] for each in findings.values())


@pytest.mark.parametrize(
    ("changed", "name", "told"),
    [
        ({"health": health("degraded", log=True, wallet=False)}, "api", "degraded: wallet"),
        ({"me": refusal(401, "no such key")}, "key", "no such key"),
        ({"live": live(60.0)}, "clock", "s apart"),
        ({"stats": success({"walletBalance": 0.0001})}, "wallet", "pays for about"),
        ({"stats": success({})}, "wallet", "no node tells"),
        ({"rpc": node(getHealth="behind")}, "rpc", "behind"),
        ({"rpc": node(getAssetsByOwner=ValueError("Method not found"))}, "das", "Method not found"),
        ({"ipfs": plain(502)}, "pinning", "502"),
        ({"health": plain(200, ["something", "else"])}, "api", "TypeError"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do_and_alone(
    tmp_path: Path, changed: dict[str, Answer], name: str, told: str
) -> None:
    status, findings = examined(fake(**changed), tmp_path)
    assert status == Exit.FAILED
    assert [each["name"] for each in findings.values() if not each["ok"]] == [name]
    assert told in findings[name]["found"]
    assert findings[name]["advice"]


def test_wrong_settings_hide_nothing_of_the_api(tmp_path: Path) -> None:
    status, findings = examined(fake(), tmp_path, NATS_MAX_BATCH="many", DATABASE_URL="")
    assert status == Exit.FAILED
    assert "NATS_MAX_BATCH" in findings["settings"]["found"]
    assert "DATABASE_URL" in findings["settings"]["found"]
    assert findings["api"]["ok"]
    assert "rpc" not in findings
