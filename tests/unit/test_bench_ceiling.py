"""What the benches say bounded a run."""

import pytest

from tests.bench.usage import ceiling


@pytest.mark.parametrize(
    ("taken", "told"),
    [
        ({"minter": 9.0, "ipfs": 1.0}, "that one process"),
        ({"minter": 6.0, "ipfs": 6.0, "nats": 6.0}, "the processor is the ceiling"),
        ({"minter": 4.0, "ipfs": 3.0}, "neither"),
    ],
)
def test_the_ceiling_is_the_first_of_a_process_the_processor_and_time(taken: dict[str, float], told: str) -> None:
    sentence = ceiling(taken, seconds=10.0, cores=2)
    assert told in sentence
    assert f"of which minter had the most, {taken['minter'] / 10:.2f}" in sentence
