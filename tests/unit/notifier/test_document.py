"""What docs/webhooks.md says, held to what is so."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from standardwebhooks import WebhookVerificationError

from chassis.redaction import Secret
from contracts.generate import webhook_schemas
from contracts.notification import EVENT_TYPES
from services.notifier.signing import signed_headers
from tests.support.webhooks import OTHER_SECRET, SECRET

TEXT = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return found


def test_the_example_verifies_what_is_sent_and_nothing_else() -> None:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    body = json.dumps(json.loads(block("json"))).encode()
    headers = signed_headers("msg_1", datetime.now(UTC), body, [Secret(SECRET)])
    assert names["receive"](headers, body, SECRET)["type"] == "mint.completed"
    with pytest.raises(WebhookVerificationError):
        names["receive"](headers, body, OTHER_SECRET)


def test_the_example_of_a_body_fits_its_schema() -> None:
    body = json.loads(block("json"))
    jsonschema.validate(body, webhook_schemas()[body["type"]], jsonschema.Draft202012Validator)


def test_every_event_type_is_in_the_table() -> None:
    assert {name for name in EVENT_TYPES if f"`{name}`" not in TEXT} == set()
