"""Hostile variants of valid samples: bytes cut, turned, repeated and spliced; JSON with its structure bent.

Used by the slice that runs with every test and by the long runs, always with a `Random` that is passed in, so that a
seed tells the input. Not done here: what is fed with it (`targets_*`).
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, cast

MAX_BYTES: Final = 256 * 1024
"""A mutated input is never longer, so that what is slow is the parser and not its input."""

EDGES: Final = (b"\0", b"\xff" * 4, b"\xff" * 8, b"\x80", b"\x7f", b"\r\n", b"--", b'"', b"\\", b"\xed\xa0\x80", b"%00")
"""Bytes at which lengths, signs, lines, quotes and UTF-8 end."""

ODD_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1.5, 1e308, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**40),
    *("", "0", "-1", "\0", "\ud800", "x" * 5000, "1" * 20_000, "🌇", "NaN", "ipfs://", "../..", [], {}, [[]]),
)
"""What stands in a JSON document in the place of what was there; Python's json writes each of them."""

NESTING: Final = 3_000
"""Levels: beyond every recursion limit here."""


def mutated(samples: Sequence[bytes], random: Random) -> bytes:
    """Return one of the samples, changed between one and eight times."""
    data = random.choice(samples)
    for _ in range(random.randint(1, 8)):
        data = _changed(data, samples, random)[:MAX_BYTES]
    return data


def _changed(data: bytes, samples: Sequence[bytes], random: Random) -> bytes:
    if random.random() < 0.6:
        bent = bent_json(data, random)
        if bent is not None:
            return bent
    way = random.choice(_WAYS)
    return way(data, samples, random)


def _flip(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    if not data:
        return b"\0"
    position = random.randrange(len(data))
    return data[:position] + bytes([data[position] ^ 1 << random.randrange(8)]) + data[position + 1 :]


def _cut(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    return data[: random.randint(0, len(data))]


def _drop(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    start = random.randint(0, len(data))
    return data[:start] + data[start + random.randint(1, 64) :]


def _insert(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    position = random.randint(0, len(data))
    return data[:position] + random.choice(EDGES) * random.choice((1, 1, 2, 300)) + data[position:]


def _overwrite(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    position = random.randint(0, len(data))
    edge = random.choice(EDGES)
    return data[:position] + edge + data[position + len(edge) :]


def _repeat(data: bytes, _: Sequence[bytes], random: Random) -> bytes:
    start = random.randint(0, len(data))
    end = min(len(data), start + random.randint(1, 512))
    return data[:end] + data[start:end] * random.choice((1, 2, 50)) + data[end:]


def _splice(data: bytes, samples: Sequence[bytes], random: Random) -> bytes:
    other = random.choice(samples)
    return data[: random.randint(0, len(data))] + other[random.randint(0, len(other)) :]


_WAYS: Final[Sequence[Callable[[bytes, Sequence[bytes], Random], bytes]]] = (
    *(_flip, _cut, _drop, _insert),
    *(_overwrite, _repeat, _splice),
)


def bent_json(data: bytes, random: Random) -> bytes | None:
    """Return the JSON document at the end of `data`, behind a first line if there is one, with one of its values
    replaced, taken out, nested or doubled; None when there is no document."""
    head, line, body = data.partition(b"\n")
    if not line:
        head, body = b"", data
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):  # go on with the bytes: it is none, or an earlier change has broken it
        return None
    if random.random() < 0.02:
        return head + line + b"[" * NESTING + body + b"]" * NESTING
    document = _bent(document, random)
    return head + line + json.dumps(document).encode()


def _bent(value: Any, random: Random) -> Any:
    """Walk down to a random place and change what is there."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        members = cast("dict[str, Any]", value)
        name = random.choice(list(members))
        if random.random() < 0.1:
            return {each: kept for each, kept in members.items() if each != name}
        return members | {name: _bent(members[name], random)}
    if isinstance(value, list) and value and random.random() < 0.85:
        items = cast("list[Any]", value)
        position = random.randrange(len(items))
        if random.random() < 0.1:
            return items[:position] + items[position + 1 :]
        if random.random() < 0.1:
            return items + [items[position]] * random.choice((1, 3, 200))
        return [*items[:position], _bent(items[position], random), *items[position + 1 :]]
    if isinstance(value, int) and not isinstance(value, bool) and random.random() < 0.5:
        return value + random.choice((-1, 1, 255, 2**32))
    if isinstance(value, str) and random.random() < 0.5:
        changed = _flip(value.encode("utf-8", "surrogatepass"), (), random)
        return changed.decode("utf-8", "replace")
    return random.choice(ODD_VALUES)
