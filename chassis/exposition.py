"""The metrics of this process as text for Prometheus.

Filled by `chassis.telemetry`, served by the probe server and by the gateway at `/metrics`. Not done here: which metrics
there are (`chassis.metrics`), and who may read them.
"""

from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

PATH: Final = "/metrics"


@dataclass(frozen=True, slots=True)
class Exposition:
    """One answer to a scrape."""

    content_type: str
    body: bytes


class _Process:
    """OpenTelemetry has one provider a process; so has this its one registry. None: metrics are turned off."""

    registry: CollectorRegistry | None = None


def open_registry() -> CollectorRegistry:
    """Return the registry that `scrape` tells from now on; it has the process's memory, CPU time and open files."""
    _Process.registry = CollectorRegistry()
    ProcessCollector(registry=_Process.registry)
    return _Process.registry


def scrape(accept: str) -> Exposition | None:
    """Return the metrics in the format that an Accept header asks for; None when metrics are turned off."""
    if _Process.registry is None:
        return None
    encode, content_type = choose_encoder(accept)
    return Exposition(content_type, encode(_Process.registry))
