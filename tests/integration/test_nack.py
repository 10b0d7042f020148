# pyright: reportUnknownMemberType=false
"""The resources for NACK say the same as the code: the code makes it on a real server, whose answer is compared."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from chassis.messaging import Connection, Log
from contracts.fact import Producer
from deploy.nack import API_VERSION, REPLICAS, resources
from tests.support.manifests import of_kind

NANOSECONDS = 1_000_000_000
STREAM_FIELDS = {
    "name": "name",
    "description": "description",
    "subjects": "subjects",
    "storage": "storage",
    "retention": "retention",
    "discard": "discard",
    "maxAge": "max_age",
    "maxBytes": "max_bytes",
    "maxMsgSize": "max_msg_size",
    "duplicateWindow": "duplicate_window",
    "denyDelete": "deny_delete",
    "allowDirect": "allow_direct",
    "allowAtomicPublish": "allow_atomic",
}
CONSUMER_FIELDS = {
    "durableName": "durable_name",
    "description": "description",
    "filterSubjects": "filter_subjects",
    "deliverPolicy": "deliver_policy",
    "ackPolicy": "ack_policy",
    "ackWait": "ack_wait",
    "maxAckPending": "max_ack_pending",
    "maxDeliver": "max_deliver",
    "replayPolicy": "replay_policy",
}
BUCKET_FIELDS = {"description": "description", "storage": "storage", "ttl": "max_age", "maxBytes": "max_bytes"}
DURATIONS = {"maxAge", "duplicateWindow", "ackWait", "ttl"}
# What the server adds by itself, or says of every stream: nothing that a resource could say differently.
OF_NO_ACCOUNT = {
    "max_consumers",
    "max_msgs",
    "max_msgs_per_subject",
    "num_replicas",
    "sealed",
    "deny_purge",
    "metadata",
    "allow_rollup_hdrs",
    "mirror_direct",
    "consumer_limits",
    "compression",
    "persist_mode",
    "max_waiting",
    "name",
    "deliver_group",
    "priority_timeout",
}


@pytest.fixture
async def client(nats_url: str) -> AsyncGenerator[Client]:
    async with Log.session(Connection(servers=(nats_url,), producer=Producer(name="test", version="0"))) as log:
        await log.declare()
    connected = await nats.connect(nats_url)
    yield connected
    await connected.close()


def declared(kind: str) -> list[dict[str, Any]]:
    return [dict(resource["spec"]) for resource in resources() if resource["kind"] == kind]


def expected(spec: dict[str, Any], fields: dict[str, str]) -> dict[str, Any]:
    """A resource in the server's words."""
    said = {theirs: spec[ours] for ours, theirs in fields.items() if ours in spec}
    for ours in DURATIONS & spec.keys():
        said[fields[ours]] = int(float(spec[ours].removesuffix("s")) * NANOSECONDS)
    return said


def assert_same(said: dict[str, Any], config: dict[str, Any], name: str) -> None:
    for key, value in said.items():
        assert config[key] == value, f"{name}: {key}"
    quiet = {key: value for key, value in config.items() if key not in said and key not in OF_NO_ACCOUNT}
    assert not {key: value for key, value in quiet.items() if value not in (0, -1, False, "", None)}, name


async def ask(client: Client, subject: str) -> dict[str, Any]:
    return json.loads((await client.request(f"$JS.API.{subject}", b"", timeout=30)).data)


async def test_streams_are_the_same(client: Client) -> None:
    for spec in declared("Stream"):
        config = (await ask(client, f"STREAM.INFO.{spec['name']}"))["config"]
        assert_same(expected(spec, STREAM_FIELDS), config, spec["name"])


async def test_consumers_are_the_same(client: Client) -> None:
    for spec in declared("Consumer"):
        config = (await ask(client, f"CONSUMER.INFO.{spec['streamName']}.{spec['durableName']}"))["config"]
        said = expected(spec, CONSUMER_FIELDS)
        assert_same(said, config, spec["durableName"])


async def test_buckets_are_the_same(client: Client) -> None:
    for spec in declared("ObjectStore"):
        config = (await ask(client, f"STREAM.INFO.OBJ_{spec['bucket']}"))["config"]
        for key, value in expected(spec, BUCKET_FIELDS).items():
            assert config[key] == value, f"{spec['bucket']}: {key}"


async def test_nothing_exists_that_is_not_declared(client: Client) -> None:
    streams = set((await ask(client, "STREAM.NAMES"))["streams"])
    assert streams == {spec["name"] for spec in declared("Stream")} | {
        f"OBJ_{spec['bucket']}" for spec in declared("ObjectStore")
    }
    for stream in streams:
        consumers = set((await ask(client, f"CONSUMER.NAMES.{stream}"))["consumers"] or ())
        assert consumers == {s["durableName"] for s in declared("Consumer") if s["streamName"] == stream}


def test_production_keeps_every_message_three_times() -> None:
    kept = [each for each in of_kind("production", "Stream", "ObjectStore") if each["apiVersion"] == API_VERSION]
    assert len(kept) == len(declared("Stream")) + len(declared("ObjectStore"))
    for resource in kept:
        assert resource["spec"]["replicas"] == REPLICAS == 3
        assert resource["spec"]["preventDelete"] is True
