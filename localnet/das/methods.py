"""The methods of the DAS specification: what each takes and answers.

Used by the index. Names, parameters and the envelope of a list are the specification's; `total` counts the items of the
answer, as the reference implementation does, so that a page with fewer than `limit` is the last.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, TypeAlias

from solders.pubkey import Pubkey

from localnet.das.assets import Asset, AssetTable, CompressedAsset
from localnet.das.errors import NOT_FOUND, DasError, invalid, not_found
from localnet.das.offchain import Offchain
from localnet.das.params import PAGING, Page, Params, pubkey_of
from localnet.das.render import Json, Options, asset_json, authority_of, proof
from localnet.das.search import POSITIONS, matcher
from localnet.das.trees import Forest

Given: TypeAlias = Mapping[str, object] | Sequence[object] | None


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the index knows when a request comes."""

    assets: AssetTable
    forest: Forest
    offchain: Offchain

    def show(self, asset: Asset, options: Options) -> Json:
        """An asset as JSON."""
        return asset_json(asset, self.assets, self.offchain, options)


Method: TypeAlias = Callable[[Knowledge, Given], object]

_LIST_NAMES: Final = ("options", "displayOptions", "cursor")


def get_asset(known: Knowledge, given: Given) -> object:
    """`getAsset`."""
    params = Params(given, ("id", "options"), ("displayOptions",))
    asset, options = known.assets.get(params.pubkey("id")), params.options()
    if asset is None:
        raise not_found("Asset Not Found")
    return known.show(asset, options)


def get_assets(known: Knowledge, given: Given) -> object:
    """`getAssets`: null stands where an id is not known."""
    params = Params(given, ("ids", "options"), ("displayOptions",))
    options = params.options()
    found = [known.assets.get(asset_id) for asset_id in params.pubkeys("ids")]
    return [None if asset is None else known.show(asset, options) for asset in found]


def get_asset_proof(known: Knowledge, given: Given) -> object:
    """`getAssetProof`."""
    return _proof(known, Params(given, ("id",)).pubkey("id"))


def get_asset_proofs(known: Knowledge, given: Given) -> object:
    """`getAssetProofs`: by asset id, null where there is no proof."""
    proofs: dict[str, object] = {}
    for asset_id in Params(given, ("ids",)).pubkeys("ids"):
        try:
            proofs[str(asset_id)] = _proof(known, asset_id)
        except DasError as error:
            # An id without a proof does not spoil the others; anything else ends the request.
            if error.code != NOT_FOUND:
                raise
            proofs[str(asset_id)] = None
    return proofs


def _proof(known: Knowledge, asset_id: Pubkey) -> Json:
    asset = known.assets.get(asset_id)
    if not isinstance(asset, CompressedAsset) or asset.burnt:
        raise not_found("Asset Proof Not Found")
    copy = known.forest.get(asset.tree)
    if copy is None or copy.out_of_step is not None:
        reason = "its making was never seen" if copy is None else copy.out_of_step
        raise not_found(f"Asset Proof Not Found: the index has lost step with tree {asset.tree}: {reason}")
    return proof(asset, copy.tree)


def get_assets_by_owner(known: Knowledge, given: Given) -> object:
    """`getAssetsByOwner`."""
    params = Params(given, ("ownerAddress", *PAGING), _LIST_NAMES)
    return _list(known, params, _living(known.assets.of_owner(params.pubkey("ownerAddress"))))


def get_assets_by_group(known: Knowledge, given: Given) -> object:
    """`getAssetsByGroup`: the only group there is is the collection; unverified members only if asked for."""
    params = Params(given, ("groupKey", "groupValue", *PAGING), _LIST_NAMES)
    if params.text("groupKey") != "collection":
        raise invalid("groupKey must be collection")
    collection = params.pubkey("groupValue")
    members = _living(known.assets.of_collection(collection))
    if not params.options().show_unverified_collections:
        members = [asset for asset in members if asset.collection == collection]
    return _list(known, params, members)


