"""A leaf is proven when it is what was asked for, whoever pinned, signed and confirmed something else together."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from solders.pubkey import Pubkey

from audit.checks import check_leaves
from audit.evidence import Evidence
from audit.gathering import logged_event
from audit.report import Verdict
from bubblegum.changes import Minted
from bubblegum.decode import decode as changes_of
from contracts.fact import Fact
from contracts.mint import Confirmed, MintedLeaf
from tests.support.indexing import History, address, confirmed, pinned, requested, uid
from tests.support.leaves import ModelTree, metadata_v2, transaction

OPERATION = uid("operation")
RECIPIENT, THIEF = address("recipient"), address("thief")
TREE = Pubkey.from_string(address("tree"))


def minted(
    request: dict[str, Any], *, owner: str = RECIPIENT, name: str = "Nft 0", item: int = 0
) -> tuple[Verdict, str]:
    """What an audit says of a leaf on which all but the request agree."""
    told = pinned(OPERATION, 0, [item])
    placed = msgspec.structs.replace(told.items[0], name=name)
    told = msgspec.structs.replace(told, recipient=owner, items=(placed,))
    metadata = replace(metadata_v2(name), uri=placed.uri, symbol=placed.symbol)
    ran = transaction(ModelTree(TREE, version=2).mint(Pubkey.from_string(owner), metadata))
    (change,) = (each for each in changes_of(ran) if isinstance(each, Minted))
    leaf = MintedLeaf(
        item=item,
        asset_id=str(change.asset_id),
        leaf_index=change.leaf_index,
        nonce=change.nonce,
        owner=owner,
        leaf_hash=change.leaf.leaf_hash.hex(),
    )
    fact: Confirmed = msgspec.structs.replace(confirmed(OPERATION, 0, 0, []), leaves=(leaf,), signature=ran.signature)
    story: tuple[Fact, ...] = (requested(OPERATION, 1, **request), told, fact)
    events = [logged_event(raw) for raw in map(History().say, story)]
    (finding,) = check_leaves(Evidence(OPERATION, events, transactions={ran.signature: ran}))
    return finding.verdict, finding.reason


@pytest.mark.parametrize("symbol", [None, "N"])
def test_what_was_asked_for_is_proven(symbol: str | None) -> None:
    (nft,) = requested(OPERATION, 1).nfts
    assert minted({"nfts": (msgspec.structs.replace(nft, symbol=symbol),)}) == (Verdict.PROVEN, "")


def test_what_went_to_somebody_else_is_found() -> None:
    verdict, reason = minted({}, owner=THIEF)
    assert (verdict, THIEF in reason) == (Verdict.BROKEN, True)


def test_what_is_called_otherwise_is_found() -> None:
    assert minted({}, name="Nft 1") == (Verdict.BROKEN, "'Nft 0' was asked for, and 'Nft 1' was pinned")
    (nft,) = requested(OPERATION, 1).nfts
    assert minted({"nfts": (msgspec.structs.replace(nft, symbol="M"),)})[0] is Verdict.BROKEN


def test_what_nobody_has_asked_for_is_found() -> None:
    assert minted({}, item=1) == (Verdict.BROKEN, "nobody has asked for item 1")
