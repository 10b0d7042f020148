"""The shape of a JSON-RPC answer: which fields it has, of which types, and the values that have to be the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

MEANINGS = frozenset({"code", "err", "executable", "lamports", "owner", "rentEpoch", "space", "version"})
"""Fields whose value has to be the same, not only its type: what a client decides by."""

Shape = dict[str, str]
"""Type or value by the field's path, as in `value.[].slot`; several types of one path in alphabetical order."""


def shape(answer: Mapping[str, Any]) -> Shape:
    """The shape of a whole answer but for `jsonrpc` and `id`; all items of a list count as one."""
    found: dict[str, set[str]] = {}
    for path, kind in _walk({name: answer[name] for name in ("result", "error") if name in answer}, ()):
        found.setdefault(".".join(path), set()).add(kind)
    return {path: " | ".join(sorted(kinds)) for path, kinds in found.items()}


def differences(ours: Shape, theirs: Shape) -> dict[str, tuple[str, str]]:
    """Where two shapes differ, as (ours, theirs) by path; what a cluster leaves out is `absent`.

    Below a field that one of them leaves out or has no object in, nothing more is told.
    """
    found: dict[str, tuple[str, str]] = {}
    for path in sorted(ours.keys() | theirs.keys()):
        pair = ours.get(path, "absent"), theirs.get(path, "absent")
        if pair[0] != pair[1] and not any(path.startswith(f"{above}.") for above in found):
            found[path] = pair
    return found


def _walk(node: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if path and path[-1] in MEANINGS:
        yield path, repr(node)
    elif isinstance(node, Mapping):
        if path:
            yield path, "object"
        for name, value in cast("Mapping[str, object]", node).items():
            yield from _walk(value, (*path, name))
    elif isinstance(node, Sequence) and not isinstance(node, str):
        yield path, "list"
        for value in cast("Sequence[object]", node):
            yield from _walk(value, (*path, "[]"))
    else:
        yield path, "null" if node is None else type(node).__name__
