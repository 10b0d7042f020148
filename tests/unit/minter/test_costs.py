"""What a tree costs: against the runtime's own rent, and by hand."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.litesvm import LiteSVM

from bubblegum.merkle import VALID_DEPTH_BUFFER_PAIRS
from bubblegum.reach import least_canopy
from bubblegum.reference import reference
from bubblegum.rents import TABLE_ADDRESSES, rent_exemption
from contracts.collection import Standard, TreeShape
from services.minter.costs import NoSuchTree, mints_per_transaction, shape_for, tree_cost
from services.minter.plan import table_addresses


@pytest.mark.parametrize("size", [0, 1, 96, 312, 48_120, 10 * 1024 * 1024])
def test_rent_is_what_the_runtime_asks(size: int) -> None:
    assert rent_exemption(size) == LiteSVM().minimum_balance_for_rent_exemption(size)


@given(st.integers(1, 2**30), st.sampled_from(list(Standard)))
def test_the_smallest_tree_that_holds_them_and_lets_them_move(capacity: int, standard: Standard) -> None:
    shape = shape_for(capacity, standard)
    smaller = [depth for depth, _ in VALID_DEPTH_BUFFER_PAIRS if depth < shape.max_depth]
    assert shape.capacity >= capacity
    assert not smaller or 1 << max(smaller) < capacity
    assert (shape.max_depth, shape.max_buffer_size) in VALID_DEPTH_BUFFER_PAIRS
    assert shape.canopy_depth >= least_canopy(shape.max_depth, 2 if standard is Standard.V2 else 1)


@pytest.mark.parametrize("capacity", [0, 2**30 + 1])
def test_no_tree_holds_so_many(capacity: int) -> None:
    with pytest.raises(NoSuchTree, match="holds 1 to"):
        shape_for(capacity, Standard.V2)


@pytest.mark.parametrize(("canopy", "standard"), [(9, Standard.V1), (13, Standard.V2), (18, Standard.V2)])
def test_no_tree_has_such_a_canopy(canopy: int, standard: Standard) -> None:
    with pytest.raises(NoSuchTree, match="canopy"):
        shape_for(2**30, standard, canopy)


@pytest.mark.parametrize("standard", list(Standard))
def test_more_mints_share_a_fee_with_a_table_and_with_short_uris(standard: Standard) -> None:
    without = mints_per_transaction(standard, lookup_table=False, uri_bytes=35)
    usual = mints_per_transaction(standard, uri_bytes=35)
    short = mints_per_transaction(standard, uri_bytes=12)
    assert without < usual < short
    assert usual == 5.0
    assert mints_per_transaction(standard) == 4.0


def test_the_sums_are_right() -> None:
    cost = tree_cost(10_000, TreeShape(), Standard.V2)
    assert cost.account_bytes == 80 + 65 * (32 * 15 + 8) + 32 * (2**9 - 2)
    assert cost.tree_rent == (128 + cost.account_bytes) * 6_960
    assert cost.rent == cost.tree_rent + cost.config_rent + cost.table_rent
    assert cost.fee_per_nft == 5_000 / 4 + 90_000
    assert cost.per_nft == pytest.approx(cost.rent / 10_000 + cost.fee_per_nft)
    assert tree_cost(10_000, TreeShape(), Standard.V1).fee_per_nft == 5_000 / 4


@pytest.mark.parametrize(("standard", "version"), [(Standard.V1, 1), (Standard.V2, 2)])
def test_a_lookup_table_holds_as_many_addresses_as_its_rent_is_for(standard: Standard, version: Literal[1, 2]) -> None:
    named = table_addresses(standard, *(reference(name) for name in ("asset", "tree", "wallet")))
    assert len(named) == TABLE_ADDRESSES[version]
