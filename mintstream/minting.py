"""`mintstream mint`: one image, or a folder of images with its metadata, minted once however often it is asked for.

The idempotency key of each request is the digest of what it says, so the same command after Ctrl-C, a crash or a lost
answer goes on where it was, and so it does after a request that was refused is mended. What may be minted, and how, is
the gateway's to say.
"""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

from mintstream.api import GatewayClient
from mintstream.drop import DropItem, content_keys, read_drop, requests_of
from mintstream.ending import Exit, status_of
from mintstream.errors import ApiError
from mintstream.following import follow_all, passing_bar
from mintstream.journal import Journal, state_directory
from mintstream.operations import WAIT_SECONDS, Timeout, tell
from mintstream.options import DATA, AsJson, DataDir
from mintstream.printing import people, print_json
from mintstream.reach import carry_out, gateway

TRIES: Final = 5
"""How often one request is sent while the API does not answer; its key makes that safe."""
PAUSE_SECONDS: Final = 1.0
"""Before the second try; doubled before each further one."""
_FIELD: Final = re.compile(r"(?P<list>images|nfts)\[(?P<at>[0-9]+)\]")


@dataclass(frozen=True, kw_only=True)
class Drop:
    """What is asked for, over all requests."""

    items: Sequence[DropItem]
    collection: str
    recipient: str
    batch_size: int | None


def mint(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="An image, or a folder of images.")],
    collection: Annotated[str, typer.Option(help="The collection's id; `mintstream collections list` shows it.")],
    recipient: Annotated[str, typer.Option(help="The wallet that gets the NFTs.")],
    metadata: Annotated[
        Path | None,
        typer.Option(
            help="CSV or JSON of names, images and attributes; by default the folder's metadata.csv or metadata.json."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the NFT, when PATH is one image.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=100, help="NFTs that are pinned and minted together.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until everything has ended.")] = False,
    timeout: Timeout = WAIT_SECONDS,
    again: Annotated[bool, typer.Option("--again", help="Mint what was minted before once more.")] = False,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Mint an image, or a folder of images. The same command again mints nothing twice: it goes on, or tells.

    A large drop goes in requests of 50 images, or 1,000 NFTs. In one that has changed, those that are as they were are
    known again; to add to a drop, mint the new images alone.

    metadata.csv has a row an NFT: image, name, description, symbol, external_url, copies; any other column is a trait.
    Each image of the folder has one; to mint a part, name a table of that part with --metadata.

    metadata.json is a list of objects in the API's fields.

    Example: mintstream mint art/ --collection 01996b7e-2c4a-7d10-a1c3-0d5a7f1f9a10 --recipient 9xQe...VFin --wait

    Example: mintstream mint one.png --name "Harbour #1" --collection 0199...9a10 --recipient 9xQe...VFin
    """

    async def work() -> list[dict[str, Any]]:
        items = await asyncio.to_thread(read_drop, path, metadata)
        if name is not None:
            if len(items) > 1:
                raise typer.BadParameter("names one NFT, and PATH holds several", param_hint="--name")
            items = [DropItem({**items[0].metadata, "name": name}, items[0].image)]
        drop = Drop(items=items, collection=collection, recipient=recipient, batch_size=batch_size)
        async with gateway(context, data) as api:
            return await _minted(api, drop, again=again, within=timeout if wait else None)

    found = carry_out(work())
    if wait:
        tell(found, as_json=as_json)
    elif as_json:
        print_json(found)
    else:
        for operation in found:
            typer.echo(operation["transactionId"])
        followed = found[0]["transactionId"] if len(found) == 1 else "ID"
        typer.echo(f"Follow with `mintstream status {followed} --follow`.", err=True)


async def _minted(api: GatewayClient, drop: Drop, *, again: bool, within: float | None) -> list[dict[str, Any]]:
    """Have everything taken on; return the operations, or, after waiting `within` seconds, how they ended."""
    console = people(stderr=True)
    wanted = {"collection": drop.collection, "recipient": drop.recipient, "batchSize": drop.batch_size}
    requests = list(requests_of(drop.items))
    with console.status("Reading the images"):
        contents = await asyncio.to_thread(content_keys, requests, api=api.base_url, **wanted)
    journal = Journal.open(state_directory(), hashlib.sha256("\n".join(contents).encode()).hexdigest())
    if again:
        journal.again()
    elif journal.operations:
        console.print(f"Taken on before: {len(journal.operations)} of this drop's requests; --again mints it anew.")
    columns = (TextColumn("Asking"), BarColumn(), MofNCompleteColumn(), TextColumn("requests"))
    with passing_bar(console, *columns) as progress:
        for position in progress.track(range(len(requests))):
            if str(position) not in journal.operations:
                key = f"mintstream-{contents[position]}-{journal.run}"
                try:
                    accepted = await _asked(api, drop, requests[position], key, console)
                except ApiError:  # re-raise: whoever mends the drop has to know what goes on without them
                    if journal.operations:
                        console.print(f"{len(journal.operations)} of {len(requests)} requests are taken on and go on.")
                    raise
                journal.accepted(position, accepted["transactionId"])
    operations = [journal.operations[str(position)] for position in range(len(requests))]
    if within is not None:
        return await follow_all(api, operations, console=console, within=within)
    return [{"transactionId": operation} for operation in operations]


async def _asked(
    api: GatewayClient, drop: Drop, items: Sequence[DropItem], key: str, console: Console
) -> dict[str, Any]:
    """Send one request until it is answered; raises ApiError when it is refused, or after TRIES."""
    images = [item.image for item in items if item.image is not None]
    nfts = [item.metadata for item in items]
    for attempt in range(1, TRIES + 1):
        try:
            return await api.mint_batch(
                drop.collection, drop.recipient, nfts, images, batch_size=drop.batch_size, idempotency_key=key
            )
        except ApiError as error:
            # Retry what says nothing about the request; anything else the caller has to put right.
            if status_of(error) is not Exit.UNREACHABLE or attempt == TRIES:
                raise ApiError(error.status, error.error, [_placed(each, items) for each in error.details]) from None
            if attempt == 1:
                console.print(f"{error}; trying {TRIES - 1} times more", markup=False, soft_wrap=True)
        await asyncio.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
    raise AssertionError("the last try returns or raises")


def _placed(detail: str, items: Sequence[DropItem]) -> str:
    """Return what the API says of a field with the file or the NFT that it is about: `images[3]: ...` names neither."""
    if (found := _FIELD.match(detail)) is None:
        return detail
    images = [item.image for item in items if item.image is not None]
    named: Sequence[object] = images if found["list"] == "images" else [item.metadata["name"] for item in items]
    at = int(found["at"])
    return f"{named[at]}: {detail}" if at < len(named) else detail
