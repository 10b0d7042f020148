"""Alert rules and dashboard: every metric exists, every alert has its page, and promtool takes both rules and tests."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from chassis.metrics import Histogram, every_metric
from deploy.dashboard import DASHBOARD, PANELS, dashboard

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "deploy" / "observability" / "alerts.yaml"
RULE_TESTS = RULES.with_name("alerts_test.yaml")
PAGES = ROOT / "docs" / "runbooks" / "alerts"
PROMTOOL = shutil.which("promtool")
OF_THE_PROCESS = {"process_resident_memory_bytes"}
OF_THE_KUBELETS = {
    "kubelet_volume_stats_": frozenset({"namespace", "persistentvolumeclaim"}),
    "container_memory_": frozenset({"namespace", "pod", "container"}),
}
"""Labels of metrics that are not ours, by the beginning of their names."""


def rules() -> list[Mapping[str, Any]]:
    loaded = cast("Mapping[str, Any]", yaml.safe_load(RULES.read_text()))
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def queries() -> list[str]:
    return [query for panel in PANELS for query, _ in panel.queries] + [rule["expr"] for rule in rules()]


def series() -> Iterator[tuple[str, frozenset[str]]]:
    """Every name under which Prometheus sees a metric, with its labels."""
    for metric in every_metric():
        labels = frozenset(label.name for label in metric.labels)
        if isinstance(metric, Histogram):
            yield f"{metric.exposed_name}_bucket", labels | {"le"}
            yield f"{metric.exposed_name}_count", labels
            yield f"{metric.exposed_name}_sum", labels
        else:
            yield metric.exposed_name, labels


def test_every_metric_that_is_asked_for_exists() -> None:
    named = {name for query in queries() for name in re.findall(r"\b(?:mintstream|http|process)_[a-z_]+", query)}
    assert len(named) > 15
    assert named - OF_THE_PROCESS <= {name for name, _ in series()}


@pytest.mark.parametrize("query", queries())
def test_every_label_that_is_asked_for_is_the_metrics(query: str) -> None:
    known = dict(series())
    names = [name for name in re.findall(r"\b(?:mintstream|http)_[a-z_]+", query) if name in known]
    possible = frozenset[str]().union(*(known[name] for name in names)) | {"job", "instance"}
    possible = possible.union(*(labels for prefix, labels in OF_THE_KUBELETS.items() if prefix in query))
    by = {label.strip() for inner in re.findall(r"by \(([^)]*)\)", query) for label in inner.split(",")}
    matched = {label for inner in re.findall(r"\{([^}]*)\}", query) for label in re.findall(r"(\w+)[=!]", inner)}
    assert by | matched <= possible


def test_every_alert_has_its_page_and_every_page_its_alert() -> None:
    alerts = {str(rule["alert"]) for rule in rules()}
    assert alerts == {page.stem for page in PAGES.glob("*.md")}
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/runbooks/alerts/{rule['alert']}.md"
        assert rule["labels"]["severity"] in ("page", "ticket")
        text = (PAGES / f"{rule['alert']}.md").read_text()
        for link in re.findall(r"\]\(([^)#]+)", text):
            assert (PAGES / link).exists(), link


def test_the_dashboard_is_what_its_source_says() -> None:
    assert DASHBOARD.read_text() == dashboard()


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not on the PATH: it is in Debian's package prometheus")
def test_promtool_takes_the_rules_and_their_tests() -> None:
    assert PROMTOOL is not None
    for arguments in (("check", "rules", str(RULES)), ("test", "rules", str(RULE_TESTS))):
        done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
