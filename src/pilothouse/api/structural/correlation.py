"""Correlates a new value of a custom resource with the old one at the same place
(apiserver cel/common CorrelatedObject)."""

from collections.abc import Hashable
from time import perf_counter
from typing import Any

from pilothouse.api.structural.schema import Schema
from pilothouse.api.values.equality import key_identity, same


class ComparisonTime:
    """How many seconds the comparisons of a correlation have taken, those below it included."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0


class Correlation:
    """A new value, the old value at the same place,
    and their schema (apiserver cel/common CorrelatedObject)."""

    __slots__ = ("_children", "_equal", "_identify", "_old_items", "clock", "new", "old", "schema")

    def __init__(self, new: Any, old: Any, schema: Schema, clock: ComparisonTime | None = None) -> None:
        self.new, self.old, self.schema = new, old, schema
        self.clock = clock or ComparisonTime()
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
