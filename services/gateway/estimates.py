"""What a collection costs before it is made: rents, fees and the number of transactions. Pure; asks nobody.

Called by `api/collections.py`. The formulas are `bubblegum.rents`'; what is not known beforehand is left out: priority
fees, which follow the market, and the fees of the mints themselves but the protocol's.
"""

from typing import Final

import msgspec

from bubblegum.rents import (
    COLLECTION_FEES,
    MINT_FEES,
    SIGNATURE_FEE,
    TreeRents,
    Version,
    collection_rent,
    tree_rents,
)
from contracts.collection import TreeShape
from services.gateway.domain import check_tree
from services.gateway.requests import EstimateBody
from services.gateway.texts import MAX_NAME_BYTES

URI_BYTES: Final = 66
"""Of `ipfs://` and a CID of version 1 in base32, as the ipfs service pins."""
SIGNATURES: Final = 2
"""Of every transaction of a collection's making: the wallet's, and that of the account that is made."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a collection with its trees costs. Lamports; `rents` are those of each tree."""

    version: Version
    shape: TreeShape
    trees: int
    collection_rent: int
    rents: TreeRents
    protocol_fee: int
    """What the programs ask for the collection beside its rent."""
    mint_fee: int
    """What the program asks for each mint beside the transaction's fee."""

    @property
    def capacity(self) -> int:
        """NFTs that all trees hold."""
        return self.trees * self.shape.capacity

    @property
    def transactions(self) -> int:
        """One for the collection, and for each tree one for itself and one for its lookup table."""
        return 1 + 2 * self.trees

    @property
    def network_fee(self) -> int:
        """The base fees of these transactions."""
        return self.transactions * SIGNATURES * SIGNATURE_FEE

    @property
    def total(self) -> int:
        """What the wallet has to hold for it."""
        return self.collection_rent + self.trees * self.rents.total + self.network_fee + self.protocol_fee


def estimate(body: EstimateBody) -> Estimate:
    """Return the cost of a collection that is asked for like that. Raises ValidationFailed."""
    shape = check_tree(body)
    version: Version = 2 if body.standard == "v2" else 1
    name = "n" * MAX_NAME_BYTES if body.name is None else body.name
    return Estimate(
        version=version,
        shape=shape,
        trees=body.trees,
        collection_rent=collection_rent(version, name, URI_BYTES),
        rents=tree_rents(version, shape.max_depth, shape.max_buffer_size, shape.canopy_depth),
        protocol_fee=COLLECTION_FEES[version],
        mint_fee=MINT_FEES[version],
    )
