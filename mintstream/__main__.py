"""`python -m mintstream`."""

from mintstream.cli import app

app()