def get_assets_by_creator(known: Knowledge, given: Given) -> object:
    """`getAssetsByCreator`."""
    params = Params(given, ("creatorAddress", "onlyVerified", *PAGING), _LIST_NAMES)
    creator, only_verified = params.pubkey("creatorAddress"), params.flag("onlyVerified")
    made = (
        asset
        for asset in _living(known.assets.all())
        if any(each.address == creator and (each.verified or not only_verified) for each in asset.creators)
    )
    return _list(known, params, made)


def get_assets_by_authority(known: Knowledge, given: Given) -> object:
    """`getAssetsByAuthority`."""
    params = Params(given, ("authorityAddress", *PAGING), _LIST_NAMES)
    authority = params.pubkey("authorityAddress")
    return _list(known, params, [each for each in _living(known.assets.all()) if authority_of(each) == authority])


def search_assets(known: Knowledge, given: Given) -> object:
    """`searchAssets`: burnt assets are found as well, unless `burnt` says otherwise."""
    params = Params(given, POSITIONS, (*_LIST_NAMES, "delegateAddress", "name", "tokenType"))
    matches = matcher(params)
    owner, group = params.optional_pubkey("ownerAddress"), params.pair("grouping") if "grouping" in params else None
    candidates = known.assets.all()
    narrow = not params.flag("negate") and params.choice("conditionType", ("all", "any"), "all") == "all"
    if narrow and owner is not None:
        candidates = known.assets.of_owner(owner)
    elif narrow and group is not None:
        candidates = known.assets.of_collection(pubkey_of("grouping", group[1]))
    return _list(known, params, filter(matches, candidates))


def _living(assets: Iterable[Asset]) -> list[Asset]:
    return [asset for asset in assets if not asset.burnt]


def _list(known: Knowledge, params: Params, found: Iterable[Asset]) -> Json:
    """The envelope of a list with one page of what was found."""
    page, options = params.paging(), params.options()
    items = _cut(_sorted(found, page), page)
    answer: Json = {"total": len(items), "limit": page.limit}
    if page.page is not None:
        answer["page"] = page.page
    if page.before is not None:
        answer["before"] = str(page.before)
    if page.after is not None:
        answer["after"] = str(page.after)
    if items and page.sort == "id":
        answer["cursor"] = str(items[-1].id)
    return {**answer, "items": [known.show(asset, options) for asset in items]}


_SORT_KEYS: Final[Mapping[str, Callable[[Asset], bytes | int]]] = {
    "id": lambda asset: bytes(asset.id),
    "created": attrgetter("created"),
    "updated": attrgetter("updated"),
    "recent_action": attrgetter("updated"),
}


def _sorted(found: Iterable[Asset], page: Page) -> list[Asset]:
    key = _SORT_KEYS.get(page.sort)
    return list(found) if key is None else sorted(found, key=key, reverse=page.descending)


def _cut(found: list[Asset], page: Page) -> list[Asset]:
    if page.page is not None:
        start = (page.page - 1) * page.limit
        return found[start : start + page.limit]
    if page.after is not None:
        found = [each for each in found if _is_after(each.id, page.after, page.descending)]
    if page.before is not None:
        found = [each for each in found if _is_after(page.before, each.id, page.descending)]
        if page.after is None:
            return found[max(len(found) - page.limit, 0) :]
    return found[: page.limit]


def _is_after(asset_id: Pubkey, other: Pubkey, descending: bool) -> bool:
    first, second = bytes(asset_id), bytes(other)
    return first < second if descending else first > second


METHODS: Final[Mapping[str, Method]] = {
    "getAsset": get_asset,
    "getAssetProof": get_asset_proof,
    "getAssetProofs": get_asset_proofs,
    "getAssets": get_assets,
    "getAssetsByAuthority": get_assets_by_authority,
    "getAssetsByCreator": get_assets_by_creator,
    "getAssetsByGroup": get_assets_by_group,
    "getAssetsByOwner": get_assets_by_owner,
    "searchAssets": search_assets,
}
