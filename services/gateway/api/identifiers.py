"""Ids in paths: what is no UUID names nothing, which is answered like any other unknown id."""

from uuid import UUID

from services.gateway.errors import CollectionNotFound, OperationNotFound, WebhookNotFound
from services.gateway.texts import uuid_of_text


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
        raise CollectionNotFound("Collection not found") from None


def webhook_id(text: str) -> UUID:
    """Return the webhook's id. Raises WebhookNotFound."""
    try:
        return uuid_of_text(text)
    except ValueError:  # stop: what is no UUID is no webhook either
        raise WebhookNotFound from None
