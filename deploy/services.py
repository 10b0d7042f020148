"""The services as deployments know them: name and settings. Used by the generators and the checks."""

from collections.abc import Mapping
from typing import Final

from chassis.settings import ServiceSettings
from services.gateway.settings import GatewaySettings
from services.indexer.settings import IndexerSettings
from services.ipfs.settings import IpfsSettings
from services.minter.settings import MinterSettings
from services.notifier.settings import NotifierSettings

SETTINGS: Final[Mapping[str, type[ServiceSettings]]] = {
    "gateway": GatewaySettings,
    "ipfs": IpfsSettings,
    "minter": MinterSettings,
    "indexer": IndexerSettings,
    "notifier": NotifierSettings,
}
"""In the order in which a mint passes through them."""
