"""`mintstream webhooks`: addresses that events are sent to, their secrets and their deliveries, through the API."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import typer

from mintstream.options import DATA, AsJson, DataDir
from mintstream.printing import print_json, print_table, tell
from mintstream.reach import asked

app = typer.Typer(name="webhooks", help="Webhooks: make, test, replay, and see deliveries.", no_args_is_help=True)

COLUMNS: Final = ("id", "url", "events", "active", "allCallers", "disabledReason", "description")
DELIVERY_COLUMNS: Final = ("id", "type", "about", "state", "attempts", "status", "reason", "queuedAt")

WebhookId = Annotated[str, typer.Argument(metavar="ID", help="The webhook's id.")]
Moment = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"], help="A time in UTC, such as 2026-01-02T03:04:05Z."),
]


@app.command("list")
def list_webhooks(context: typer.Context, as_json: AsJson = False, data: DataDir = DATA) -> None:
    """List your webhooks, the oldest first.

    Example: mintstream webhooks list
    """
    found = asked(context, data, "GET", "/api/webhooks")
    if as_json:
        print_json(found)
    else:
        print_table(found["webhooks"], COLUMNS, "There is no webhook; `mintstream webhooks create` makes one.")


@app.command()
def create(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where events are posted to.")],
    event: Annotated[list[str] | None, typer.Option(help="mint.confirmed, mint.*, ...; everything by default.")] = None,
    description: Annotated[str, typer.Option(help="A note for yourself.")] = "",
    all_callers: Annotated[
        bool, typer.Option("--all-callers", help="Events of everybody's operations, not of your own only.")
    ] = False,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Make a webhook. Its secret is printed on stdout, this once.

    Example: mintstream webhooks create https://shop.example/hooks --event mint.completed
    """
    fields: dict[str, object] = {"url": url, "description": description, "allCallers": all_callers}
    if event:
        fields["events"] = event
    _tell_secret(asked(context, data, "POST", "/api/webhooks", json=fields), as_json=as_json)


@app.command()
def delete(context: typer.Context, webhook: WebhookId, as_json: AsJson = False, data: DataDir = DATA) -> None:
    """Delete a webhook; what waits for it is not sent any more.

    Example: mintstream webhooks delete 01996b7e-2c4a-7d10-a1c3-0d5a7f1f9a10
    """
    answer = asked(context, data, "DELETE", f"/api/webhooks/{webhook}")
    print_json(answer) if as_json else typer.echo(answer["message"])


@app.command()
def rotate(
    context: typer.Context,
    webhook: WebhookId,
    overlap_seconds: Annotated[
        int, typer.Option(min=0, max=604_800, help="Seconds for which the old secret signs beside the new one.")
    ] = 86_400,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Give a webhook a new secret, printed on stdout this once.

    Example: mintstream webhooks rotate 01996b7e-2c4a-7d10-a1c3-0d5a7f1f9a10 --overlap-seconds 3600
    """
    body = {"overlapSeconds": overlap_seconds}
    _tell_secret(asked(context, data, "POST", f"/api/webhooks/{webhook}/rotate", json=body), as_json=as_json)


@app.command("test")
def send_test(context: typer.Context, webhook: WebhookId, as_json: AsJson = False, data: DataDir = DATA) -> None:
    """Send a `webhook.test` event; `webhooks deliveries` tells how it went.

    Example: mintstream webhooks test 01996b7e-2c4a-7d10-a1c3-0d5a7f1f9a10
    """
    tell(asked(context, data, "POST", f"/api/webhooks/{webhook}/test"), as_json=as_json)


@app.command()
def replay(
    context: typer.Context,
    webhook: WebhookId,
    operation: Annotated[str | None, typer.Option(help="Events of this operation.")] = None,
    since: Moment = None,
    until: Moment = None,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Send past events once more, with the ids they had: those of one operation, or of a time.

    Example: mintstream webhooks replay 01996b7e-2c4a-7d10-a1c3-0d5a7f1f9a10 --since 2026-01-02
    """
    wanted = {"transactionId": operation, "since": _utc(since), "until": _utc(until)}
    body = {name: value for name, value in wanted.items() if value is not None}
    if not body:
        raise typer.BadParameter("give --operation, or --since and --until")
    tell(asked(context, data, "POST", f"/api/webhooks/{webhook}/replay", json=body), as_json=as_json)


@app.command()
def deliveries(
    context: typer.Context,
    webhook: WebhookId,
    state: Annotated[Literal["delivered", "parked"] | None, typer.Option(help="Only those in this state.")] = None,
    since: Moment = None,
    cursor: Annotated[int | None, typer.Option(min=0, help="The nextCursor of the page before.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Deliveries on a page.")] = 50,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """List what was queued for a webhook and how it stands, the oldest first.

    Example: mintstream webhooks deliveries 01996b7e-2c4a-7d10-a1c3-0d5a7f1f9a10 --state parked
    """
    wanted: dict[str, Any] = {"state": state, "since": _utc(since), "cursor": cursor, "limit": limit}
    query = {name: value for name, value in wanted.items() if value is not None}
    found = asked(context, data, "GET", f"/api/webhooks/{webhook}/deliveries", params=query)
    if as_json:
        print_json(found)
        return
    print_table(found["deliveries"], DELIVERY_COLUMNS, "Nothing was queued for it.")
    if "nextCursor" in found:
        typer.echo(f"There are more: --cursor {found['nextCursor']}", err=True)


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else moment.replace(tzinfo=UTC).isoformat()


def _tell_secret(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    typer.echo(f"Webhook {found['webhook']['id']}. Its secret is shown once:", err=True)
    typer.echo(found["secret"])
