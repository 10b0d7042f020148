"""The notifier's settings; `WEBHOOK_URL` is the source document's."""

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Annotated

from msgspec import Meta

from chassis.outside import Network
from chassis.sealing import Sealer
from chassis.settings import Secret, ServiceSettings, SettingsError
from contracts.notification import EVENT_TYPES
from services.notifier.domain import Schedule, takes
from services.notifier.signing import key_of

HttpUrl = Annotated[str, Meta(pattern=r"^https?://[^\s]+$", max_length=2048)]


def _event_filter(text: str) -> str:
    """Return the filter; raises ValueError for one that takes no event."""
    if not any(takes(text, event_type) for event_type in EVENT_TYPES):
        raise ValueError(f"{text!r} takes none of {', '.join(EVENT_TYPES)}")
    return text


class NotifierSettings(ServiceSettings, frozen=True, kw_only=True):
    """What the notifier reads from its environment."""

    webhook_url: Annotated[HttpUrl | None, Meta(description="The operator's own webhook, told of everything.")] = None
    webhook_secret: Annotated[
        Secret | None,
        Meta(
            description="Signs what WEBHOOK_URL is sent: whsec_ and 24 to 64 bytes in base64. Several, comma "
            "separated, sign side by side while one takes the place of another."
        ),
    ] = None
    webhook_events: Annotated[
        tuple[str, ...], Meta(description="What WEBHOOK_URL is told: event types, <noun>.*, or *.", min_length=1)
    ] = ("*",)
    webhook_sealing_keys: Annotated[
        Secret | None,
        Meta(
            description="Opens the secrets of webhooks made through the API: keys of 32 bytes in URL-safe base64, "
            "comma separated, the newest first; the same as the gateway's."
        ),
    ] = None
    webhook_inside_networks: Annotated[
        tuple[str, ...],
        Meta(
            description="Networks that are not public and yet may be called, also over http; for local development.",
            examples=["127.0.0.0/8,::1/128"],
        ),
    ] = ()
    webhook_timeout_seconds: Annotated[
        float, Meta(description="Seconds that a receiver has to answer.", ge=1, le=60)
    ] = 15.0
    webhook_concurrency: Annotated[
        int, Meta(description="Operations of one webhook that are told of at once.", ge=1, le=64)
    ] = 8
    webhook_first_retry_seconds: Annotated[
        float, Meta(description="Pause after the first attempt; doubled after each.", gt=0, le=3600)
    ] = 5.0
    webhook_longest_retry_seconds: Annotated[
        float, Meta(description="Longest pause between attempts.", gt=0, le=86_400)
    ] = 21_600.0
    webhook_give_up_seconds: Annotated[
        float, Meta(description="Seconds after the first attempt at which a delivery is parked.", gt=0, le=2_592_000)
    ] = 259_200.0

    def __post_init__(self) -> None:
        problems = dict(self._problems())
        if problems:
            raise SettingsError(type(self).__name__, problems)

    def _problems(self) -> Iterator[tuple[str, str]]:
        if self.webhook_url is not None and self.webhook_secret is None:
            yield "WEBHOOK_SECRET", "needed for WEBHOOK_URL: receivers tell our requests from others' by the signature"
        checks = (
            ("WEBHOOK_SECRET", lambda: [key_of(secret) for secret in self.secrets]),
            ("WEBHOOK_SEALING_KEYS", lambda: self.sealer),
            ("WEBHOOK_INSIDE_NETWORKS", lambda: self.inside_networks),
            ("WEBHOOK_EVENTS", lambda: [_event_filter(text) for text in self.webhook_events]),
        )
        for variable, check in checks:
            try:
                check()
            except ValueError as error:  # stop: collected, raised by the caller with the others
                yield variable, str(error)

    @property
    def secrets(self) -> Sequence[Secret]:
        """Those of WEBHOOK_SECRET, the newest first."""
        text = "" if self.webhook_secret is None else self.webhook_secret.reveal()
        return [Secret(part.strip()) for part in text.split(",") if part.strip()]

    @property
    def sealer(self) -> Sealer | None:
        """What opens the secrets of the other webhooks."""
        return None if self.webhook_sealing_keys is None else Sealer(self.webhook_sealing_keys)

    @property
    def inside_networks(self) -> Sequence[Network]:
        """WEBHOOK_INSIDE_NETWORKS as networks."""
        return [ipaddress.ip_network(text) for text in self.webhook_inside_networks]

    @property
    def schedule(self) -> Schedule:
        """When deliveries are tried again."""
        return Schedule(
            first=self.webhook_first_retry_seconds,
            longest=self.webhook_longest_retry_seconds,
            give_up=self.webhook_give_up_seconds,
        )
