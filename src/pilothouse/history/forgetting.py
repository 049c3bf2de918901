"""Forgets a field in what is kept of an object's changes: a mark takes the place of its values.

That the field was changed, when and by whom, stays. A state that is read or restored has the mark as well, so
that nobody takes another value for the one that was there.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from pilothouse.history.file import ChangeKind
from pilothouse.history.paths import parsed

MARK = "(purged)"
"""The value that takes the place of those that are forgotten."""
EACH = None
"""In a field's path, each element of a list: they change their places."""
COPY = ("metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")
"""The annotation in which `kubectl apply` keeps a copy of the whole object."""

Field = tuple[str | None, ...]


def field_of(text: str) -> Field:
    """The field that a path such as `.data.password` or `{.spec.list[*].name}` names; ValueError."""
    plain = text.removeprefix("{").removesuffix("}").removeprefix("$")
    if not plain.startswith((".", "[")):
        plain = f".{plain}"
    try:
        path = parsed(plain.replace("[*]", "[0]"))
    except ValueError:
        path = ()
    if not path:
        raise ValueError(f"not a path of a field: {text}")
    return tuple(EACH if isinstance(step, int) else step for step in path)


def without(kind: ChangeKind, value: bytes, fields: Sequence[Field]) -> bytes:
    """The kept value of a change, without the values of some fields."""
    kept = orjson.loads(value)
    for field in fields:
        if kind is ChangeKind.CHANGED:
            steps: list[Any] = []
            for step in kept:
                marked = _of_step(step, field)
                if steps[-1:] != [marked]:  # one in place of several, which told of what is below the field
                    steps.append(marked)
            kept = steps
        else:
            kept = _of_value(kept, field)
    return orjson.dumps(kept)


def _of_value(value: Any, field: Field) -> Any:
    """A value with the mark in place of a field of it."""
    if not field:
        return MARK
    name, *rest = field
    if name is EACH:
        return [_of_value(one, tuple(rest)) for one in value] if isinstance(value, list) else value
    if isinstance(value, dict) and name in value:
        return {**value, name: _of_value(value[name], tuple(rest))}
    return value


def _of_step(step: list[Any], field: Field) -> list[Any]:
    """A step of a delta with the mark in place of a field's values."""
    kind, path, *values = step
    if any(
        isinstance(one, int) is not (name is EACH) or (name is not EACH and one != name)
        for one, name in zip(path, field, strict=False)
    ):
        return step
    if len(path) < len(field):
        rest = field[len(path) :]
        if kind == "~":
            first, *lists = values
            return [kind, path, first, *(_of_value(one, rest) for one in lists)]
        return [kind, path, *(_of_value(one, rest) for one in values)]
    if len(path) == len(field) and kind in "+-":
        return [kind, path, MARK]
    return ["=", path[: len(field)], MARK, MARK]
