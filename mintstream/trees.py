"""`mintstream tree cost`: what a tree for so many NFTs costs, computed here and asked of nobody."""

from dataclasses import asdict
from typing import Annotated, Final

import typer
from rich.table import Table

from contracts.collection import Standard
from mintstream.options import AsJson
from mintstream.printing import people, print_json
from services.minter.costs import LAMPORTS_PER_SOL, URI_BYTES, NoSuchTree, TreeCost, shape_for, tree_cost

app = typer.Typer(name="tree", help="Merkle trees: what they hold and what they cost.", no_args_is_help=True)

MAX_URI_BYTES: Final = 200


@app.callback()
def trees() -> None:
    """Merkle trees: what they hold and what they cost."""


@app.command()
def cost(
    capacity: Annotated[int, typer.Option(min=1, help="How many NFTs the tree is for.")],
    standard: Annotated[Standard, typer.Option(help="v1: token-metadata collection; v2: MPL-Core.")] = Standard.V2,
    canopy: Annotated[
        int | None, typer.Option(min=0, help="Levels of the canopy; as the API chooses when left out.")
    ] = None,
    uri_bytes: Annotated[
        int, typer.Option(min=1, max=MAX_URI_BYTES, help="Bytes of each NFT's metadata URI.")
    ] = URI_BYTES,
    as_json: AsJson = False,
) -> None:
    """Print the smallest tree that holds so many NFTs, its rent, and the cost of each NFT. JSON has lamports.

    Example: mintstream tree cost --capacity 10000
    """
    try:
        shape = shape_for(capacity, standard, canopy)
    except NoSuchTree as error:
        # Stop: the caller has to ask for another tree.
        raise typer.BadParameter(str(error)) from None
    found = tree_cost(capacity, shape, standard, uri_bytes=uri_bytes)
    if as_json:
        print_json(asdict(found))
        return
    people().print(_table(found))


def _table(cost: TreeCost) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    rows = {
        "NFTs": f"{cost.capacity:,} of {cost.leaves:,} leaves ({cost.standard})",
        "max depth": str(cost.max_depth),
        "max buffer size": str(cost.max_buffer_size),
        "canopy depth": f"{cost.canopy_depth} (a transfer brings {cost.proof_nodes} proof nodes)",
        "tree account": f"{cost.account_bytes:,} bytes",
        "rent of the tree": _amount(cost.tree_rent),
        "rent of its config": _amount(cost.config_rent),
        "rent of its lookup table": _amount(cost.table_rent),
        "rent": _amount(cost.rent),
        "mints a transaction": f"{cost.mints_per_transaction:.2f}",
        "rent of each NFT": _amount(cost.rent_per_nft),
        "fee of each NFT": _amount(cost.fee_per_nft),
        "cost of each NFT": _amount(cost.per_nft),
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _amount(lamports: float) -> str:
    return f"{lamports:,.0f} lamports ({lamports / LAMPORTS_PER_SOL:.9f} SOL)"
