"""Every metric of the indexer."""

from typing import Final

from chassis.telemetry import meter

_meter = meter("mintstream.indexer")

PROJECTED: Final = _meter.create_counter(
    "mintstream.indexer.projected", unit="{message}", description="Messages whose rows are committed, by stream."
)
PARKED: Final = _meter.create_counter(
    "mintstream.indexer.parked", unit="{message}", description="Messages that changed no row, by stream."
)
BATCH: Final = _meter.create_histogram(
    "mintstream.indexer.batch", unit="{message}", description="Messages in one committed transaction, by stream."
)
POSITION: Final = _meter.create_gauge(
    "mintstream.indexer.position", unit="{sequence}", description="Last committed sequence, by stream."
)
LEADING: Final = _meter.create_gauge(
    "mintstream.indexer.leading", description="1 in the process that projects, 0 in a standby."
)
