"""The list of metrics: names that are exposed as documented, labels that stay bounded, a document that is current."""

import re
import subprocess
import sys

import pytest

from chassis.metrics import MAX_VALUES, OTHER, RPC_ERRORS, Bound, Histogram, every_metric
from chassis.metrics_document import DOCUMENT, document

PROGRAM = """
from chassis import metrics, telemetry
from chassis.exposition import scrape
telemetry.configure("minter", "1", environ={})
for metric in metrics.every_metric():
    labels = {label.name: (label.values or ("x",))[0] for label in metric.labels}
    match metric:
        case metrics.Counter(): metric.add(2, **labels)
        case metrics.Gauge(): metric.set(3, **labels)
        case metrics.Histogram(): metric.record(metric.buckets[0], **labels)
print(scrape("text/plain").body.decode())
"""


@pytest.fixture(scope="module")
def exposed() -> str:
    """What a process tells Prometheus after it has used every metric once."""
    return subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout


def test_every_metric_is_exposed_under_its_documented_name_with_its_labels(exposed: str) -> None:
    kinds = dict(re.findall(r"^# TYPE (\S+) (\w+)$", exposed, re.MULTILINE))
    for metric in every_metric():
        assert kinds[metric.exposed_name] == metric.kind
        sample = metric.exposed_name + ("_count" if isinstance(metric, Histogram) else "")
        (line,) = [one for one in exposed.splitlines() if re.match(rf"{sample}[ {{]", one)]
        assert set(re.findall(r'(\w+)="', line)) == {label.name for label in metric.labels}
    assert "process_resident_memory_bytes" in kinds


def test_values_are_told(exposed: str) -> None:
    assert "mintstream_items_confirmed_total 2.0" in exposed
    assert 'mintstream_consumer_lag{consumer="ipfs-mint"} 3.0' in exposed
    assert 'mintstream_time_to_confirmed_seconds_bucket{le="0.05"} 1.0' in exposed


def test_labels_are_bounded() -> None:
    bounded = Bound(RPC_ERRORS.name, RPC_ERRORS.labels)
    assert bounded({"node": "1 host", "kind": "refused"}) == {"node": "1 host", "kind": "refused"}
    wallet = "9WzDXwBbmkg8ZTbNMqUxvQRAyrZzDsGYdLVL9zYtAWWM"
    assert bounded({"node": "1 host", "kind": wallet})["kind"] == OTHER
    told = [bounded({"node": f"node {number}", "kind": "refused"})["node"] for number in range(MAX_VALUES + 10)]
    assert told == [*(f"node {number}" for number in range(MAX_VALUES - 1)), *[OTHER] * 11]
    assert bounded({"node": "1 host", "kind": "refused"})["node"] == "1 host", "what was told before is told still"


def test_other_labels_than_the_metrics_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="takes the labels"):
        RPC_ERRORS.add(node="1 host")
    with pytest.raises(ValueError, match="takes the labels"):
        RPC_ERRORS.add(node="1 host", kind="refused", wallet="x")


def test_no_label_can_tell_who() -> None:
    for metric in every_metric():
        for label in metric.labels:
            assert not re.search(r"wallet|operation|asset|collection|caller|key", label.name), metric.name


def test_the_document_is_current() -> None:
    assert DOCUMENT.read_text() == document()
