"""Ids in paths: what is no id names nothing, which is answered like any other unknown id."""

from typing import cast
from uuid import UUID

from services.gateway.errors import CollectionNotFound, DeadLetterNotFound, OperationNotFound, WebhookNotFound
from services.gateway.texts import uuid_of_text, whole_number


def operation_id(text: str) -> UUID:
    """Return the operation's id. Raises OperationNotFound."""
    try:
        return uuid_of_text(text)
    except ValueError:  # stop: what is no UUID is no operation either
        raise OperationNotFound from None


def collection_id(text: str) -> UUID:
    """Return the collection's id. Raises CollectionNotFound."""
    try:
        return uuid_of_text(text)
    except ValueError:  # stop: what is no UUID is no collection either
        raise CollectionNotFound("Collection not found", "no collection has this id") from None


def webhook_id(text: str) -> UUID:
    """Return the webhook's id. Raises WebhookNotFound."""
    try:
        return uuid_of_text(text)
    except ValueError:  # stop: what is no UUID is no webhook either
        raise WebhookNotFound from None


def letter_number(text: str) -> int:
    """Return the number of a dead letter. Raises DeadLetterNotFound."""
    try:
        return int(cast("int", whole_number(text)))
    except ValueError:  # stop: what is no number is no letter either
        raise DeadLetterNotFound from None
