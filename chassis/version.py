"""The version of everything here: services, messages' producer, the wheel."""

from typing import Final

VERSION: Final = "0.1.0"
