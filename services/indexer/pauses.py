"""How long this service waits before it tries again what failed for a reason that may pass."""

from chassis.delivery import backoff

MAX_PAUSE = 5.0
"""Seconds. Postgres, the log and the node are few and shared: asking every five seconds hurts none of them."""


def pause_after(failures: int) -> float:
    """Return the seconds to wait after `failures` failures in a row."""
    return min(MAX_PAUSE, backoff(failures))
