"""What surrounds every request: ids, traces, headers, CORS, health, the documentation."""

import re

import httpx
import pytest

from chassis import trace_context
from services.gateway.api.pages import render
from tests.support.gateway import ORIGIN, Gateway, png

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_a_harmless_request_id_is_kept_and_another_is_replaced(client: httpx.AsyncClient) -> None:
    kept = await client.get("/health/live", headers={"X-Request-Id": "frontend-42"})
    assert kept.headers["X-Request-Id"] == "frontend-42"
    for bad in ("with space", "x" * 65, "line\tbreak", "<script>"):
        replaced = await client.get("/nope", headers={"X-Request-Id": bad})
        assert re.fullmatch(r"[0-9a-f-]{36}", replaced.headers["X-Request-Id"])
        assert replaced.json()["requestId"] == replaced.headers["X-Request-Id"]


async def test_a_trace_goes_on(gateway: Gateway, client: httpx.AsyncClient) -> None:
    seen: list[str | None] = []
    put = gateway.uploads.put

    async def watched(sha256: str, data: bytes) -> None:
        carried = trace_context.current()
        seen.append(carried and carried.trace_id)
        await put(sha256, data)

    gateway.uploads.put = watched
    answer = await client.post(
        "/api/collections",
        data={"name": "Camp", "symbol": "CAMP"},
        files={"image": ("logo.png", png(), "image/png")},
        headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"},
    )
    assert answer.status_code == 202
    assert seen == [TRACE]


@pytest.mark.parametrize("path", ["/health", "/nope", "/api/collections", "/docs", "/openapi.json"])
async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none';")


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready"])
async def test_health_is_told_to_whoever_wants_no_body(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.head(path)).status_code == 200


async def test_what_does_not_apply_is_left_out(client: httpx.AsyncClient) -> None:
    for answer in (await client.get("/api/auth/me"), await client.post("/api/collections/estimate", json={})):
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"success", "data"}


async def test_a_page_of_a_known_origin_may_call(client: httpx.AsyncClient) -> None:
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-api-key,content-type,idempotency-key",
    }
    answer = await client.options("/api/mint/single", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    answer = await client.options("/api/mint/single", headers=headers | {"Origin": "https://evil.example"})
    assert answer.status_code == 400
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_health_needs_no_key_and_tells_names_only(gateway: Gateway) -> None:
    async with gateway.client(api_key=None) as client:
        whole = await client.get("/health")
        fine = {"ok": True, "latencyMs": 0.0}
        assert (whole.status_code, whole.json()) == (
            200,
            {"success": True, "status": "ok", "checks": {"database": fine, "wallet": fine}},
        )
        gateway.projection.down = True
        reduced = await client.get("/health")
        assert (reduced.status_code, reduced.json()["status"]) == (200, "degraded")
        for path in ("/health/live", "/health/ready"):
            assert (await client.get(path)).json() == {"success": True, "status": "ok", "checks": {}}


async def test_a_draining_gateway_is_not_ready_but_alive(gateway: Gateway) -> None:
    async with gateway.client(api_key=None) as client:
        gateway.probes.hold("shutting down")
        ready = await client.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json() == {
            "success": False,
            "status": "unavailable",
            "checks": {"lifecycle": {"ok": False, "latencyMs": 0.0}},
        }
        assert (await client.get("/health/live")).status_code == 200


async def test_the_openapi_document_describes_the_bodies(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/api/webhooks",
        "/api/webhooks/{id}",
        "/api/webhooks/{id}/rotate",
        "/api/webhooks/{id}/test",
        "/api/webhooks/{id}/replay",
        "/api/webhooks/{id}/deliveries",
        "/api/mint/single",
        "/api/mint/batch",
        "/api/mint/status/{transactionId}",
        "/api/mint/status/{transactionId}/events",
        "/api/mint/cancel/{transactionId}",
        "/api/mint/retry/{transactionId}",
        "/api/mint/operations",
        "/api/mint/operations/{transactionId}/timeline",
        "/api/stats/overview",
        "/api/stats/series",
        "/api/upload/ipfs",
        "/api/audit/operations/{transactionId}",
        "/api/dead-letters",
        "/api/dead-letters/{letter}",
        "/api/dead-letters/{letter}/replay",
        "/api/dead-letters/{letter}/drop",
        "/api/system",
        "/api/auth/challenge",
        "/api/auth/login",
        "/api/auth/me",
        "/api/collections",
        "/api/collections/{id}",
        "/api/collections/{id}/drift",
        "/api/collections/sync/{id}",
        "/api/collections/estimate",
        "/api/collections/import",
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",
    }
    single = document["paths"]["/api/mint/single"]["post"]
    content = single["requestBody"]["content"]
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/MintSingleBody"}
    assert content["multipart/form-data"]["schema"]["properties"]["image"]["format"] == "binary"
    assert single["security"] == [{"APIKeyHeader": []}, {"HTTPBearer": []}]
    assert {one["name"] for one in single["parameters"]} == {"Idempotency-Key", "Prefer"}
    batch = document["paths"]["/api/mint/batch"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert batch["properties"]["images"]["type"] == "array"
    for methods in document["paths"].values():
        for operation in methods.values():
            assert "422" not in operation["responses"]


async def test_every_reference_of_the_openapi_document_resolves(client: httpx.AsyncClient) -> None:
    answer = await client.get("/openapi.json")
    components = answer.json()["components"]
    references = set(re.findall(r'"\$ref":"#/components/([^/"]+)/([^"]+)"', answer.text))
    assert {kind for kind, _ in references} == {"schemas", "examples"}
    assert all(name in components[kind] for kind, name in references)


async def test_the_docs_page_shows_every_route_and_asks_nobody_for_anything(client: httpx.AsyncClient) -> None:
    answer = await client.get("/docs")
    assert answer.headers["Content-Type"].startswith("text/html")
    for path in ("/api/mint/single", "/api/mint/status/{transactionId}", "/api/collections"):
        assert path in answer.text
    assert not re.search(r"(src|href)=['\"]?(https?:)?//", answer.text)
    assert "<script" not in answer.text
    assert "<h3>webhooks</h3>" in answer.text
    assert "Harbour #1" in answer.text, "an example of what to send"
    assert "`" not in re.sub(r"<pre>.*?</pre>", "", answer.text, flags=re.DOTALL)


def test_the_docs_page_escapes_what_it_shows() -> None:
    document = {
        "info": {"title": "<b>", "version": "1", "description": "<i>"},
        "paths": {"/<p>": {"get": {"description": "<script>", "responses": {"200": {"description": "<u>"}}}}},
        "components": {"schemas": {"<s>": {"description": "<em>"}}},
    }
    page = render(document)
    for tag in ("<b>", "<i>", "<p>/", "<script>", "<u>", "<s>", "<em>"):
        assert tag not in page
