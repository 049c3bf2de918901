"""Of each field of an object, the change that has set it last."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from pilothouse.api.values.fields import Object
from pilothouse.history.delta import ABSENT, Path, joined
from pilothouse.history.file import ChangeKind
from pilothouse.history.paths import hidden
from pilothouse.history.reader import KeptChange


class BlamedField(NamedTuple):
    """A field, its value, and the change that has set it; None where that is not kept any more."""

    path: Path
    value: Any
    change: KeptChange | None


class Blame:
    """The search for the changes that have set the leaves of an object, which follows changes back."""

    def __init__(self, obj: Object) -> None:
        """`obj` is the object after the first change that is followed."""
        self._leaves = [(path, value) for path, value in leaves_of((), obj) if not hidden(path)]
        self._open: dict[Path, int] = {path: number for number, (path, _) in enumerate(self._leaves)}
        self._found: list[KeptChange | None] = [None] * len(self._leaves)

    def follow(self, changes: Iterable[KeptChange]) -> bool:
        """Follow more changes of the object back, the newest first; whether older ones may count."""
        for change in changes:
            if not self._open:
                break
            if change.kind is ChangeKind.CREATED:
                for number in self._open.values():
                    self._found[number] = change
                self._open = {}
            elif change.kind is ChangeKind.DELETED:
                self._open = {}
            elif change.kind is ChangeKind.REPLACED:
                self._open = _unchanged(self._open, self._leaves, change, self._found)
            else:
                self._open = _followed(self._open, change, self._found)
        return bool(self._open)

    def fields(self) -> list[BlamedField]:
        """The leaves of the object, in their order, with the changes that have set them."""
        return [BlamedField(path, value, self._found[at]) for at, (path, value) in enumerate(self._leaves)]


def blame(obj: Object, changes: Iterable[KeptChange]) -> list[BlamedField]:
    """The leaves of an object with the changes that have set them. `changes` are all of it, the newest
    first."""
    search = Blame(obj)
    search.follow(changes)
    return search.fields()


def _followed(open_: dict[Path, int], change: KeptChange, found: list[KeptChange | None]) -> dict[Path, int]:
    """The fields that a change has not set, by their paths before it."""
    for kind, names, *values in reversed([*joined(orjson.loads(change.value))]):
        path = tuple(names)
        size = len(path)
        emptied = path[:-1] if kind == "-" else path if kind == "~" else None
        if emptied in open_:  # a list or an object without anything in it is a field by itself
            found[open_.pop(emptied)] = change
        if kind == "~":
            first, olds, news = values
            moved: dict[Path, int] = {}
            for one, number in open_.items():
                if one[:size] != path:
                    moved[one] = number
                    continue
                place = one[size]
                assert isinstance(place, int)
                if place < first:
                    moved[one] = number
                elif place < first + len(news):
                    found[number] = change
                else:
                    moved[*path, place - len(news) + len(olds), *one[size + 1 :]] = number
            open_ = moved
        elif kind != "-":
            old, new = values[0] if kind == "=" else ABSENT, values[-1]
            below = [one for one in open_ if one[:size] == path] if isinstance(new, dict | list) else [path]
            for one in below:
                if one in open_ and not _same(old, new, one[size:]):
                    found[open_.pop(one)] = change
    return open_


def _same(old: Any, new: Any, path: Path) -> bool:
    """Whether two values have the same at a path, at which the second has something."""
    for step in path:
        if type(old) is not type(new):
            return False
        old, new = _below(old, step), new[step]
    return bool(old == new) and type(old) is type(new)


def _below(value: Any, step: Any) -> Any:
    """A member or an element of a value, ABSENT when there is none."""
    if isinstance(value, dict):
        return value.get(step, ABSENT)
    return value[step] if isinstance(value, list) and step < len(value) else ABSENT


def _unchanged(
    open_: dict[Path, int],
    leaves: Sequence[tuple[Path, Any]],
    change: KeptChange,
    found: list[KeptChange | None],
) -> dict[Path, int]:
    """The fields that had the same value before a change of which the whole object is kept."""
    before = dict(leaves_of((), orjson.loads(change.value)))
    kept: dict[Path, int] = {}
    for path, number in open_.items():
        value = leaves[number][1]
        if path in before and before[path] == value and type(before[path]) is type(value):
            kept[path] = number
        else:
            found[number] = change
    return kept


def leaves_of(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    """The values of an object that have no members or elements, with their paths."""
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from leaves_of((*path, name), each)
    elif isinstance(value, list) and value:
        for place, each in enumerate(value):
            yield from leaves_of((*path, place), each)
    else:
        yield path, value
