"""`mintstream doctor`: each look on its own, each with what to do; no secret in what is told."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from mintstream import doctor, surroundings
from mintstream.ending import Exit
from tests.unit.mintstream.gateways import Answer, FakeGateway, refusal, silence, success

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
        "kubo": plain(200, {"Version": "0.1"}),
        "pinata": plain(200, {"message": "hello"}),
    } | changed
    paths = {
        "health": "GET /health",
        "live": "GET /health/live",
        "me": "GET /api/auth/me",
        "stats": "GET /api/stats/overview",
        "rpc": "POST /rpc",
        "ipfs": "GET /",
        "kubo": "POST /api/v0/version",
        "pinata": "GET /data/testAuthentication",
    }
    return FakeGateway({paths[name]: [answer] for name, answer in answers.items()})


def examined(gateway: FakeGateway, tmp_path: Path, **environ: str) -> tuple[int, dict[str, dict[str, Any]]]:
    settings = {
        "NATS_URL": "nats://127.0.0.1:1",
        "DATABASE_URL": f"postgresql://u:{SECRET}@127.0.0.1:1/d",
        "RPC_URL": f"http://node/rpc?api-key={SECRET}",
        "IPFS_GATEWAY_URL": "http://ipfs/",
        "KUBO_URL": "http://kubo",
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
    monkeypatch.setattr(doctor.Surroundings, "postgres_clock", well)


def test_all_is_well(tmp_path: Path) -> None:
    status, findings = examined(fake(), tmp_path)
    assert status == 0
    names = "settings, api, key, wallet, clock of gateway, clock of postgres, nats, postgres, rpc, das, ipfs gateway"
    assert list(findings) == [*names.split(", "), "pinning kubo"]
    assert all(each["ok"] and not each["advice"] for each in findings.values())
    # As the console's page System has it: 5 SOL by 95,000 lamports.
    assert findings["wallet"]["found"].startswith("5.0 SOL: pays for about 52,631 V2 NFTs")


@pytest.mark.parametrize(
    ("changed", "name", "told"),
    [
        ({"health": health("degraded", log=True, wallet=False)}, "api", "degraded: wallet"),
        ({"me": refusal(401, "no such key")}, "key", "no such key"),
        ({"live": live(60.0)}, "clock of gateway", "s apart"),
        ({"stats": success({"walletBalance": 0.0001})}, "wallet", "pays for about"),
        ({"stats": success({})}, "wallet", "no node tells"),
        ({"rpc": node(getHealth="behind")}, "rpc", "behind"),
        ({"rpc": node(getAssetsByOwner=ValueError("Method not found"))}, "das", "Method not found"),
        ({"ipfs": plain(502)}, "ipfs gateway", "502"),
        ({"kubo": plain(500)}, "pinning kubo", "500"),
        ({"health": plain(200, ["something", "else"])}, "api", "TypeError"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do_and_alone(
    tmp_path: Path, changed: dict[str, Answer], name: str, told: str
) -> None:
    status, findings = examined(fake(**changed), tmp_path)
    assert status == Exit.WRONG
    assert [each["name"] for each in findings.values() if not each["ok"]] == [name]
    assert told in findings[name]["found"]
    assert findings[name]["advice"]


def test_what_hangs_on_the_api_is_not_blamed_when_it_is_away(tmp_path: Path) -> None:
    status, findings = examined(fake(health=silence, live=silence, me=silence, stats=silence), tmp_path)
    assert status == Exit.WRONG
    assert findings["api"]["found"] == "no answer from http://gateway: ConnectError"
    for name in ("key", "wallet", "clock of gateway"):
        assert (findings[name]["found"], findings[name]["advice"]) == ("could not be looked at", "First see to `api`.")


def test_a_wrong_key_is_not_an_empty_wallet(tmp_path: Path) -> None:
    unauthorized = refusal(401, "Unauthorized")
    _, found = examined(fake(me=unauthorized, stats=unauthorized), tmp_path)
    assert not found["key"]["ok"]
    assert found["wallet"]["advice"] == "First see to `key`."


def test_wrong_settings_hide_nothing_of_the_api(tmp_path: Path) -> None:
    status, findings = examined(fake(), tmp_path, NATS_MAX_BATCH="many", DATABASE_URL="")
    assert status == Exit.WRONG
    assert "NATS_MAX_BATCH" in findings["settings"]["found"]
    assert "DATABASE_URL" in findings["settings"]["found"]
    assert findings["api"]["ok"]
    assert "rpc" not in findings


def test_every_provider_is_looked_at_with_its_own_credentials(tmp_path: Path) -> None:
    environ = {"PINNING_PROVIDER": "kubo,pinata", "PINATA_JWT": SECRET, "PINATA_API_URL": "http://pinata"}
    gateway = fake(pinata=plain(401, {"error": "no such token"}))
    status, findings = examined(gateway, tmp_path, **environ)
    assert status == Exit.WRONG
    assert findings["pinning kubo"]["ok"]
    assert not findings["pinning pinata"]["ok"]
    asked = [each for each in gateway.requests if each.url.host == "pinata"]
    assert asked
    assert all(each.headers["Authorization"] == f"Bearer {SECRET}" for each in asked)


def test_a_provider_without_its_settings_is_told(tmp_path: Path) -> None:
    status, findings = examined(fake(), tmp_path, PINNING_PROVIDER="pinata")
    assert status == Exit.WRONG
    assert "PINATA_JWT" in findings["pinning"]["found"]
    assert findings["ipfs gateway"]["ok"]


@pytest.mark.parametrize(("ahead", "wrong"), [(0.0, False), (0.9, False), (1.5, True), (-1.5, True)])
def test_clocks_are_compared_to_the_length_of_the_look(ahead: float, wrong: bool) -> None:
    began = datetime.now(UTC)
    ended = began + timedelta(milliseconds=20)
    told = (ended if ahead > 0 else began) + timedelta(seconds=ahead)
    if wrong:
        with pytest.raises(surroundings.Wrong, match=r"1\.5 s apart"):
            surroundings.apart(told, began, ended, "another's")
    else:
        assert "20 ms" in surroundings.apart(told, began, ended, "another's")
