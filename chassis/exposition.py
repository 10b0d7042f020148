"""The metrics of this process as text for Prometheus.

Filled by `chassis.metrics`, turned on by `chassis.telemetry`, served by the probe server and by the gateway at
`/metrics`. Not done here: which metrics there are (`chassis.metrics`), and who may read them.
"""

from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import choose_encoder

PATH: Final = "/metrics"


@dataclass(frozen=True, slots=True)
class Exposition:
    """One answer to a scrape."""

    content_type: str
    body: bytes


REGISTRY: Final = CollectorRegistry()
"""Every metric of this process that was used."""
# A line for each series that says when it began: what no query of ours asks for.
disable_created_metrics()


class _Process:
    """A process has one registry, whose values nobody can see before they are turned on."""

    open = False


def open_to_scrapes() -> None:
    """Let `scrape` tell the registry from now on, and the process's memory, CPU time and open files with it."""
    if not _Process.open:
        ProcessCollector(registry=REGISTRY)
        _Process.open = True


def scrape(accept: str) -> Exposition | None:
    """Return the metrics in the format that an Accept header asks for; None when metrics are turned off."""
    if not _Process.open:
        return None
    encode, content_type = choose_encoder(accept)
    return Exposition(content_type, encode(REGISTRY))
