"""Structural mutation: a valid document with one thing wrong gets past the parser, where random bytes never do."""

import copy
import json
import math
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 127, 2**31 - 1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**31),
    -(2**63), 10**30, -(10**30), 0.0, -0.0, 0.5, -1.5, 1e-320, 1e-45, 3.4028235e38, 3.5e38, 1.7e9, 7.3e9, 1e12, 1e300,
    1.7e308, -1e308, math.nan, math.inf, -math.inf, "", "a", "s0", "m", "1", "nan", "\x00", "a\nb", "\x1b[31m", "é",
    "😀", "x" * 300, "../x", "2026-01-01T00:00:00", "2026-02-30", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00", b"", b"\x00", b"\x00" * 4, b"\xff" * 8, b"\x00\x00\x80\x7f" * 3, [], {}, [[]], [None],
    {"": None}, [0] * 40,
)  # fmt: skip
Path = tuple[Any, ...]


def mutated(tree: Any, rng: Random, changes: int = 1) -> Any:
    """The document, which is used up, with some things changed: replaced, removed, doubled, moved, nested, nudged."""
    for _ in range(changes):
        paths: list[Path] = []
        _collect(tree, (), paths)
        path = rng.choice(paths)
        if not path:
            tree = _changed(tree, rng)
            continue
        holder, key = _at(tree, path[:-1]), path[-1]
        rng.choice(_EDITS)(tree, holder, key, rng, paths)
    return tree


def json_mutated(data: bytes, rng: Random) -> bytes | None:
    """The same for JSON text; None for what is no JSON."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return json.dumps(mutated(tree, rng, _count(rng)), default=lambda odd: odd.decode("latin-1")).encode()


def msgpack_mutated(data: bytes, rng: Random) -> bytes | None:
    """The same for MessagePack; None for what is none."""
    try:
        tree = msgspec.msgpack.decode(data)
        return msgspec.msgpack.encode(mutated(tree, rng, _count(rng)))
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, RecursionError):
        return None


def _count(rng: Random) -> int:
    return 1 if rng.random() < 0.7 else rng.randint(2, 4)


def _collect(tree: Any, path: Path, into: list[Path]) -> None:
    into.append(path)
    if isinstance(tree, dict | list):
        for key, inner in tree.items() if isinstance(tree, dict) else enumerate(tree):
            _collect(inner, (*path, key), into)


def _at(tree: Any, path: Path) -> Any:
    for part in path:
        tree = tree[part]
    return tree


def _changed(value: Any, rng: Random) -> Any:
    """Another value in the place of one: mostly odd, sometimes near to what stood there."""
    kind = rng.random()
    if kind < 0.15:
        return [value]
    if kind < 0.5 and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return rng.choice([value + 1, value - 1, -value, value * 2, value / 3, value * 1e9, value + 0.5])
    if kind < 0.5 and isinstance(value, str | bytes) and value:
        begin, end = sorted((rng.randrange(len(value)), rng.randrange(len(value) + 1)))
        return value[begin:end]
    return copy.deepcopy(rng.choice(ODD))


def _replace(_tree: Any, holder: Any, key: Any, rng: Random, _paths: list[Path]) -> None:
    holder[key] = _changed(holder[key], rng)


def _remove(_tree: Any, holder: Any, key: Any, _rng: Random, _paths: list[Path]) -> None:
    del holder[key]


def _double(_tree: Any, holder: Any, key: Any, rng: Random, _paths: list[Path]) -> None:
    if isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    else:
        holder[rng.choice(["x", "version", "s1", f"{key}x", f"{key}\n"])] = copy.deepcopy(holder[key])


def _move(tree: Any, holder: Any, key: Any, rng: Random, paths: list[Path]) -> None:
    holder[key] = copy.deepcopy(_at(tree, rng.choice(paths)))


_EDITS: tuple[Callable[[Any, Any, Any, Random, list[Path]], None], ...] = (_replace, _replace, _remove, _double, _move)
