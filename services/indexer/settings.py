"""The indexer's settings."""

from typing import Annotated

import msgspec
from msgspec import Meta

from chassis.settings import Secret, ServiceSettings

DatabaseUrl = Annotated[
    Secret,
    Meta(
        description="Postgres as the owner of the projection's tables, or as mintstream_writer, who cannot migrate.",
        pattern=r"^postgres(ql)?://",
        examples=["postgresql://mintstream@127.0.0.1:5432/mintstream"],
    ),
]


ArchiveUrl = Annotated[
    Annotated[str, Meta(pattern=r"^(file|s3)://")] | None,
    Meta(
        description="Where old messages are archived: `file:///folder` or `s3://bucket/prefix` (its credentials and "
        "endpoint come from AWS_* variables). Nothing is archived when absent.",
        examples=["file:///srv/archive"],
    ),
]


class IndexerSettings(ServiceSettings, frozen=True, kw_only=True):
    """What the indexer reads from its environment; names as in the source document where it has one."""

    database_url: DatabaseUrl
    rpc_url: Annotated[
        Secret,
        Meta(
            description="Solana JSON-RPC endpoint; secret because providers put the key into it.",
            pattern=r"^https?://",
            examples=["http://127.0.0.1:8899"],
        ),
    ]
    backup_rpc_urls: Annotated[
        Secret | None,
        Meta(
            description="Further endpoints, comma separated: asked in their order for what RPC_URL does not show, and "
            "compared with it. Old trees need one with full history."
        ),
    ] = None
    das_url: Annotated[
        Secret | None, Meta(description="Endpoint of the Digital Asset Standard API; RPC_URL when absent.")
    ] = None
    count_interval_seconds: Annotated[
        float, Meta(description="Seconds between two counts of every collection on chain.", ge=1, le=86_400)
    ] = 300.0
    second_das_url: Annotated[
        Secret | None,
        Meta(description="A second DAS provider: compared with the first, and asked when the first does not answer."),
    ] = None
    das_requests_per_second: Annotated[
        float, Meta(description="Requests a second to each DAS provider.", gt=0, le=1000)
    ] = 10.0
    ws_url: Annotated[
        Secret | None, Meta(description="WebSocket endpoint of a node, on which changes of trees are heard of sooner.")
    ] = None
    follow_interval_seconds: Annotated[
        float, Meta(description="Seconds between two looks at every tree on chain.", ge=1, le=3600)
    ] = 15.0
    reconcile_interval_seconds: Annotated[
        float, Meta(description="Seconds between two comparisons of every collection with the chain.", ge=1, le=86_400)
    ] = 300.0
    rpc_timeout_seconds: Annotated[float, Meta(description="Seconds that a node has to answer.", ge=0.1, le=120)] = 10.0
    archive_url: ArchiveUrl = None
    archive_interval_seconds: Annotated[
        float, Meta(description="Seconds between two looks for messages to archive.", ge=1, le=86_400)
    ] = 3600.0
    archive_after_hours: Annotated[
        float, Meta(description="Age in hours from which on messages are archived.", ge=0, le=87_600)
    ] = 24.0


class MigrationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that `--migrate-only` needs."""

    database_url: DatabaseUrl
