"""Fixtures that every tier may use; they live in tests/support."""

pytest_plugins = ["tests.support.nats", "tests.support.postgres"]
