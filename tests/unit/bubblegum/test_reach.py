"""Which trees' leaves can be moved, found by compiling."""

import pytest

from bubblegum.reach import least_canopy, max_proof_nodes


@pytest.mark.parametrize(("version", "nodes"), [(1, 20), (2, 16)])
def test_how_long_a_proof_may_be(version: int, nodes: int) -> None:
    assert max_proof_nodes(version) == nodes


@pytest.mark.parametrize(
    ("depth", "version", "canopy"), [(14, 1, 0), (14, 2, 0), (20, 1, 0), (20, 2, 4), (30, 1, 10), (30, 2, 14)]
)
def test_the_least_canopy_of_a_depth(depth: int, version: int, canopy: int) -> None:
    assert least_canopy(depth, version) == canopy
