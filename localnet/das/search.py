"""The conditions of `searchAssets`.

Used by the methods. Each condition that is given becomes one test of an asset; `conditionType` says whether all or any
must hold, `negate` turns the whole around.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from localnet.das.assets import Asset, CompressedAsset
from localnet.das.errors import invalid
from localnet.das.params import PAGING, Params, pubkey_of
from localnet.das.render import authority_of, basis_points_of, delegate_of, interface_of, is_frozen

Test: TypeAlias = Callable[[Asset], bool]

POSITIONS: Final = (
    "negate",
    "conditionType",
    "interface",
    "ownerAddress",
    "ownerType",
    "creatorAddress",
    "creatorVerified",
    "authorityAddress",
    "grouping",
    "delegate",
    "frozen",
    "supply",
    "supplyMint",
    "compressed",
    "compressible",
    "royaltyTargetType",
    "royaltyTarget",
    "royaltyAmount",
    "burnt",
    *PAGING,
    "jsonUri",
)
"""The parameters in the order in which older clients send them."""


def matcher(params: Params) -> Test:
    """The test that an asset must pass. Raises DasError for a condition that cannot be read."""
    tests = [_CONDITIONS[name](params) for name in params.names() if name in _CONDITIONS]
    if "creatorVerified" in params and "creatorAddress" not in params:
        tests.append(_creator(params))
    combine = all if params.choice("conditionType", ("all", "any"), "all") == "all" else any
    negate = params.flag("negate")

    def matches(asset: Asset) -> bool:
        # Without a condition everything matches, negated or not.
        return not tests or combine(test(asset) for test in tests) is not negate

    return matches


def _interface(params: Params) -> Test:
    wanted = params.text("interface")
    return lambda asset: interface_of(asset) == wanted


def _owner(params: Params) -> Test:
    owner = params.pubkey("ownerAddress")
    return lambda asset: asset.owner == owner


def _owner_type(params: Params) -> Test:
    single = params.choice("ownerType", ("single", "token"), "single") == "single"
    return lambda _asset: single


def _creator(params: Params) -> Test:
    address = params.optional_pubkey("creatorAddress")
    verified = params.flag("creatorVerified") if "creatorVerified" in params else None
    return lambda asset: any(
        (address is None or each.address == address) and (verified is None or each.verified is verified)
        for each in asset.creators
    )


def _authority(params: Params) -> Test:
    authority = params.pubkey("authorityAddress")
    return lambda asset: authority_of(asset) == authority


def _grouping(params: Params) -> Test:
    group_key, value = params.pair("grouping")
    if group_key != "collection":
        raise invalid("grouping must be by collection")
    collection = pubkey_of("grouping", value)
    return lambda asset: asset.collection == collection


def _delegate(name: str) -> Callable[[Params], Test]:
    def condition(params: Params) -> Test:
        delegate = params.pubkey(name)
        return lambda asset: delegate_of(asset) == delegate

    return condition


def _frozen(params: Params) -> Test:
    frozen = params.flag("frozen")
    return lambda asset: is_frozen(asset) is frozen


def _supply(params: Params) -> Test:
    supply = params.natural("supply")
    return lambda asset: supply == (0 if asset.burnt else 1)


def _supply_mint(params: Params) -> Test:
    mint = params.pubkey("supplyMint")
    return lambda asset: not isinstance(asset, CompressedAsset) and asset.id == mint


def _compressed(params: Params) -> Test:
    compressed = params.flag("compressed")
    return lambda asset: isinstance(asset, CompressedAsset) is compressed


def _compressible(params: Params) -> Test:
    compressible = params.flag("compressible")
    return lambda _asset: not compressible


def _royalty_type(params: Params) -> Test:
    by_creators = params.choice("royaltyTargetType", ("creators", "fanout", "single"), "creators") == "creators"
    return lambda _asset: by_creators


def _royalty_target(params: Params) -> Test:
    params.pubkey("royaltyTarget")
    return lambda _asset: False  # royalties go to the creators, never to one target


def _royalty_amount(params: Params) -> Test:
    amount = params.natural("royaltyAmount")
    return lambda asset: basis_points_of(asset) == amount


def _burnt(params: Params) -> Test:
    burnt = params.flag("burnt")
    return lambda asset: asset.burnt is burnt


def _json_uri(params: Params) -> Test:
    uri = params.text("jsonUri")
    return lambda asset: asset.uri == uri


def _name(params: Params) -> Test:
    part = params.text("name").casefold()
    return lambda asset: part in asset.name.casefold()


def _token_type(params: Params) -> Test:
    wanted = params.choice("tokenType", ("Fungible", "NonFungible", "Compressed", "Nft", "All"), "All")
    if wanted == "Compressed":
        return lambda asset: isinstance(asset, CompressedAsset)
    return lambda _asset: wanted != "Fungible"


_CONDITIONS: Final[Mapping[str, Callable[[Params], Test]]] = {
    "interface": _interface,
    "ownerAddress": _owner,
    "ownerType": _owner_type,
    "creatorAddress": _creator,
    "authorityAddress": _authority,
    "grouping": _grouping,
    "delegate": _delegate("delegate"),
    "delegateAddress": _delegate("delegateAddress"),
    "frozen": _frozen,
    "supply": _supply,
    "supplyMint": _supply_mint,
    "compressed": _compressed,
    "compressible": _compressible,
    "royaltyTargetType": _royalty_type,
    "royaltyTarget": _royalty_target,
    "royaltyAmount": _royalty_amount,
    "burnt": _burnt,
    "jsonUri": _json_uri,
    "name": _name,
    "tokenType": _token_type,
}
