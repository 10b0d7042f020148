"""`python -m mintstream`."""

import sys

try:
    from mintstream.cli import app
except KeyboardInterrupt:  # stop: Ctrl-C while the imports ran, before there was a program to end
    sys.exit(130)

app(prog_name="mintstream")
