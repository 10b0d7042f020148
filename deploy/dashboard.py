"""Writes deploy/observability/pipeline.json, Grafana's dashboard of the pipeline: `python -m deploy.dashboard`.

Panels are listed here in the order in which an NFT goes through; the JSON is never edited by hand. The data source is
chosen in Grafana. Schema: Grafana's classic dashboard model, version 39.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chassis.generated import write_or_check

DASHBOARD: Final = Path(__file__).parent / "observability" / "pipeline.json"
WIDTH, HEIGHT, COLUMNS = 8, 7, 3


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart: each query with its legend."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]


def _rate(metric: str, by: str = "") -> str:
    return f"sum{f' by ({by})' if by else ''} (rate({metric}[5m]))"


def _quantiles(histogram: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        (f"histogram_quantile({part}, sum by (le) (rate({histogram}_bucket[5m])))", f"p{part * 100:.0f}")
        for part in (0.5, 0.9, 0.99)
    )


PANELS: Final = (
    Panel(
        "NFTs a second",
        "ops",
        (
            (_rate("mintstream_items_accepted_total"), "accepted"),
            (_rate("mintstream_items_pinned_total"), "pinned"),
            (_rate("mintstream_items_confirmed_total"), "confirmed"),
        ),
    ),
    Panel("NFTs that failed", "ops", ((_rate("mintstream_items_failed_total", "code"), "{{code}}"),)),
    Panel("Time to confirmed", "s", _quantiles("mintstream_time_to_confirmed_seconds")),
    Panel("Time to finalized", "s", _quantiles("mintstream_time_to_finalized_seconds")),
    Panel(
        "Transactions a second",
        "ops",
        (
            (_rate("mintstream_transactions_signed_total"), "signed"),
            (_rate("mintstream_transactions_confirmed_total"), "confirmed"),
        ),
    ),
    Panel("Signatures a landed transaction took", "short", _quantiles("mintstream_attempts_per_transaction")),
    Panel("Lamports an NFT", "short", _quantiles("mintstream_lamports_per_nft")),
    Panel(
        "Wallets, in SOL",
        "short",
        (("min by (payer) (mintstream_wallet_balance) / 1e9", "{{payer}}"),),
    ),
    Panel("Drift", "short", (("sum by (kind) (mintstream_drift)", "{{kind}}"),)),
    Panel("Lag", "short", (("max by (consumer) (mintstream_consumer_lag)", "{{consumer}}"),)),
    Panel("Deliveries by verdict", "ops", ((_rate("mintstream_consumer_handled_total", "verdict"), "{{verdict}}"),)),
    Panel("RPC errors", "ops", ((_rate("mintstream_rpc_errors_total", "node, kind"), "{{node}} {{kind}}"),)),
    Panel(
        "Requests a second", "reqps", ((_rate("http_server_request_duration_seconds_count", "status"), "{{status}}"),)
    ),
    Panel("Time of a request", "s", _quantiles("http_server_request_duration_seconds")),
    Panel(
        "Requests refused",
        "reqps",
        (
            (_rate("mintstream_gateway_rate_limited_total", "limit"), "429 {{limit}}"),
            (_rate("mintstream_gateway_shed_total"), "503 shed"),
        ),
    ),
    Panel(
        "What must never be",
        "short",
        (
            ("sum by (stream) (mintstream_log_truncated_total)", "{{stream}} truncated"),
            ("sum by (stream) (mintstream_indexer_parked_total)", "{{stream}} parked"),
        ),
    ),
    Panel(
        "Messages projected a second", "ops", ((_rate("mintstream_indexer_projected_total", "stream"), "{{stream}}"),)
    ),
    # By OTLP processes do not tell their memory; in a cluster the kubelets do.
    Panel(
        "Memory",
        "bytes",
        (
            ("sum by (job, instance) (process_resident_memory_bytes)", "{{job}} {{instance}}"),
            (
                'sum by (pod) (container_memory_working_set_bytes{namespace="mintstream", container="service"})',
                "{{pod}}",
            ),
        ),
    ),
)


def dashboard() -> str:
    """Return the dashboard's JSON."""
    model: dict[str, Any] = {
        "uid": "mintstream-pipeline",
        "title": "Mintstream: the pipeline",
        "tags": ["mintstream"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": [_panel(number, panel) for number, panel in enumerate(PANELS)],
    }
    return json.dumps(model, indent=2) + "\n"


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    row, column = divmod(number, COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": source,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + position), "datasource": source, "expr": query, "legendFormat": legend}
            for position, (query, legend) in enumerate(panel.queries)
        ],
    }


def main(arguments: list[str]) -> int:
    """Write or check the dashboard; return the exit status."""
    stale = f"{DASHBOARD} is not what deploy/dashboard.py says; run `python -m deploy.dashboard`"
    return write_or_check(DASHBOARD, dashboard().encode(), arguments, stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
