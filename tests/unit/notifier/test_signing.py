"""Signatures as the specification's own library judges them."""

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from chassis.redaction import Secret
from services.notifier.signing import key_of, signed_headers
from tests.support.webhooks import OTHER_SECRET, SECRET, Received

BODY = '{"type":"mint.completed","data":{"name":"Köln 🌇"}}'.encode()


def headers(*secrets: str, at: datetime | None = None) -> dict[str, str]:
    return signed_headers("msg_1", at or datetime.now(UTC), BODY, [Secret(each) for each in secrets])


def test_the_official_verifier_accepts_it() -> None:
    assert Received(headers(SECRET), BODY).verified(SECRET)["data"]["name"] == "Köln 🌇"


def test_the_same_bytes_are_signed_as_the_official_signer_signs_them() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    signed = Webhook(SECRET).sign("msg_1", at, BODY.decode())
    assert headers(SECRET, at=at)["webhook-signature"] == signed


def test_while_a_secret_takes_the_place_of_another_both_verify() -> None:
    received = Received(headers(OTHER_SECRET, SECRET), BODY)
    assert received.verified(SECRET) == received.verified(OTHER_SECRET)


def test_another_secret_body_or_time_is_refused() -> None:
    old = datetime.now(UTC) - timedelta(minutes=6)
    for received in (
        Received(headers(OTHER_SECRET), BODY),
        Received(headers(SECRET), BODY + b" "),
        Received(headers(SECRET, at=old), BODY),
        Received(headers(SECRET) | {"webhook-id": "msg_2"}, BODY),
    ):
        with pytest.raises(WebhookVerificationError):
            received.verified(SECRET)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64", "whsec_" + "A" * 120])
def test_what_is_no_secret_is_refused_without_being_told(secret: str) -> None:
    with pytest.raises(ValueError, match="24 to 64 bytes") as refused:
        key_of(Secret(secret))
    assert "not base64" not in str(refused.value)
