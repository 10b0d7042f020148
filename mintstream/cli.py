"""The command line: the embedded stack, mints, collections, webhooks, keys, the log, and what is wrong.

Every command is imported when it is called (`later`). Every exit status is in `ending.Exit`; docs/cli.md is written
from this program (`cli_document`).
"""

from typing import Annotated, Any, Final

import typer

from chassis.version import VERSION
from mintstream.later import Later
from mintstream.program import Program

COMMANDS: Final = (
    Later(
        "demo",
        "mintstream.local:demo",
        "Start the stack, create a collection, mint a batch and check every NFT against the chain.",
    ),
    Later(
        "up",
        "mintstream.local:up",
        "Start the embedded stack and leave it up until Ctrl-C.",
    ),
    Later(
        "clean",
        "mintstream.local:clean",
        "Remove the data directory with everything in it. Refused while a stack uses it.",
    ),
    Later(
        "doctor",
        "mintstream.doctor:doctor",
        "Look at everything that minting needs, and say what to do about what is wrong.",
    ),
    Later("collections", "mintstream.collections:app", "Collections: list, make, import, count, switch."),
    Later(
        "mint",
        "mintstream.minting:mint",
        "Mint an image, or a folder of images. The same command again mints nothing twice: it goes on, or tells.",
    ),
    Later(
        "status",
        "mintstream.operations:status",
        "Tell how an operation stands. Exit status 1 when it has failed, in whole or in part.",
    ),
    Later(
        "cancel",
        "mintstream.operations:cancel",
        "Cancel an operation: what is not signed yet is not minted any more, what is signed goes to its end.",
    ),
    Later(
        "retry",
        "mintstream.operations:retry",
        "Mint what failed of an operation that has ended, as a new one; asking again is the same new one.",
    ),
    Later("keys", "mintstream.keys:app", "API keys: make, list, revoke and rotate them."),
    Later("webhooks", "mintstream.webhooks:app", "Webhooks: make, test, replay, and see deliveries."),
    Later("tree", "mintstream.trees:app", "Merkle trees: what they hold and what they cost."),
    Later("audit", "mintstream.audits:app", "Whether what the log says holds: the story, held to chain and content."),
    Later("dead", "mintstream.dead:app", "Dead letters: list, show, replay and drop them."),
    Later(
        "archive",
        "mintstream.archives:app",
        "Old messages: archive, check, take from the log, get back.",
    ),
    Later(
        "replay",
        "mintstream.replay:replay",
        "Rebuild every table from the log, beside the live ones.",
    ),
)
"""In the order in which somebody comes to need them."""


class Mintstream(Program):
    """The program with all its commands."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for command in COMMANDS:
            self.add_command(command)


app = typer.Typer(name="mintstream", cls=Mintstream, no_args_is_help=True, pretty_exceptions_show_locals=False)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mintstream {VERSION}")
        raise typer.Exit


@app.callback()
def mintstream(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_tell_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Mint compressed NFTs on Solana: nothing lost, nothing doubled."""
