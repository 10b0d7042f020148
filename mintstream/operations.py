"""`mintstream status`, `cancel`, `retry`: operations that were asked for, through the API."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from mintstream.ending import Exit
from mintstream.following import follow_all
from mintstream.options import DATA, AsJson, DataDir
from mintstream.printing import people, print_fields, print_json
from mintstream.reach import asked, carry_out, gateway

WAIT_SECONDS: Final = 3600.0

OperationId = Annotated[str, typer.Argument(metavar="ID", help="The operation's id, as `mint` printed it.")]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds to wait for the end at the most.")]


def status(
    context: typer.Context,
    operation: OperationId,
    follow: Annotated[bool, typer.Option("--follow", help="Show it until it has ended.")] = False,
    timeout: Timeout = WAIT_SECONDS,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Tell how an operation stands. Exit status 1 when it has failed, in whole or in part.

    Example: mintstream status 01996b7e-2c4a-7d10-a1c3-0d5a7f1f9a10 --follow
    """

    async def work() -> dict[str, Any]:
        async with gateway(context, data) as api:
            if not follow:
                return await api.status(operation)
            return (await follow_all(api, [operation], console=people(stderr=True), within=timeout))[0]

    tell([carry_out(work())], as_json=as_json, one=True)


def cancel(context: typer.Context, operation: OperationId, as_json: AsJson = False, data: DataDir = DATA) -> None:
    """Cancel an operation: what is not signed yet is not minted any more, what is signed goes to its end.

    Example: mintstream cancel 01996b7e-2c4a-7d10-a1c3-0d5a7f1f9a10
    """
    answer = asked(context, data, "DELETE", f"/api/mint/cancel/{operation}")
    print_json(answer) if as_json else typer.echo(answer["message"])


def retry(
    context: typer.Context,
    operation: OperationId,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end of the new operation.")] = False,
    timeout: Timeout = WAIT_SECONDS,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Mint what failed of an operation that has ended, as a new one; asking again is the same new one.

    Example: mintstream retry 01996b7e-2c4a-7d10-a1c3-0d5a7f1f9a10 --wait
    """

    async def work() -> dict[str, Any]:
        async with gateway(context, data) as api:
            accepted = await api.call("POST", f"/api/mint/retry/{operation}")
            if not wait:
                return accepted
            followed = [accepted["transactionId"]]
            return (await follow_all(api, followed, console=people(stderr=True), within=timeout))[0]

    answer = carry_out(work())
    if wait:
        tell([answer], as_json=as_json, one=True)
    elif as_json:
        print_json(answer)
    else:
        typer.echo(f"{answer['totalNfts']} NFTs are tried again as operation {answer['transactionId']}")


def tell(statuses: list[dict[str, Any]], *, as_json: bool, one: bool = False) -> None:
    """Print how operations stand; end with FAILED when any of it failed."""
    if as_json:
        print_json(statuses[0] if one else statuses)
    else:
        for found in statuses:
            print_fields(_fields(found))
    if any(found["status"] == "failed" or found["progress"]["failed"] for found in statuses):
        raise typer.Exit(Exit.FAILED)


def _fields(found: Mapping[str, Any]) -> dict[str, object]:
    progress = found["progress"]
    errors = Counter(result["error"] for result in found["results"] if result.get("error"))
    return {
        "operation": found["transactionId"],
        "status": found["status"],
        "minted": f"{progress['completed']} of {progress['total']}",
        "failed": progress["failed"] or "",
        "cancelled": progress.get("cancelled", ""),
        "seconds left": progress.get("estimatedTimeLeft", ""),
        "error": found.get("error", ""),
        "causes": "; ".join(f"{count} x {cause}" for cause, count in errors.most_common()),
    }
