"""Where a delivered message stands: what the server tells in the reply subject."""

from typing import Any

import pytest
from nats.aio.msg import Msg

from chassis.messaging_pull import PullLost, place_of

NUMBERS = "3.123456789.77.1764000000123456789.42"


def delivered(reply: str) -> Msg:
    client: Any = None
    return Msg(client, subject="mint.requested.v1.x", reply=reply)


@pytest.mark.parametrize(
    "reply",
    [
        f"$JS.ACK.MINT.reader.{NUMBERS}",
        f"$JS.ACK._.accountHash.MINT.reader.{NUMBERS}",
        f"$JS.ACK.hub.accountHash.MINT.reader.{NUMBERS}.random",
    ],
)
def test_a_place_is_what_the_client_reads(reply: str) -> None:
    place = place_of(delivered(reply))
    told = delivered(reply).metadata
    assert (place.sequence, place.given) == (told.sequence.stream, told.sequence.consumer)
    assert (place.deliveries, place.pending) == (told.num_delivered, told.num_pending)
    assert place.stored_at == told.timestamp


@pytest.mark.parametrize("reply", ["$JS.ACK", "$JS.ACK.MINT.reader.1.2.3.4", f"$JS.ACK.MINT.reader.{NUMBERS[:-2]}x"])
def test_what_no_server_says_loses_the_pull(reply: str) -> None:
    with pytest.raises(PullLost, match="reply subject"):
        place_of(delivered(reply))
