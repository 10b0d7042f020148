"""Every parser of outside bytes, by name."""

from collections.abc import Mapping
from typing import Final

from tests.fuzz import targets_chain, targets_content, targets_gateway
from tests.fuzz.target import Target

TARGETS: Final[Mapping[str, Target]] = {
    target.name: target for target in (*targets_gateway.TARGETS, *targets_chain.TARGETS, *targets_content.TARGETS)
}
