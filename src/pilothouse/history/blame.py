"""Of each field of an object, the change that has set it last."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

from pilothouse.api.values.fields import Object
from pilothouse.history._delta import take_set, take_unlike
from pilothouse.history.delta import ABSENT, Path, joined, value_at
from pilothouse.history.file import ChangeKind
from pilothouse.history.kept import KeptChange
from pilothouse.history.paths import hidden

CHANGED = ChangeKind.CHANGED  # PERF: Python 3.11 looks each member of an enumeration up for long
DEEPEST = 64
"""Levels of an object in which fields are told apart, as in deltas."""
MOST_KNOWN = 10_000
"""Texts of paths that are remembered."""


class BlamedField(NamedTuple):
    """A field, its value, and the change that has set it; None where that is not kept any more."""

    path: Path
    value: Any
    change: KeptChange | None


class _Paths(dict[bytes, Path]):
    """Paths by the texts that deltas have of them; when there are too many, all are forgotten."""

    def __missing__(self, text: bytes) -> Path:
        if len(self) >= MOST_KNOWN:
            self.clear()
        path = self[text] = tuple(orjson.loads(b"[%b]" % text))
        return path


class Blame:
    """The search for the changes that have set the leaves of an object, which follows changes back."""

    def __init__(self, obj: Object) -> None:
        """`obj` is the object after the first change that is followed."""
        self._leaves = [(path, value) for path, value in leaves_of((), obj) if not hidden(path)]
        self._open: dict[Path, int] = {path: number for number, (path, _) in enumerate(self._leaves)}
        self._paths = _Paths()
        self._found: list[KeptChange | None] = [None] * len(self._leaves)

    def follow(self, changes: Iterable[KeptChange]) -> bool:
        """Follow more changes of the object back, the newest first; whether older ones may count."""
        for change in changes:
            if not self._open:
                break
            if change.kind is CHANGED:
                numbers = take_set(change.value, self._paths, self._open)
                if numbers is None:
                    self._open = _followed(self._open, change, self._found)
                    continue
                for number in numbers:  # PERF: most changes set a few values, and none that is open
                    self._found[number] = change
            elif change.kind is ChangeKind.CREATED:
                for number in self._open.values():
                    self._found[number] = change
                self._open = {}
            elif change.kind is ChangeKind.REPLACED:
                for number in take_unlike(orjson.loads(change.value), self._leaves, self._open):
                    self._found[number] = change
            else:  # it was gone before, or that is not known
                self._open = {}
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
    """The fields that a change has not set, by their paths before it.

    Lists of which elements came or went have none of the other steps below them (_delta), so they come last.
    """
    spliced: dict[Path, tuple[int, int, int]] = {}
    delta = orjson.loads(change.value)
    for step in joined(delta) if delta and delta[0][0] == "-" else delta:
        kind, path = step[0], tuple(step[1])
        if kind == "=" and not isinstance(step[3], (dict, list)):
            number = open_.pop(path, None)
            if number is not None:
                found[number] = change
            continue
        values = step[2:]
        emptied = path[:-1] if kind == "-" else path if kind == "~" else None
        if emptied in open_:  # a list or an object without anything in it is a field by itself
            found[open_.pop(emptied)] = change
        if kind == "~":
            first, olds, news = values
            spliced[path] = first, len(olds), len(news)
        elif kind != "-":
            old, new = values[0] if kind == "=" else ABSENT, values[-1]
            for one, value in leaves_of(path, new):
                before = value_at(old, one[len(path) :])
                if one in open_ and not (before == value and type(before) is type(value)):
                    found[open_.pop(one)] = change
    return _moved(open_, spliced, change, found) if spliced else open_


def _moved(
    open_: dict[Path, int],
    spliced: dict[Path, tuple[int, int, int]],
    change: KeptChange,
    found: list[KeptChange | None],
) -> dict[Path, int]:
    """The fields at their paths before elements of lists came or went.

    spliced: of each list, the first element, and how many elements there were before and are since.
    """
    depths = sorted({len(path) for path in spliced})
    moved: dict[Path, int] = {}
    for path, number in open_.items():
        one: Path | None = path
        for depth in depths:
            splice = spliced.get(path[:depth]) if depth < len(path) else None
            if splice is None:
                continue
            first, olds, news = splice
            place = path[depth]
            assert isinstance(place, int)
            if place >= first + news:
                one = *path[:depth], place - news + olds, *path[depth + 1 :]
            elif place >= first:
                one = None
            break
        if one is None:
            found[number] = change
        else:
            moved[one] = number
    return moved


def leaves_of(path: Path, value: Any) -> list[tuple[Path, Any]]:
    """The values of an object that have no members or elements, with their paths; what is below many levels
    counts as one value."""
    found: list[tuple[Path, Any]] = []
    _gather(path, value, found)
    return found


def _gather(path: Path, value: Any, found: list[tuple[Path, Any]]) -> None:
    items: Iterable[tuple[str | int, Any]] = ()
    if len(path) < DEEPEST:
        if isinstance(value, dict):
            items = value.items()
        elif isinstance(value, list):
            items = enumerate(value)
    whole = True
    for name, each in items:
        whole = False
        if isinstance(each, (dict, list)):
            _gather((*path, name), each, found)
        else:
            found.append(((*path, name), each))
    if whole:
        found.append((path, value))
