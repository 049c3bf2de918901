"""Equality of decoded JSON values as in Go: true differs from 1, and 1 differs from 1.0."""

import hashlib
import json
from collections.abc import Callable, Hashable
from time import perf_counter
from typing import Any

import orjson

from pilothouse.api.fields import Object
from pilothouse.api.structural.schema import Schema

DIGEST_BYTES = 16
"""Size of the digest that is kept for composite values, because orjson's output takes at least a kilobyte."""
_FEW_KEYS = 8
_ABSENT = (None,)


def same(a: Any, b: Any) -> bool:
    """Go's reflect.DeepEqual for decoded JSON."""
    if isinstance(a, dict):
        if not isinstance(b, dict) or len(a) != len(b):
            return False
        for name, value in a.items():  # noqa: SIM110 - a generator would add a stack frame per level
            if name not in b or not same(value, b[name]):
                return False
        return True
    if isinstance(a, list):
        if not isinstance(b, list) or len(a) != len(b):
            return False
        for one, other in zip(a, b, strict=True):  # noqa: SIM110
            if not same(one, other):
                return False
        return True
    return type(a) is type(b) and bool(a == b)


def changes(old: Any, new: Any, most: int) -> list[str]:
    """The paths at which two decoded values differ, such as `spec.containers[0].image`; the first `most` of them."""
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
    """Distinguishes the items of a list map; takes steps in proportion to the item's members or the list's keys."""
    if len(keys) == 1:
        name = keys[0]
        return lambda item: identity(item.get(name, _ABSENT))
    if len(keys) <= _FEW_KEYS:
        return lambda item: tuple([identity(item.get(name, _ABSENT)) for name in keys])
    known = frozenset(keys)
    return lambda item: identity({name: value for name, value in item.items() if name in known})


class Clock:
    """How many seconds the comparisons of a correlation have taken, those below it included."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0


class Correlation:
    """A new value, the old value at the same place, and their schema (apiserver cel/common CorrelatedObject)."""

    __slots__ = ("_children", "_equal", "_identify", "_old_items", "clock", "new", "old", "schema")

    def __init__(self, new: Any, old: Any, schema: Schema, clock: Clock | None = None) -> None:
        self.new, self.old, self.schema = new, old, schema
        self.clock = clock or Clock()
        self._equal: bool | None = None
        self._children: dict[str | int, Correlation] | None = None
        self._old_items: dict[Hashable, Any] | None = None

    def equal(self) -> bool:
        """Whether the value is unchanged; lists without a type count as changed if any item has changed."""
        if self._equal is None:
            began = perf_counter()
            equal = self._compared()
            self.clock.seconds += perf_counter() - began
            return equal
        return self._equal

    def _compared(self) -> bool:
        if self._equal is None:
            new, old = self.new, self.old
            if isinstance(new, dict) and isinstance(old, dict):
                self._equal = len(new) == len(old)
                for name in new:
                    if not self._equal:
                        break
                    child = self.key(name)
                    self._equal = child is not None and child._compared()
            elif isinstance(new, list) and isinstance(old, list) and self.schema.list_type == "map":
                self._equal = len(new) == len(old)
                for i in range(len(new)):
                    if not self._equal:
                        break
                    child = self.index(i)
                    self._equal = child is not None and child._compared()
            else:
                self._equal = same(new, old)
        return self._equal

    def key(self, name: str) -> "Correlation | None":
        """The correlation of a member of both objects."""
        found = self._children.get(name) if self._children is not None else None
        if found is not None:
            return found
        if not isinstance(self.old, dict) or not isinstance(self.new, dict):
            return None
        below = self.schema.member(name)
        if below is None or name not in self.old or name not in self.new:
            return None
        return self._child(name, Correlation(self.new[name], self.old[name], below, self.clock))

    def index(self, i: int) -> "Correlation | None":
        """The correlation of a list item; only lists of type map can correlate items."""
        found = self._children.get(i) if self._children is not None else None
        if found is not None:
            return found
        items = self.schema.items
        if self.schema.list_type != "map" or items is None or not isinstance(self.old, list):
            return None
        if self._old_items is None:
            self._identify = key_identity(self.schema.list_keys)
            self._old_items = {}
            for item in self.old:
                if isinstance(item, dict):
                    self._old_items.setdefault(self._identify(item), item)
        new = self.new[i]
        old = self._old_items.get(self._identify(new)) if isinstance(new, dict) else None
        if old is None:
            return None
        return self._child(i, Correlation(new, old, items, self.clock))

    def _child(self, place: str | int, made: "Correlation") -> "Correlation":
        if self._children is None:
            self._children = {}
        self._children[place] = made
        return made
