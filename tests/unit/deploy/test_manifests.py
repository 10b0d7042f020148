# jsonschema is annotated in part only.
# pyright: reportUnknownMemberType=false
"""What would be deployed: rendered as committed, strictly valid, and held to our rules of safety."""

import json
import re
from typing import Any

import jsonschema
import kubernetes_validate  # pyright: ignore[reportMissingTypeStubs]
import pytest
import yaml

from chassis.settings import OWN_PREFIX, describe, load
from deploy import generate, render
from deploy.services import SETTINGS
from services.indexer.settings import MigrationSettings
from services.ipfs.main import OPERATIONS_IN_HAND
from services.minter.settings import MinterSettings
from tests.support.manifests import (
    EVERY_OVERLAY,
    RELEASED,
    Resource,
    container_of,
    environment,
    label,
    named,
    of_kind,
    pod_of,
    rendered,
    workloads,
)

EXACT_TAG = re.compile(r":v?\d+\.\d+\.\d+(-[a-z]+)?$")
KUBERNETES = "1.34"
"""The oldest version that has everything that the manifests use: the sleep of preStop is stable there."""
WALLET_SECRETS = {"PRIVATE_KEY", "FEE_PAYERS", "REMOTE_SIGNER_TOKEN", "DERIVATION_SEED"}
EXAMPLES = {
    "DATABASE_URL": "postgresql://somebody@postgres-rw/mintstream",
    "REDIS_URL": "rediss://gateway:secret@valkey.mintstream.svc:6379/0",
    "RPC_URL": "https://rpc.example",
    "WEBHOOK_SEALING_KEYS": "A" * 43 + "=",
}

every_workload = pytest.mark.parametrize(
    ("overlay", "workload"), [pytest.param(o, w, id=f"{o}-{label(w)}") for o, w in workloads()]
)
every_overlay = pytest.mark.parametrize("overlay", EVERY_OVERLAY)


def test_the_golden_files_are_what_the_overlays_render_to() -> None:
    assert render.check() == []


def test_generated_manifests_are_what_their_sources_say() -> None:
    manifests = {path: text for path, text in generate.generated().items() if path.is_relative_to(render.K8S.parent)}
    assert len(manifests) == 5
    for path, text in manifests.items():
        assert path.read_text() == text, f"{path}: run `make deployment`"


def _is_core(resource: Resource) -> bool:
    group = resource["apiVersion"].rpartition("/")[0]
    return "." not in group or group.endswith(".k8s.io")


def test_core_resources_are_strictly_valid() -> None:
    core = [resource for overlay in EVERY_OVERLAY for resource in rendered(overlay) if _is_core(resource)]
    # Each look at the schemas reads them whole: what several overlays have is looked at once.
    distinct = {json.dumps(resource, sort_keys=True): resource for resource in core}
    assert {label(resource) for resource in core} == {label(resource) for resource in distinct.values()}
    for resource in distinct.values():
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)


@every_overlay
def test_custom_resources_are_strictly_valid(overlay: str) -> None:
    schemas: dict[str, Any] = yaml.safe_load((render.K8S / "schemas" / "custom-resources.yaml").read_text())
    custom = [resource for resource in rendered(overlay) if not _is_core(resource)]
    assert custom
    for resource in custom:
        schema = schemas[f"{resource['apiVersion']}/{resource['kind']}"] | {"$defs": schemas["$defs"]}
        jsonschema.Draft202012Validator(schema).validate(resource["spec"])
        assert set(resource) == {"apiVersion", "kind", "metadata", "spec"}, label(resource)


