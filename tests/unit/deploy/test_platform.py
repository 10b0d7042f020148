"""What the overlays stand on: charts by exact version, and values that keep our rules."""

import re
from typing import Any

import pytest
import yaml

from contracts.streams import BUCKETS
from deploy.generate import ROOT
from deploy.render import K8S
from tests.support.manifests import of_kind

PLATFORM = K8S / "platform"
EXACT = re.compile(r"v?\d+\.\d+\.\d+")
NOTHING_MORE = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def values(name: str) -> dict[str, Any]:
    return yaml.safe_load((PLATFORM / name).read_text())


def releases() -> list[dict[str, Any]]:
    _, helmfile = yaml.safe_load_all((PLATFORM / "helmfile.yaml").read_text())
    return helmfile["releases"]


def test_every_chart_is_of_an_exact_version_and_every_file_is_there() -> None:
    names = {f"{release['namespace']}/{release['name']}" for release in releases()}
    for release in releases():
        assert EXACT.fullmatch(release["version"]), release["name"]
        assert set(release.get("needs", ())) <= names
        for value in release.get("values", ()):
            assert isinstance(value, dict) or (PLATFORM / value).exists(), release["name"]


def test_what_waits_for_our_secrets_is_not_awaited_before_they_can_be_made() -> None:
    """Helm waits for pods to be ready; those of our namespace mount secrets that the operators make of the overlay."""
    layers = {release["name"]: release["labels"]["layer"] for release in releases()}
    ours = {release["name"] for release in releases() if release["namespace"] == "mintstream"}
    assert {name for name, layer in layers.items() if layer == "log"} == ours
    runbook = (ROOT / "docs" / "runbooks" / "first-deployment.md").read_text()
    steps = re.findall(r"^(?:helmfile .*-l layer=(\w+) apply|kubectl (apply) -k)", runbook, re.MULTILINE)
    assert ["".join(step) for step in steps] == ["operators", "apply", "log", "apply", "apply"]


def test_the_log_is_three_servers_in_three_zones_with_tls() -> None:
    nats = values("nats.yaml")
    assert nats["config"]["cluster"]["replicas"] == 3
    assert nats["config"]["cluster"]["tls"]["enabled"] is True
    assert nats["config"]["nats"]["tls"]["enabled"] is True
    assert nats["config"]["jetstream"]["enabled"] is True
    spread = nats["podTemplate"]["topologySpreadConstraints"]
    assert all(each["whenUnsatisfiable"] == "DoNotSchedule" for each in spread.values())


def test_a_single_node_has_the_one_server_that_its_overlay_asks_for() -> None:
    """Of three only one would find a place there, and JetStream does nothing without a second one."""
    local = values("nats-local.yaml")
    assert local["config"]["cluster"] == {"enabled": False}
    assert {stream["spec"]["replicas"] for stream in of_kind("local", "Stream", "ObjectStore")} == {1}
    spread = values("nats.yaml")["podTemplate"]["topologySpreadConstraints"]
    # A node without the label of a zone takes no pod that must be spread over zones.
    relaxed = {key: {"whenUnsatisfiable": "ScheduleAnyway"} for key in spread}
    assert local["podTemplate"]["topologySpreadConstraints"] == relaxed
    assert "nats-local.yaml" in (ROOT / "docs" / "runbooks" / "first-deployment.md").read_text()


@pytest.mark.parametrize("name", ["nats.yaml", "nats-local.yaml"])
def test_the_servers_limit_is_met_before_the_disk_is_full(name: str) -> None:
    """What it does then is tried on a real server: `tests/integration/test_nats_probe.py`."""
    store = values(name)["config"]["jetstream"]["fileStore"]
    limit, disk = (int(size.removesuffix("Gi")) for size in (store["maxSize"], store["pvc"]["size"]))
    # The rest is the file system's, the raft logs' and that of blocks which are being rewritten.
    assert sum(bucket.max_bytes for bucket in BUCKETS) < limit * 1024**3 <= 0.85 * disk * 1024**3


def test_what_shares_our_namespace_keeps_to_its_standard() -> None:
    nats, nack = values("nats.yaml"), values("nack.yaml")
    pod = nats["podTemplate"]["merge"]["spec"]
    for security in (pod["securityContext"], nack["securityContext"]):
        assert security["runAsNonRoot"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    for part in ("container", "reloader", "promExporter"):
        assert nats[part]["merge"]["securityContext"] == NOTHING_MORE, part
    assert nack["containerSecurityContext"] == NOTHING_MORE
    assert nats["natsBox"]["enabled"] is False
    assert nack["namespaced"] is True


def test_a_server_that_could_not_write_does_not_pass_for_alive() -> None:
    """What the probe does is tried on a real server: `tests/integration/test_nats_probe.py`."""
    patch = values("nats.yaml")["container"]["patch"]
    assert [(step["op"], step["path"]) for step in patch] == [
        ("remove", "/livenessProbe/httpGet"),
        ("add", "/livenessProbe/exec"),
    ]
    assert "write error" in patch[1]["value"]["command"][-1]
