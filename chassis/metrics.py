"""Every metric of every service, in one list: what is measured, by whom, with which labels.

Used by whoever measures (`metrics.SIGNED.add()`), by `chassis.metrics_document`, which writes docs/metrics.md from it,
and by nobody to read values back: `chassis.exposition` and the OTLP export do that. Labels are bounded: never an id of
a wallet, an operation or an asset. What a value's closed list does not have, and every value beyond MAX_VALUES of an
open one, is counted as OTHER.

A value is kept in this process for `/metrics`, by an object that is made once for each set of labels, and given to
OpenTelemetry's instrument too, which does nothing unless metrics are exported. A metric that was never used is not
told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Generic, TypeVar

import prometheus_client as prometheus

from chassis.exposition import REGISTRY
from chassis.telemetry import meter
from contracts.mint import FailureCode
from contracts.observation import DriftKind
from contracts.streams import CONSUMERS, STREAMS

MAX_VALUES: Final = 64
"""Most values of a label whose values no list closes."""
OTHER: Final = "other"

_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)
_REQUEST_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""As OpenTelemetry's HTTP conventions advise."""

_meter = meter()
_registering = Lock()
_M = TypeVar("_M", prometheus.Counter, prometheus.Gauge, prometheus.Histogram)


@dataclass(frozen=True, slots=True)
class Label:
    """A label and its values: a closed list, or whatever comes (`values` is None) up to MAX_VALUES."""

    name: str
    meaning: str
    values: tuple[str, ...] | None = None


