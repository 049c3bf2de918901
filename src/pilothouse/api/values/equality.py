"""Equality of decoded JSON values as in Go: true differs from 1, and 1 differs from 1.0."""

import hashlib
import json
from collections.abc import Callable, Hashable
from typing import Any

import orjson

from pilothouse.api.values.fields import Object

DIGEST_BYTES = 16
"""Size of the digest that is kept for composite values, because orjson's output takes at least a kilobyte."""
_FEW_KEYS = 8
_ABSENT = (None,)


def same(a: Any, b: Any) -> bool:
    """Go's reflect.DeepEqual for decoded JSON."""
    if isinstance(a, dict):
        if not isinstance(b, dict) or len(a) != len(b):
            return False
        for name, value in a.items():  # noqa: SIM110 -- a generator would add a stack frame per level
            if name not in b or not same(value, b[name]):
                return False
        return True
    if isinstance(a, list):
        if not isinstance(b, list) or len(a) != len(b):
            return False
        for one, other in zip(a, b, strict=True):  # noqa: SIM110 -- as above
            if not same(one, other):
                return False
        return True
    return type(a) is type(b) and bool(a == b)


def changes(old: Any, new: Any, most: int) -> list[str]:
    """The paths at which two decoded values differ, such as `spec.containers[0].image`;
    the first `most` of them."""
    found: list[str] = []
    _collect(old, new, "", most, found)
    return found


def _collect(old: Any, new: Any, path: str, most: int, found: list[str]) -> None:
    if len(found) >= most:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in (*old, *(name for name in new if name not in old)):
            plain = "." not in name and "/" not in name
            below = f"{path}.{name}".lstrip(".") if plain else f"{path}[{name}]"
            _collect(old.get(name, _ABSENT), new.get(name, _ABSENT), below, most, found)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (one, other) in enumerate(zip(old, new, strict=True)):
            _collect(one, other, f"{path}[{i}]", most, found)
    elif not same(old, new):
        found.append(path)


def identity(value: Any) -> Hashable:
    """A small hashable value that is equal for two JSON values if and only if they are the same."""
    if value is None or isinstance(value, str) or value is _ABSENT:
        return value
    if isinstance(value, dict | list):
        return hashlib.blake2b(_sorted(value), digest_size=DIGEST_BYTES).digest()
    return value if type(value) is int else (type(value), value)


def _sorted(value: Any) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # an integer of more than 64 bits, or deeper than orjson's limit
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("utf-8", "replace")


def key_identity(keys: tuple[str, ...]) -> Callable[[Object], Hashable]:
    """Distinguishes the items of a list map;
    takes steps in proportion to the item's members or the list's keys."""
    if len(keys) == 1:
        name = keys[0]
        return lambda item: identity(item.get(name, _ABSENT))
    if len(keys) <= _FEW_KEYS:
        return lambda item: tuple([identity(item.get(name, _ABSENT)) for name in keys])
    known = frozenset(keys)
    return lambda item: identity({name: value for name, value in item.items() if name in known})
