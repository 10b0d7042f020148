"""Fixtures that every tier may use; they live in tests/support."""

from hypothesis import settings

# How long an example takes says something about the machine, never about the code: no example has a deadline.
settings.register_profile("mintstream", deadline=None)
settings.load_profile("mintstream")

pytest_plugins = ["tests.support.nats", "tests.support.postgres"]
