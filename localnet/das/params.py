"""Reading the parameters of a DAS request, which are hostile.

Used by the methods. Parameters come by name, as the specification has them, or by position, as older clients send them.
Every reader raises DasError(INVALID_PARAMS).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from solders.pubkey import Pubkey

from localnet.das.errors import invalid
from localnet.das.render import Options

MAX_LIMIT: Final = 1000
"""Assets a page at most, and when nothing is said; the reference implementation's number."""

PAGING: Final = ("sortBy", "limit", "page", "before", "after")
SORTS: Final = ("created", "updated", "recent_action", "id", "none")
_OPTIONS: Final = frozenset(
    ("showCollectionMetadata", "showFungible", "showInscription", "showUnverifiedCollections", "showZeroBalance")
)


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: a page counted from 1, or what follows `after` and precedes `before`, both asset ids."""

    sort: str
    descending: bool
    limit: int
    page: int | None
    before: Pubkey | None
    after: Pubkey | None


class Params:
    """The parameters of one request by name; null counts as absent."""

    def __init__(
        self, params: Mapping[str, object] | Sequence[object] | None, names: Sequence[str], also: Sequence[str] = ()
    ) -> None:
        """`names` in the order of their positions; `also` those that come by name only. Others are refused."""
        given = _by_name({} if params is None else params, names)
        unknown = sorted(set(given).difference(names, also))
        if unknown:
            raise invalid(f"unknown parameter: {unknown[0]}")
        self._values = {name: value for name, value in given.items() if value is not None}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def names(self) -> list[str]:
        """The names of what was given."""
        return list(self._values)

    def _required(self, name: str, value: object | None) -> object:
        if value is None:
            raise invalid(f"{name} is required")
        return value

    def text(self, name: str) -> str:
        """A string that must be there."""
        value = self._required(name, self._values.get(name))
        if not isinstance(value, str):
            raise invalid(f"{name} must be a string")
        return value

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """One of `choices`."""
        if name not in self:
            return default
        value = self.text(name)
        if value not in choices:
            raise invalid(f"{name} must be one of {', '.join(choices)}")
        return value

    def pubkey(self, name: str) -> Pubkey:
        """An address that must be there."""
        return pubkey_of(name, self.text(name))

    def optional_pubkey(self, name: str) -> Pubkey | None:
        """An address."""
        return self.pubkey(name) if name in self else None

    def pubkeys(self, name: str) -> list[Pubkey]:
        """Up to MAX_LIMIT addresses."""
        value = self._required(name, self._values.get(name))
        if not isinstance(value, list) or len(cast("list[object]", value)) > MAX_LIMIT:
            raise invalid(f"{name} must be an array of at most {MAX_LIMIT} addresses")
        return [pubkey_of(name, each) for each in cast("list[object]", value)]

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean."""
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            raise invalid(f"{name} must be a boolean")
        return value

    def natural(self, name: str) -> int | None:
        """A non-negative integer."""
        value = self._values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise invalid(f"{name} must be a non-negative integer")
        return value

    def pair(self, name: str) -> tuple[str, str]:
        """Two strings that must be there."""
        value = self._required(name, self._values.get(name))
        match value:
            case [str() as first, str() as second]:
                return first, second
            case _:
                raise invalid(f"{name} must be a pair of strings")

    def _object(self, name: str) -> Mapping[str, object]:
        value = self._values.get(name, {})
        if not isinstance(value, Mapping):
            raise invalid(f"{name} must be an object")
        return cast("Mapping[str, object]", value)

    def options(self) -> Options:
        """What to show; `displayOptions` is what the official client calls it in lists."""
        given = {**self._object("displayOptions"), **self._object("options")}
        for name, value in given.items():
            if name not in _OPTIONS or not isinstance(value, bool):
                raise invalid(f"options.{name} is not known or not a boolean")
        return Options(
            show_unverified_collections=bool(given.get("showUnverifiedCollections")),
            show_collection_metadata=bool(given.get("showCollectionMetadata")),
        )

    def paging(self) -> Page:
        """Sorting and paging; a cursor is what `after` is."""
        sorting = Params(self._object("sortBy"), ("sortBy", "sortDirection"))
        sort = sorting.choice("sortBy", SORTS, "id")
        descending = sorting.choice("sortDirection", ("asc", "desc"), "desc") == "desc"
        limit = self.natural("limit")
        if limit is not None and limit > MAX_LIMIT:
            raise invalid(f"Pagination Error. Limit should not be greater than {MAX_LIMIT}")
        before, after = self.optional_pubkey("before"), self.optional_pubkey("after") or self.optional_pubkey("cursor")
        page = self.natural("page")
        if before or after:
            # Old clients always send page 1 along.
            if page not in (None, 1):
                raise invalid("Pagination Error. Only one of page and before/after may be given")
            if sort != "id":
                raise invalid("Pagination Error. before/after need sorting by id")
            page = None
        elif page == 0:
            raise invalid("Pagination Error. Pages are counted from 1")
        else:
            page = page or 1
        return Page(sort, descending, MAX_LIMIT if limit is None else limit, page, before, after)


def pubkey_of(name: str, value: object) -> Pubkey:
    """The address that `value` writes."""
    if isinstance(value, str):
        try:
            return Pubkey.from_string(value)
        except ValueError:
            # No address, whoever asks and whenever; told below like any other wrong type.
            pass
    raise invalid(f"{name} must be a base58 address")


def _by_name(params: Mapping[str, object] | Sequence[object], names: Sequence[str]) -> Mapping[str, object]:
    if isinstance(params, Mapping):
        return params
    if isinstance(params, str) or len(params) > len(names):
        raise invalid(f"params must be an object or an array of at most {len(names)}")
    if len(params) == 1 and isinstance(params[0], Mapping):
        # Some clients wrap the named parameters into an array of one.
        return cast("Mapping[str, object]", params[0])
    return dict(zip(names, params, strict=False))
