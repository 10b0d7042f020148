"""Kubernetes resources that bring the dashboard and the alert rules of `deploy/observability` into a cluster.

Used by `deploy.generate`. Sources: the label that the dashboard sidecar of Grafana's chart looks for, and the
Prometheus Operator's API reference: `PrometheusRule` of monitoring.coreos.com/v1.
"""

import json
from pathlib import Path
from typing import Any, Final

import msgspec

from deploy.dashboard import DASHBOARD

RULES: Final = Path(__file__).parent / "observability" / "alerts.yaml"
NAMESPACE: Final = "mintstream"


def dashboard() -> dict[str, Any]:
    """Return the ConfigMap with the dashboard, on one line: its source is the one to read."""
    model = json.loads(DASHBOARD.read_text())
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _named("dashboard", {"grafana_dashboard": "1"}),
        "data": {DASHBOARD.name: json.dumps(model, separators=(",", ":"))},
    }


def rules() -> dict[str, Any]:
    """Return the PrometheusRule with every group of the alert rules."""
    groups = msgspec.yaml.decode(RULES.read_bytes(), type=dict[str, Any])["groups"]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": _named("alerts", {}),
        "spec": {"groups": groups},
    }


def _named(name: str, labels: dict[str, str]) -> dict[str, Any]:
    part = {"app.kubernetes.io/part-of": "mintstream"}
    return {"name": name, "namespace": NAMESPACE, "labels": part | labels}
