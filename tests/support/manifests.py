"""The rendered overlays as objects, for the checks of what would be deployed."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from deploy.render import OVERLAYS, golden

Resource = dict[str, Any]
EVERY_OVERLAY: Final = OVERLAYS
RELEASED: Final = ("staging", "production")
WORKLOADS: Final = ("Deployment", "Job", "StatefulSet")


@functools.cache
def rendered(overlay: str) -> tuple[Resource, ...]:
    return tuple(resource for resource in yaml.safe_load_all(golden(overlay).read_text()) if resource)


def label(resource: Resource) -> str:
    return f"{resource['kind']}/{resource['metadata']['name']}"


def of_kind(overlay: str, *kinds: str) -> list[Resource]:
    return [resource for resource in rendered(overlay) if resource["kind"] in kinds]


def named(overlay: str, kind: str, name: str) -> Resource:
    (found,) = (resource for resource in of_kind(overlay, kind) if resource["metadata"]["name"] == name)
    return found


def workloads() -> Iterator[tuple[str, Resource]]:
    """Every Deployment, Job and StatefulSet of every overlay."""
    for overlay in EVERY_OVERLAY:
        for resource in of_kind(overlay, *WORKLOADS):
            yield overlay, resource


def pod_of(workload: Resource) -> Resource:
    return workload["spec"]["template"]["spec"]


def container_of(workload: Resource) -> Resource:
    (container,) = pod_of(workload)["containers"]
    return container


def environment(overlay: str, workload: Resource) -> Mapping[str, str]:
    """What the container is given in the open, by variable; later sources go before earlier ones, as in Kubernetes."""
    container = container_of(workload)
    values: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        if "configMapRef" in source:
            values |= named(overlay, "ConfigMap", source["configMapRef"]["name"])["data"]
    values |= {entry["name"]: entry["value"] for entry in container.get("env", ())}
    return values