class Bound:
    """Keeps the labels of one metric bounded."""

    def __init__(self, metric: str, labels: Sequence[Label]) -> None:
        self._metric = metric
        self._labels = tuple(labels)
        self._names = {label.name for label in labels}
        self._seen: dict[str, set[str]] = {label.name: set() for label in labels}

    def __call__(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return the labels with values that are bounded. Raises ValueError for other labels than the metric's."""
        if set(labels) != self._names:
            raise ValueError(f"{self._metric} takes the labels {sorted(self._names)}, not {sorted(labels)}")
        return {label.name: self._value(label, labels[label.name]) for label in self._labels}

    def _value(self, label: Label, value: str) -> str:
        if label.values is not None:
            return value if value in label.values else OTHER
        seen = self._seen[label.name]
        if value in seen or len(seen) < MAX_VALUES:
            seen.add(value)
            return value
        return OTHER


class Series(Generic[_M]):
    """The values of one metric in this process, by its labels; known to Prometheus from the first one on."""

    def __init__(self, bound: Bound, metric: _M) -> None:
        self._bound = bound
        self._metric = metric
        self._found: dict[tuple[tuple[str, str], ...], tuple[_M, dict[str, str]]] = {}
        self._registered = False

    def __call__(self, labels: Mapping[str, str]) -> tuple[_M, dict[str, str]]:
        """Return what keeps the value of these labels, and the labels with bounded values. Raises as `Bound` does."""
        key = tuple(labels.items())
        if found := self._found.get(key):
            return found
        bounded = self._bound(labels)
        with _registering:
            if not self._registered:
                REGISTRY.register(self._metric)
                self._registered = True
        found = (self._metric.labels(**bounded) if bounded else self._metric), bounded
        if bounded == labels:  # else values came to OTHER, and of those there is no end
            self._found[key] = found
        return found


@dataclass(kw_only=True)
class Metric:
    """What all kinds have in common. `unit` is UCUM: `s`, `By`, or a noun in braces."""

    name: str
    unit: str
    description: str
    services: tuple[str, ...]
    labels: tuple[Label, ...] = ()
    bound: Bound = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.bound = Bound(self.name, self.labels)
        _all.append(self)

    @property
    def kind(self) -> str:
        """In Prometheus' words."""
        return type(self).__name__.lower()

    @property
    def exposed_name(self) -> str:
        """The name under which Prometheus sees it (OpenTelemetry's rules for Prometheus)."""
        return self.name.replace(".", "_") + ("_seconds" if self.unit == "s" else "")

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of its labels, in order."""
        return tuple(label.name for label in self.labels)


@dataclass(kw_only=True)
class Counter(Metric):
    """Counts what happened since the process began."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._instrument = _meter.create_counter(self.name, self.unit, self.description)
        kept = prometheus.Counter(self.exposed_name, self.description, self.label_names, registry=None)
        self._series = Series(self.bound, kept)

    @property
    def exposed_name(self) -> str:
        """See `Metric.exposed_name`."""
        return super().exposed_name + "_total"

    def add(self, amount: int = 1, **labels: str) -> None:
        """Count `amount` more."""
        kept, bounded = self._series(labels)
        kept.inc(amount)
        self._instrument.add(amount, bounded)


@dataclass(kw_only=True)
class Gauge(Metric):
    """Tells how something stands."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._instrument = _meter.create_gauge(self.name, self.unit, self.description)
        kept = prometheus.Gauge(self.exposed_name, self.description, self.label_names, registry=None)
        self._series = Series(self.bound, kept)

    def set(self, value: float, **labels: str) -> None:
        """Say how it stands now."""
        kept, bounded = self._series(labels)
        kept.set(value)
        self._instrument.set(value, bounded)


@dataclass(kw_only=True)
class Histogram(Metric):
    """Counts values by size."""

    buckets: Sequence[float]

    def __post_init__(self) -> None:
        super().__post_init__()
        self._instrument = _meter.create_histogram(
            self.name, self.unit, self.description, explicit_bucket_boundaries_advisory=self.buckets
        )
        kept = prometheus.Histogram(
            self.exposed_name, self.description, self.label_names, registry=None, buckets=self.buckets
        )
        self._series = Series(self.bound, kept)

    def record(self, value: float, **labels: str) -> None:
        """Count one value."""
        kept, bounded = self._series(labels)
        kept.observe(value)
        self._instrument.record(value, bounded)


_all: list[Metric] = []


def every_metric() -> tuple[Metric, ...]:
    """Return all metrics, in the order of this file."""
    return tuple(_all)


_STREAM = Label("stream", "The stream of the log.", tuple(stream.name for stream in STREAMS))
_INDEXER = ("indexer",)

# What became of NFTs: told by the indexer alone, once for each message, from the facts as they are committed to
# Postgres. So a restart leaves no gap, it does not matter who did the work, and a replay tells the whole log again.

ACCEPTED = Counter(
    name="mintstream.items.accepted",
    unit="{item}",
    description="NFTs, copies counted, of operations that were taken on.",
    services=_INDEXER,
    labels=(Label("type", "The kind of operation.", ("mint", "batch_mint")),),
)
PINNED = Counter(
    name="mintstream.items.pinned",
    unit="{item}",
    description="NFTs whose image and metadata are on IPFS.",
    services=_INDEXER,
)
SIGNED = Counter(
    name="mintstream.transactions.signed",
    unit="{transaction}",
    description="Signed attempts of mint transactions; more than were confirmed when some had to be signed again.",
    services=_INDEXER,
)
CONFIRMED_TRANSACTIONS = Counter(
    name="mintstream.transactions.confirmed",
    unit="{transaction}",
    description="Mint transactions on chain at commitment confirmed.",
    services=_INDEXER,
)
CONFIRMED = Counter(
    name="mintstream.items.confirmed",
    unit="{item}",
    description="NFTs on chain at commitment confirmed.",
    services=_INDEXER,
)
FAILED = Counter(
    name="mintstream.items.failed",
    unit="{item}",
    description="NFTs that their operation can never mint.",
    services=_INDEXER,
    labels=(Label("code", "Why; see errors.md.", tuple(code.value for code in FailureCode)),),
)
TIME_TO_CONFIRMED = Histogram(
    name="mintstream.time_to_confirmed",
    unit="s",
    description="From the request on the log to a transaction's confirmation on the log.",
    services=_INDEXER,
    buckets=_SECONDS,
)
TIME_TO_FINALIZED = Histogram(
    name="mintstream.time_to_finalized",
    unit="s",
    description="From the request on the log to a transaction's finality on the log.",
    services=_INDEXER,
    buckets=_SECONDS,
)
ATTEMPTS = Histogram(
    name="mintstream.attempts_per_transaction",
    unit="{attempt}",
    description="Signed attempts that a landed transaction took; 1 when the first one landed.",
    services=_INDEXER,
    buckets=(1, 2, 3, 5, 8, 13),
)
LAMPORTS = Histogram(
    name="mintstream.lamports_per_nft",
    unit="{lamport}",
    description="A landed transaction's network fee, shared by its NFTs; without rents and the programs' own fees.",
    services=_INDEXER,
    buckets=(500, 1_000, 1_500, 2_000, 3_000, 5_000, 10_000, 20_000, 50_000, 100_000, 1_000_000),
)
DRIFT = Gauge(
    name="mintstream.drift",
    unit="{item}",
    description="Differences of log, tables, chain and DAS: every collection's last `collection.drift`, summed up.",
    services=_INDEXER,
    labels=(Label("kind", "The kind of difference; see chain.md.", tuple(DriftKind)),),
)

# How the services themselves are doing.

PROJECTED = Counter(
    name="mintstream.indexer.projected",
    unit="{message}",
    description="Messages whose rows are committed.",
    services=_INDEXER,
    labels=(_STREAM,),
)
PARKED = Counter(
    name="mintstream.indexer.parked",
    unit="{message}",
    description="Messages that changed no row because they cannot be read or do not fit.",
    services=_INDEXER,
    labels=(_STREAM,),
)
BATCH = Histogram(
    name="mintstream.indexer.batch",
    unit="{message}",
    description="Messages in one committed transaction.",
    services=_INDEXER,
    labels=(_STREAM,),
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000),
)
POSITION = Gauge(
    name="mintstream.indexer.position",
    unit="{sequence}",
    description="Last committed sequence.",
    services=_INDEXER,
    labels=(_STREAM,),
)
LEADING = Gauge(
    name="mintstream.indexer.leading",
    unit="{process}",
    description="1 in the process that projects, 0 in a standby.",
    services=_INDEXER,
)
CONSUMER_LAG = Gauge(
    name="mintstream.consumer.lag",
    unit="{message}",
    description="Messages that are on the log and were not delivered yet, as of the last delivery to this process.",
    services=("gateway", "ipfs", "minter", "indexer", "notifier"),
    labels=(
        Label(
            "consumer",
            "The durable consumer, or the stream that is read whole.",
            (*(consumer.name for consumer in CONSUMERS), *(stream.name for stream in STREAMS)),
        ),
    ),
)
CONSUMED = Counter(
    name="mintstream.consumer.handled",
    unit="{message}",
    description="Deliveries by how they ended.",
    services=("ipfs", "minter", "indexer", "notifier"),
    labels=(
        Label("consumer", "The durable consumer.", tuple(consumer.name for consumer in CONSUMERS)),
        Label("verdict", "Handled, to be delivered again, or dead-lettered.", ("ack", "again", "bury")),
    ),
)
FENCED = Counter(
    name="mintstream.log.fenced",
    unit="{message}",
    description="Publishes that found that somebody else had spoken first; harmless, and the price of many workers.",
    services=("gateway", "ipfs", "minter", "indexer", "notifier"),
    labels=(_STREAM,),
)
LOG_TRUNCATED = Counter(
    name="mintstream.log.truncated",
    unit="{loss}",
    description="Times that a stream was found to have lost its tail. Must never move. The gateway tells of ACCESS.",
    services=("gateway", "indexer"),
    labels=(_STREAM,),
)
WALLET_BALANCE = Gauge(
    name="mintstream.wallet.balance",
    unit="{lamport}",
    description="What a paying wallet held at the minter's last look, which it takes before it signs.",
    services=("minter",),
    labels=(Label("payer", "`wallet`, or the position of a further fee payer."),),
)
RPC_ERRORS = Counter(
    name="mintstream.rpc.errors",
    unit="{call}",
    description="Calls of Solana nodes that gave no answer that can be used.",
    services=("gateway", "minter", "indexer"),
    labels=(
        Label("node", "Position and host of the configured endpoint, or what it serves."),
        Label("kind", "How it failed.", ("unavailable", "rate_limited", "refused", "circuit_open")),
    ),
)
RATE_LIMITED = Counter(
    name="mintstream.gateway.rate_limited",
    unit="{request}",
    description="Requests answered with 429.",
    services=("gateway",),
    labels=(Label("limit", "The class of endpoints.", ("mint", "upload", "status", "login", "general")),),
)
COUNTED_ALONE = Counter(
    name="mintstream.gateway.counted_alone",
    unit="{request}",
    description="Requests that one replica counted for itself, because the shared Redis did not answer.",
    services=("gateway",),
)
SHED = Counter(
    name="mintstream.gateway.shed",
    unit="{request}",
    description="Requests refused because MAX_IN_FLIGHT others were worked on.",
    services=("gateway",),
)
HTTP_DURATION = Histogram(
    name="http.server.request.duration",
    unit="s",
    description="Requests to the API, by their duration.",
    services=("gateway",),
    labels=(
        Label("method", "The method.", ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")),
        Label("route", "The route's template; empty when no route fits."),
        Label("status", "The status of the answer; 499 when the caller left."),
    ),
    buckets=_REQUEST_SECONDS,
)
