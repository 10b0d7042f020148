"""Which subjects a NATS pattern takes. Used where messages are not read through the server, which knows by itself."""


def matches(pattern: str, subject: str) -> bool:
    """Return whether a subject pattern (`*` one token, `>` one or more at the end) takes `subject`."""
    wanted, given = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        wanted, given = wanted[:-1], given[: len(wanted) - 1] if len(given) >= len(wanted) else []
    return len(wanted) == len(given) and all(token in ("*", other) for token, other in zip(wanted, given, strict=True))
