"""The NetworkPolicies allow exactly the edges of the picture in docs/deployment.md."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from deploy.generate import ROOT
from tests.support.manifests import EVERY_OVERLAY, WORKLOADS, named, of_kind, pod_of

EDGE = re.compile(r"^ {4}([a-z-]+) --> ([a-z-]+)$", re.MULTILINE)
Edge = tuple[str, str]
OUTSIDE = {"internet", "anywhere", "opentelemetry-collector"}
OPTIONAL = {"valkey"}
PRIVATE = {"10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"}


def picture() -> set[Edge]:
    (text,) = re.findall(r"```mermaid\n(.*?)```", (ROOT / "docs" / "deployment.md").read_text(), re.DOTALL)
    return {(source, target) for source, target in EDGE.findall(text)}


def drawn(overlay: str) -> set[Edge]:
    """The edges of the picture without those of what this overlay leaves out."""
    absent = OPTIONAL - {workload["metadata"]["name"] for workload in of_kind(overlay, *WORKLOADS)}
    return {edge for edge in picture() if not absent & set(edge)}


def pod_name(selector: dict[str, Any]) -> str:
    ((key, value),) = selector["matchLabels"].items()
    if key == "acme.cert-manager.io/http01-solver":
        return "acme-solver"
    assert key in ("app.kubernetes.io/name", "cnpg.io/cluster")
    return value


def peer_name(peer: dict[str, Any]) -> str:
    if "ipBlock" in peer:
        assert peer["ipBlock"]["cidr"] == "0.0.0.0/0"
        excluded = set(peer["ipBlock"].get("except", ()))
        assert excluded in (set(), PRIVATE)
        return "internet" if excluded else "anywhere"
    if "podSelector" in peer:
        return pod_name(peer["podSelector"])
    (namespace,) = peer["namespaceSelector"]["matchLabels"].values()
    return namespace


def allowed(overlay: str, direction: str) -> Iterator[Edge]:
    for policy in of_kind(overlay, "NetworkPolicy"):
        spec = policy["spec"]
        if not spec["podSelector"]:
            continue
        pod = pod_name(spec["podSelector"])
        assert direction.title() in spec["policyTypes"] or direction not in spec
        for rule in spec.get(direction, ()):
            assert rule["ports"], "an edge without a port is open on all of them"
            for peer in rule["to" if direction == "egress" else "from"]:
                yield (pod, peer_name(peer)) if direction == "egress" else (peer_name(peer), pod)


@pytest.mark.parametrize("overlay", EVERY_OVERLAY)
def test_everything_is_denied_but_what_is_named(overlay: str) -> None:
    assert named(overlay, "NetworkPolicy", "default-deny")["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    everybody = {p["metadata"]["name"] for p in of_kind(overlay, "NetworkPolicy") if not p["spec"]["podSelector"]}
    assert everybody == {"default-deny", "dns"}
    (dns,) = named(overlay, "NetworkPolicy", "dns")["spec"]["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}


@pytest.mark.parametrize("overlay", EVERY_OVERLAY)
def test_the_edges_are_those_of_the_picture(overlay: str) -> None:
    leaving, arriving = set(allowed(overlay, "egress")), set(allowed(overlay, "ingress"))
    pods = {pod for pod, _ in leaving} | {pod for _, pod in arriving}
    assert leaving | arriving == drawn(overlay)
    # Between two pods of ours both ends must agree, or nothing passes.
    for source, target in leaving | arriving:
        if source in pods and target in pods:
            assert (source, target) in leaving
            assert (source, target) in arriving
        elif source in pods:
            assert target in OUTSIDE


@pytest.mark.parametrize("overlay", EVERY_OVERLAY)
def test_every_workload_has_a_policy_and_every_port_is_one_that_somebody_listens_on(overlay: str) -> None:
    policies = {policy["metadata"]["name"]: policy["spec"] for policy in of_kind(overlay, "NetworkPolicy")}
    for workload in of_kind(overlay, *WORKLOADS):
        name = workload["metadata"]["name"]
        listens = {
            port["containerPort"] for container in pod_of(workload)["containers"] for port in container.get("ports", ())
        }
        opened = {port["port"] for rule in policies[name].get("ingress", ()) for port in rule["ports"]}
        assert opened == listens, name
