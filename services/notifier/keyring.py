"""The secrets that sign for a webhook: those of the settings, or those on the log, opened here and kept nowhere."""

from collections.abc import Sequence
from datetime import datetime

from chassis.redaction import Secret
from chassis.sealing import Sealer, Unsealable
from contracts.webhook import WebhookConfigured


class Keyring:
    """The signing secrets. `configured` are WEBHOOK_SECRET's; without `sealer` no other webhook can be signed."""

    def __init__(self, sealer: Sealer | None, configured: Sequence[Secret] = ()) -> None:
        self._sealer = sealer
        self._configured = tuple(configured)

    def secrets(self, webhook: WebhookConfigured, now: datetime) -> Sequence[Secret]:
        """Return the secrets that sign at `now`, the newest first. Raises Unsealable."""
        if not webhook.secrets:
            return self._configured
        if self._sealer is None:
            raise Unsealable("WEBHOOK_SEALING_KEYS is not set")
        valid = [each for each in webhook.secrets if each.expires_at is None or each.expires_at > now]
        return [self._sealer.open(each.sealed) for each in valid]
