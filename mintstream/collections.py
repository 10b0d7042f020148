"""`mintstream collections`: list, look at, make, take over, count and switch collections, through the API."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from mintstream.options import DATA, AsJson, DataDir
from mintstream.printing import people, print_fields, print_json, print_table
from mintstream.reach import asked, carry_out, gateway

app = typer.Typer(name="collections", help="Collections: list, make, import, count, switch.", no_args_is_help=True)

COLUMNS: Final = ("id", "name", "symbol", "status", "minted", "capacity", "allowMinting", "isPublic")
TREE_COLUMNS: Final = ("number", "address", "maxDepth", "maxBufferSize", "canopyDepth", "minted", "capacity", "state")
WAIT_SECONDS: Final = 300.0

CollectionId = Annotated[str, typer.Argument(metavar="ID", help="The collection's id.")]
Public = Annotated[bool | None, typer.Option("--public/--private", help="Whether the frontend shows it to everybody.")]
Minting = Annotated[bool | None, typer.Option("--minting/--no-minting", help="Whether it may be minted into.")]


@app.command("list")
def list_collections(
    context: typer.Context,
    page: Annotated[int, typer.Option(min=1, help="Which page.")] = 1,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Collections on a page.")] = 50,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """List the collections that are on chain, the newest first.

    Example: mintstream collections list --json
    """
    found = asked(context, data, "GET", "/api/collections", params={"page": page, "limit": limit})
    if as_json:
        print_json(found)
    else:
        print_table(found["collections"], COLUMNS, "There is no collection; `mintstream collections create` makes one.")


@app.command()
def show(context: typer.Context, collection: CollectionId, as_json: AsJson = False, data: DataDir = DATA) -> None:
    """Look at one collection, also while it is being made, or when that failed.

    Example: mintstream collections show 01996b7e-2c4a-7d10-a1c3-0d5a7f1f9a10
    """
    _tell(asked(context, data, "GET", f"/api/collections/{collection}"), as_json=as_json)


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="Its name.")],
    symbol: Annotated[str, typer.Option(help="Its symbol, also of NFTs that bring none.")],
    image: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Its image.")] = None,
    description: Annotated[str, typer.Option(help="What it is.")] = "",
    standard: Annotated[Literal["v1", "v2"], typer.Option(help="v1: token-metadata; v2: MPL-Core.")] = "v2",
    depth: Annotated[int, typer.Option(min=3, max=30, help="The tree holds 2 to this power of NFTs.")] = 14,
    trees: Annotated[int, typer.Option(min=1, max=16, help="How many such trees to begin with.")] = 1,
    key: Annotated[str | None, typer.Option("--idempotency-key", help="The same key makes one collection.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is on chain.")] = False,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Make a collection and its merkle trees. `mintstream tree cost` tells what a tree costs.

    Example: mintstream collections create --name Harbour --symbol HRB --image art/07.png --wait
    """
    fields: dict[str, object] = {"name": name, "symbol": symbol, "standard": standard, "tree": {"maxDepth": depth}}
    fields |= {"trees": trees, "description": description}

    async def work() -> dict[str, Any]:
        async with gateway(context, data) as api:
            collection = await api.create_collection(image, idempotency_key=key, **fields)
            if wait:
                with people(stderr=True).status("Waiting until the collection is on chain"):
                    return await api.wait_for_collection(collection, within=WAIT_SECONDS)
            return {"id": collection}

    _tell(carry_out(work()), as_json=as_json)


def _tell(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a collection, for people with a line for each of its trees."""
    if as_json:
        print_json(found)
        return
    print_fields({name: value for name, value in found.items() if name != "trees"})
    if found.get("trees"):
        typer.echo()
        print_table(found["trees"], TREE_COLUMNS, "")


@app.command("import")
def take_over(
    context: typer.Context,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="The collection's address on chain.")],
    tree: Annotated[list[str] | None, typer.Option(help="Address of a tree of it; several times for several.")] = None,
    symbol: Annotated[str | None, typer.Option(help="For NFTs that bring none, where it has none on chain.")] = None,
    public: Public = None,
    minting: Minting = None,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Take over a collection that is on chain already.

    Example: mintstream collections import 7xKX...gAsU --tree 4Nd1...qRtZ
    """
    fields: dict[str, object] = {"collectionAddress": address}
    fields |= {name: value for name, value in (("treeAddresses", tree), ("symbol", symbol)) if value}
    fields |= _flags(public, minting)
    _tell(asked(context, data, "POST", "/api/collections/import", json=fields), as_json=as_json)


@app.command()
def sync(context: typer.Context, collection: CollectionId, as_json: AsJson = False, data: DataDir = DATA) -> None:
    """Have a collection counted on chain now.

    Example: mintstream collections sync 01996b7e-2c4a-7d10-a1c3-0d5a7f1f9a10
    """
    answer = asked(context, data, "POST", f"/api/collections/sync/{collection}")
    print_json(answer) if as_json else print_fields(answer["updated"])


@app.command()
def update(
    context: typer.Context,
    collection: CollectionId,
    public: Public = None,
    minting: Minting = None,
    as_json: AsJson = False,
    data: DataDir = DATA,
) -> None:
    """Switch a collection's flags; what is not given stays as it is.

    Example: mintstream collections update 01996b7e-2c4a-7d10-a1c3-0d5a7f1f9a10 --no-minting
    """
    flags = _flags(public, minting)
    if not flags:
        raise typer.BadParameter("give --public, --private, --minting or --no-minting")
    _tell(asked(context, data, "PATCH", f"/api/collections/{collection}", json=flags), as_json=as_json)


def _flags(public: bool | None, minting: bool | None) -> dict[str, bool]:
    flags = {"isPublic": public, "allowMinting": minting}
    return {name: value for name, value in flags.items() if value is not None}
