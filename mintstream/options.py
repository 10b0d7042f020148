"""Options that are every command's. Light: whatever shows a command's help imports this."""

from pathlib import Path
from typing import Annotated, Final

import typer

JSON_FLAG: Final = "--json"
AsJson = Annotated[bool, typer.Option(JSON_FLAG, help="Print JSON on stdout, for programs.")]
DataDir = Annotated[
    Path, typer.Option("--data", envvar="MINTSTREAM_DATA", help="Data directory of the embedded stack.")
]
DATA: Final = Path(".data")
