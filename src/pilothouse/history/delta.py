"""Reads deltas and follows them back; `_delta` makes them and describes their form."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from pilothouse.api.values.fields import Object
from pilothouse.history._delta import rewound
from pilothouse.history._packing import unpack

Path = tuple[str | int, ...]
Delta = list[list[Any]]
"""The steps of a change, as they are read from JSON."""


class Absent:
    """The type of ABSENT."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent()
"""Stands for the value of what is not there."""


class Difference(NamedTuple):
    """One value that a change has set, replaced or removed; `old` or `new` is ABSENT where there is none."""

    path: Path
    old: Any
    new: Any


def value_at(obj: Any, path: Path) -> Any:
    """The value at a path, ABSENT where there is none."""
    for step in path:
        if isinstance(obj, dict):
            obj = obj.get(step, ABSENT)
        elif isinstance(obj, list) and isinstance(step, int) and step < len(obj):
            obj = obj[step]
        else:
            return ABSENT
    return obj


def undo(obj: Object, delta: Delta) -> Object:
    """The object before a change. `obj` is the one after it, and is changed in place."""
    for kind, path, *values in reversed(delta):
        if not path:
            obj = values[0]
            continue
        place: Any = obj
        for name in path[:-1]:
            place = place[name]
        last = path[-1]
        if kind == "+":
            del place[last]
        elif kind == "~":
            first, olds, news = values
            place[last][first : first + len(news)] = olds
        else:
            place[last] = values[0]
    return obj


def text_before(new: bytes, deltas: list[bytes]) -> bytes:
    """The text of an object before some changes; `deltas` are theirs as they are kept, the newest first."""
    found = rewound(new, deltas)
    if found is None:  # a long delta, or a text that is not compact
        obj = orjson.loads(new)
        for delta in deltas:
            obj = undo(obj, orjson.loads(unpack(delta)))
        found = orjson.dumps(obj)
    return found


def joined(delta: Delta) -> Iterator[list[Any]]:
    """The steps of a delta, but one for a member that is gone and new at another place among the others: none
    where it has only moved."""
    gone = {tuple(path): values[0] for kind, path, *values in delta if kind == "-"}
    new = {tuple(path) for kind, path, *_ in delta if kind == "+"}
    for step in delta:
        kind, path = step[0], tuple(step[1])
        if kind == "+" and path in gone:
            old = gone[path]
            if old != step[2] or type(old) is not type(step[2]):
                yield ["=", step[1], old, step[2]]
        elif kind != "-" or path not in new:
            yield step


def differences(delta: Delta) -> Iterator[Difference]:
    """The values that a change has changed: of objects in the place of objects, the members that differ.
    A member that has only moved among the others is none of them."""
    gone: dict[Path, Any] = {}
    for kind, names, *values in delta:
        path = tuple(names)
        if kind == "-":
            gone[path] = values[0]
        elif kind == "=":
            yield from _different(path, *values)
        elif kind == "+":
            yield from _different(path, gone.pop(path, ABSENT), values[0])
        else:
            first, olds, news = values
            for number in range(max(len(olds), len(news))):
                yield Difference(
                    (*path, first + number),
                    olds[number] if number < len(olds) else ABSENT,
                    news[number] if number < len(news) else ABSENT,
                )
    for path, value in gone.items():
        yield Difference(path, value, ABSENT)


def _different(path: Path, old: Any, new: Any) -> Iterator[Difference]:
    """The values that differ between two at one path."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            yield from _different((*path, name), old.get(name, ABSENT), new.get(name, ABSENT))
    elif old != new or type(old) is not type(new):
        yield Difference(path, old, new)
