"""Metadata that is not on chain, asked for only when an answer shows it.

Used by the rendering of assets. Whoever builds the index decides whether there is anything to ask (`Fetch`); what comes
back is someone else's JSON and is shown, never trusted.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

Fetch: TypeAlias = Callable[[str], Mapping[str, object] | None]
"""The JSON object at a URI, or None when it is not to be had now. Must return at once and raise nothing."""

MAX_REMEMBERED: Final = 4096


class Offchain:
    """The documents found so far, the least recently shown forgotten first. A failed look-up is not remembered."""

    def __init__(self, fetch: Fetch | None) -> None:
        self._fetch = fetch
        self._found: OrderedDict[str, Mapping[str, object]] = OrderedDict()

    def at(self, uri: str) -> Mapping[str, object]:
        """The document at `uri`; empty when there is none or nothing to ask."""
        if self._fetch is None or not uri:
            return {}
        known = self._found.get(uri)
        if known is None:
            known = self._fetch(uri)
            if known is None:
                return {}
            self._found[uri] = known
            if len(self._found) > MAX_REMEMBERED:
                self._found.popitem(last=False)
        self._found.move_to_end(uri)
        return known
