"""The Digital Asset Standard's read API, derived from the chain's transactions and nothing else.

Used by the local cluster, which feeds `DasIndex.apply` with every transaction and asks `DasIndex.handle`. What this
index does not know: metadata changed after the mint (the local programs have no such instruction) and assets that are
not compressed, but for the collections themselves.
"""

from localnet.das.errors import DasError
from localnet.das.index import DasIndex

__all__ = ["DasError", "DasIndex"]