def test_a_typing_error_would_not_pass() -> None:
    schemas: dict[str, Any] = yaml.safe_load((render.K8S / "schemas" / "custom-resources.yaml").read_text())
    stream = named("production", "Stream", "mint")["spec"]
    schema = schemas["jetstream.nats.io/v1beta2/Stream"] | {"$defs": schemas["$defs"]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(stream | {"replica": 3})
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(named("production", "Service", "gateway") | {"spce": {}}, KUBERNETES, strict=True)


@every_overlay
def test_nothing_is_defined_twice_or_outside_of_the_namespace(overlay: str) -> None:
    names = [(each["apiVersion"], label(each)) for each in rendered(overlay)]
    assert len(names) == len(set(names))
    for resource in rendered(overlay):
        if resource["kind"] not in ("Namespace", "PriorityClass"):
            assert resource["metadata"]["namespace"] == "mintstream", label(resource)


@every_overlay
def test_the_namespace_admits_restricted_pods_only(overlay: str) -> None:
    (namespace,) = of_kind(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@every_workload
def test_a_container_can_do_no_more_than_it_must(overlay: str, workload: Resource) -> None:
    pod, container = pod_of(workload), container_of(workload)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["serviceAccountName"] == workload["metadata"]["name"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(pod)
    assert all("hostPath" not in volume for volume in pod["volumes"])


@every_workload
def test_a_container_has_bounds_and_a_rank(overlay: str, workload: Resource) -> None:
    resources = container_of(workload)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    # A limit of CPU would only slow down whoever the node has room for.
    assert set(resources["limits"]) == {"memory"}
    ranks = {each["metadata"]["name"] for each in of_kind(overlay, "PriorityClass")}
    assert pod_of(workload)["priorityClassName"] in ranks
    for volume in pod_of(workload)["volumes"]:
        if "emptyDir" in volume:
            assert "sizeLimit" in volume["emptyDir"]


@every_workload
def test_an_image_is_named_by_its_digest_where_it_is_released(overlay: str, workload: Resource) -> None:
    image = container_of(workload)["image"]
    assert not image.endswith(":latest")
    assert ":" in image
    if overlay in RELEASED and image.partition("/")[2].startswith("mintstream/"):
        assert "@sha256:" in image
    else:  # of others' images, and of those that are built on the machine, the tag is exact
        assert EXACT_TAG.search(image) or image.endswith(":local")


@every_overlay
def test_a_deployment_is_probed_spread_and_drained(overlay: str) -> None:
    for deployment in of_kind(overlay, "Deployment"):
        name, container, pod = label(deployment), container_of(deployment), pod_of(deployment)
        for probe, path in (("startupProbe", "live"), ("livenessProbe", "live"), ("readinessProbe", "ready")):
            assert container[probe]["httpGet"]["path"] == f"/health/{path}", name
        assert container["livenessProbe"]["timeoutSeconds"] > 1, name
        spread = {each["topologyKey"] for each in pod["topologySpreadConstraints"]}
        assert spread == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}, name
        assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, name
        budget = named(overlay, "PodDisruptionBudget", deployment["metadata"]["name"])
        assert budget["spec"]["selector"] == deployment["spec"]["selector"], name
        # Readiness asks what pods need: else all of them could keep their nodes for as long as that is away.
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow", name


@every_overlay
def test_the_drain_is_longer_than_the_longest_step_in_flight(overlay: str) -> None:
    closing = 5.0
    for deployment in of_kind(overlay, "Deployment"):
        values = environment(overlay, deployment)
        grace = float(values["SHUTDOWN_GRACE_SECONDS"])
        pause = container_of(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pod_of(deployment)["terminationGracePeriodSeconds"] > pause + grace + closing, label(deployment)
    longest = float(environment(overlay, named(overlay, "Deployment", "ipfs"))["PIN_TIMEOUT_SECONDS"])
    assert float(environment(overlay, named(overlay, "Deployment", "ipfs"))["SHUTDOWN_GRACE_SECONDS"]) > longest


def _given(overlay: str, workload: Resource) -> dict[str, str]:
    """The environment with every secret file in the place of its contents, as far as the settings are concerned."""
    plain: dict[str, str] = {}
    for variable, value in environment(overlay, workload).items():
        secret = variable.removesuffix("_FILE")
        if value.startswith("/run/secrets/"):
            assert value == f"/run/secrets/mintstream/{secret}"
            plain[secret] = EXAMPLES.get(secret, 64 * "x")
        else:
            plain[variable] = value
    return plain


@every_overlay
def test_every_service_would_start_with_its_environment(overlay: str) -> None:
    for name, settings in SETTINGS.items():
        given = _given(overlay, named(overlay, "Deployment", name))
        load(settings, given)
        known = {row.variable for row in describe(settings)}
        unknown = {each for each in given if each not in known and not each.startswith(("AWS_", "OTEL_", OWN_PREFIX))}
        assert not unknown, name
    load(MigrationSettings, _given(overlay, named(overlay, "Job", "migrate")))


@pytest.mark.parametrize("overlay", RELEASED)
def test_every_secret_file_is_in_the_secret_that_is_mounted(overlay: str) -> None:
    for workload in of_kind(overlay, "Deployment", "Job"):
        (mounted,) = (v["secret"]["secretName"] for v in pod_of(workload)["volumes"] if v["name"] == "secrets")
        keys = {each["secretKey"] for each in named(overlay, "ExternalSecret", mounted)["spec"]["data"]}
        files = {v.rpartition("/")[2] for v in environment(overlay, workload).values() if v.startswith("/run/secrets/")}
        assert files == keys, label(workload)


@pytest.mark.parametrize("overlay", RELEASED)
def test_the_first_deployment_tells_every_value_that_the_store_must_have(overlay: str) -> None:
    """Of a secret that the store lacks a part nothing comes, and no pod starts that mounts it."""
    runbook = (generate.ROOT / "docs" / "runbooks" / "first-deployment.md").read_text()
    told: dict[str, set[str]] = {}
    for entries, keys in re.findall(r"^\| (`mintstream/.*?) \| (.*) \|$", runbook, re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", entries)
        stem = first.rpartition("-")[0]
        for entry in (first, *(stem + other if other.startswith("-") else other for other in others)):
            told[entry] = set(re.findall(r"`(\w+)`", keys))
    for secret in of_kind(overlay, "ExternalSecret"):
        for part in secret["spec"]["data"]:
            assert part["remoteRef"]["property"] in told[part["remoteRef"]["key"]], label(secret)


@every_overlay
def test_the_wallets_key_is_in_the_minter_alone(overlay: str) -> None:
    for workload in of_kind(overlay, "Deployment", "Job"):
        files = {variable.removesuffix("_FILE") for variable in environment(overlay, workload)}
        mounted = {v["secret"]["secretName"] for v in pod_of(workload)["volumes"] if "secret" in v}
        if workload["metadata"]["name"] == "minter":
            assert files & WALLET_SECRETS
        else:
            assert not files & WALLET_SECRETS, label(workload)
            assert "minter" not in mounted, label(workload)
    holders = {
        label(each)
        for each in of_kind(overlay, "ExternalSecret")
        if {entry["secretKey"] for entry in each["spec"]["data"]} & WALLET_SECRETS
    }
    assert holders <= {"ExternalSecret/minter"}


@every_overlay
def test_a_mounted_certificate_comes_without_its_key(overlay: str) -> None:
    for workload in of_kind(overlay, "Deployment", "Job"):
        for volume in pod_of(workload)["volumes"]:
            if volume["name"].endswith("-ca"):
                assert [item["key"] for item in volume["secret"]["items"]] == ["ca.crt"], label(workload)


@every_overlay
def test_what_scales_by_itself_has_no_fixed_number(overlay: str) -> None:
    for scaler in of_kind(overlay, "HorizontalPodAutoscaler", "ScaledObject"):
        target = named(overlay, "Deployment", scaler["spec"]["scaleTargetRef"]["name"])
        assert "replicas" not in target["spec"], label(scaler)


def test_scaling_follows_consumers_that_exist() -> None:
    consumers = {
        (each["spec"]["streamName"], each["spec"]["durableName"]) for each in of_kind("production", "Consumer")
    }
    for scaler in of_kind("production", "ScaledObject"):
        for trigger in scaler["spec"]["triggers"]:
            metadata = trigger["metadata"]
            assert (metadata["stream"], metadata["consumer"]) in consumers
            assert metadata["account"] == "MINTSTREAM"
    assert {each["metadata"]["name"] for each in of_kind("production", "ScaledObject")} == {"ipfs", "minter"}


def test_what_a_replica_has_in_hand_is_no_reason_for_another() -> None:
    """KEDA counts what is delivered and not acknowledged with what waits: below that, each replica asks for more."""
    minter = load(MinterSettings, _given("production", named("production", "Deployment", "minter")))
    in_hand = {"ipfs": OPERATIONS_IN_HAND, "minter": minter.minter_concurrency}
    for scaler in of_kind("production", "ScaledObject"):
        for trigger in scaler["spec"]["triggers"]:
            assert int(trigger["metadata"]["lagThreshold"]) >= 2 * in_hand[scaler["metadata"]["name"]], label(scaler)
