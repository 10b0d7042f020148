"""What the program would refuse is refused here, with the field's name."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bubblegum.errors import MetadataError
from bubblegum.types import INHERIT_BASIS_POINTS, Creator, MetadataArgs, MetadataArgsV2
from tests.support.leaves import key, metadata_v1, metadata_v2

Metadata = MetadataArgs | MetadataArgsV2
BOTH: list[Callable[[], Metadata]] = [metadata_v1, metadata_v2]


def _shares(*shares: int) -> tuple[Creator, ...]:
    return tuple(Creator(key(number), False, share) for number, share in enumerate(shares))


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "N" * 32, "symbol": "S" * 10, "uri": "u" * 200, "seller_fee_basis_points": 10_000},
        {"name": "é" * 16},
        {"name": "", "symbol": "", "uri": "", "seller_fee_basis_points": 0},
        {"creators": _shares(100)},
        {"creators": _shares(96, 1, 1, 1, 1)},
        {"creators": _shares(0, 100)},
    ],
)
def test_what_the_program_takes(make: Callable[[], Metadata], changes: dict[str, Any]) -> None:
    replace(make(), **changes).validate()


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "N" * 33),
        ("name", "é" * 17),
        ("symbol", "S" * 11),
        ("uri", "u" * 201),
        ("seller_fee_basis_points", 10_001),
        ("seller_fee_basis_points", -1),
        ("creators", _shares(50, 49)),
        ("creators", _shares(-50, 150)),
        ("creators", _shares(95, 1, 1, 1, 1, 1)),
        ("creators", (Creator(key(1), False, 50), Creator(key(1), True, 50))),
    ],
)
def test_what_the_program_refuses(make: Callable[[], Metadata], field: str, value: Any) -> None:
    changes: dict[str, Any] = {field: value}
    with pytest.raises(MetadataError) as caught:
        replace(make(), **changes).validate()
    assert caught.value.field == field


def test_a_royalty_is_inherited_only_from_a_core_collection() -> None:
    replace(metadata_v2(collection=key(4)), seller_fee_basis_points=INHERIT_BASIS_POINTS).validate()
    for metadata in (metadata_v2(), metadata_v1(collection=key(4))):
        with pytest.raises(MetadataError):
            replace(metadata, seller_fee_basis_points=INHERIT_BASIS_POINTS).validate()
