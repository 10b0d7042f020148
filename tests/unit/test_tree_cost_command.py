"""`mintstream tree cost`: what it prints, and how it ends."""

import json

from typer.testing import CliRunner

from contracts.collection import Standard
from mintstream.cli import app
from services.minter.costs import shape_for, tree_cost

run = CliRunner().invoke


def test_json_is_the_whole_cost() -> None:
    answer = run(app, ["tree", "cost", "--capacity", "10000", "--standard", "v1", "--json"])
    assert answer.exit_code == 0, answer.output
    expected = tree_cost(10_000, shape_for(10_000, Standard.V1), Standard.V1)
    assert json.loads(answer.output) == {name: getattr(expected, name) for name in expected.__slots__}


def test_people_read_depth_buffer_canopy_rent_and_the_cost_of_each_nft() -> None:
    answer = run(app, ["tree", "cost", "--capacity", "10000"])
    assert answer.exit_code == 0, answer.output
    cost = tree_cost(10_000, shape_for(10_000, Standard.V2), Standard.V2)
    for told in ("10,000 of 16,384", f"{cost.tree_rent:,} lamports", f"{cost.rent_sol:.9f} SOL", "4.00"):
        assert told in answer.output


def test_a_tree_that_nobody_can_have_is_wrong_usage() -> None:
    for wrong in (["--capacity", "2000000000"], ["--capacity", "2000000", "--canopy", "1"], ["--capacity", "0"]):
        answer = run(app, ["tree", "cost", *wrong])
        assert answer.exit_code == 2, answer.output
